"""Finds and reads the theme and ramp files: those that come with the app, then the user's."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlxterp_themes.ramp import Ramp, parse_ramps
from mlxterp_themes.theme import Theme, parse_theme

DEFAULT_THEME = "dark"

_OWN = Path(__file__).parent / "data"


@dataclass
class Library:
    """All themes and ramps by name. `troubles`: one sentence for each file left out."""

    themes: dict[str, Theme] = field(default_factory=dict)
    ramps: dict[tuple[str, bool], Ramp] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)

    def theme(self, name: str) -> Theme:
        """The theme of that name; KeyError when there is none."""
        return self.themes[name]

    def ramp(self, name: str, dark: bool) -> Ramp:
        """The variant of a ramp for dark or light backgrounds; KeyError when there is none."""
        return self.ramps[name, dark]

    def ramp_names(self, kind: str = "sequential") -> list[str]:
        """Names of all ramps of a kind, in alphabetical order."""
        return sorted({ramp.name for ramp in self.ramps.values() if ramp.kind == kind})


def load_themes(user_folder: Path | None = None) -> Library:
    """Our own themes and ramps, then `themes/*.toml` and `ramps/*.toml` of a user's folder.

    A user's file with the name of one of ours takes its place. A bad file is left out and
    reported in `Library.troubles`; nothing is raised.
    """
    library = Library()
    for folder in (_OWN, user_folder):
        if folder is None:
            continue
        for path in _files(folder / "ramps"):
            _read(library, path, _add_ramp)
        for path in _files(folder / "themes"):
            _read(library, path, _add_theme)
    return library


def _files(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.glob("*.toml")))


def _read(library: Library, path: Path, add: Any) -> None:
    try:
        add(library, tomllib.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        library.troubles.append(f"{path} was left out: {error}")


def _add_ramp(library: Library, data: dict[str, Any]) -> None:
    for ramp in parse_ramps(data):
        library.ramps[ramp.name, ramp.dark] = ramp


def _add_theme(library: Library, data: dict[str, Any]) -> None:
    theme = parse_theme(data)
    for wanted in (theme.ramp, theme.diverging):
        if (wanted, theme.dark) not in library.ramps:
            known = ", ".join(sorted({name for name, _ in library.ramps}))
            raise ValueError(f"ramp {wanted!r} does not exist; there are: {known}")
    library.themes[theme.name] = theme
