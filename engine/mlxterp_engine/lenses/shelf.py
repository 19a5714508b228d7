"""The lenses that are kept: `lenses/NAME/` in the data folder. Without mlx and numpy."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import NamedTuple

from mlxterp_engine import folders
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.lenses.description import LensDescription, LensKind, read_description

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class KeptLens(NamedTuple):
    """A lens by its name on the shelf."""

    name: str
    folder: Path
    description: LensDescription


def lenses_folder() -> Path:
    return folders.private_folder(folders.data_folder() / "lenses")


def kept(model_sha256: str | None = None) -> list[KeptLens]:
    """The lenses of a model (of all models), by name. What can't be read is not one of them."""
    found = []
    for folder in sorted(lenses_folder().iterdir()):
        try:
            lens = KeptLens(folder.name, folder, read_description(folder))
        except BadInput:
            continue
        if model_sha256 in (None, lens.description.model.sha256):
            found.append(lens)
    return found


def resolve(named: str) -> Path:
    """The folder of a name on the shelf, or a folder by its path. BadInput where there is none."""
    if NAME.fullmatch(named) and (lenses_folder() / named).is_dir():
        return lenses_folder() / named
    path = os.path.expanduser(named)
    if os.path.isdir(path):  # False, too, of what can be no path at all
        return Path(path)
    names = ", ".join(lens.name for lens in kept()) or "none yet"
    raise BadInput(
        f"there is no lens {named!r}: neither a folder nor one of those kept ({names}); "
        "mlxterp-tui run train-ridge-lens makes one"
    )


def new_folder(model: str, kind: LensKind) -> Path:
    """A folder of its own for a new lens, made: `smollm2-135m-ridge`, then `…-ridge-2`."""
    for name in _names(model, kind):
        try:
            (lenses_folder() / name).mkdir(mode=0o700)
        except FileExistsError:
            continue
        return lenses_folder() / name
    raise AssertionError("there is always a next name")


def default_name(model: str, kind: LensKind) -> str:
    """The name that `new_folder` would take now."""
    return next(name for name in _names(model, kind) if not (lenses_folder() / name).exists())


def _names(model: str, kind: LensKind) -> itertools.chain[str]:
    """Of a model's name, its path or its hub id the last part, made a plain file name."""
    last = model.rstrip("/").rpartition("/")[2].removesuffix(".gguf")
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip(".-_")[:48] or "model"
    first = f"{plain}-{kind}"
    return itertools.chain([first], (f"{first}-{number}" for number in itertools.count(2)))
