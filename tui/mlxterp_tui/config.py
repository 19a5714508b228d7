"""The user's config: a small TOML file. Nothing in it can stop the app from starting.

model = "smollm2-135m"
theme = "dark"
ramp = "inferno"
bos = "auto"

[keys]
"zoom" = "Z"
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlxterp_engine.experiments.request import CHOICES, DEFAULT_MODEL
from mlxterp_engine.whole_files import write_whole

import msgspec


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What the file may say; everything has a default."""

    model: str = DEFAULT_MODEL
    theme: str = ""
    ramp: str = ""
    bos: str = "auto"
    keys: dict[str, str] = {}


SETTINGS = Config.__struct_fields__


def load(path: Path) -> tuple[Config, list[str]]:
    """The config, and one sentence for each thing in the file that was left out."""
    if not path.exists():
        return Config(), []
    try:
        found = _read(path)
    except (OSError, ValueError) as error:
        return Config(), [f"config {path} could not be read ({error}); using the defaults"]
    return _checked(found, path)


def save(path: Path, name: str, value: str) -> None:
    """Set one setting in the file; comments and everything else stay as they are."""
    import tomlkit

    document = tomlkit.parse(path.read_text("utf-8")) if path.exists() else tomlkit.document()
    document[name] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, tomlkit.dumps(document).encode())


def _read(path: Path) -> dict[str, Any]:
    import tomlkit

    return tomlkit.parse(path.read_text("utf-8")).unwrap()


def _checked(found: dict[str, Any], path: Path) -> tuple[Config, list[str]]:
    troubles = [
        f"config {path} has {name!r}, which is no setting; there are: {', '.join(SETTINGS)}"
        for name in found
        if name not in SETTINGS
    ]
    config = Config()
    for name in SETTINGS:
        if name not in found:
            continue
        try:
            config = msgspec.convert(
                {**msgspec.structs.asdict(config), name: found[name]}, Config, strict=True
            )
        except msgspec.ValidationError as error:
            troubles.append(f"config {path}: {name} is {found[name]!r}: {error}; ignored")
    if config.bos not in CHOICES["bos"]:
        troubles.append(
            f"config {path}: bos is {config.bos!r}; give one of {', '.join(CHOICES['bos'])}"
        )
        config = msgspec.structs.replace(config, bos="auto")
    return config, troubles
