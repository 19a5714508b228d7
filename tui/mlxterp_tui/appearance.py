"""The chosen theme and colour map."""

from __future__ import annotations

from pathlib import Path

from mlxterp_themes import DEFAULT_THEME, Ramp, Theme, load_themes


class Appearance:
    """Names that do not exist are refused by KeyError."""

    def __init__(self, user_folder: Path | None) -> None:
        self.library = load_themes(user_folder)
        self.theme: Theme = self.library.theme(DEFAULT_THEME)
        self._ramp = ""

    def choose_theme(self, name: str) -> Theme:
        self.theme = self.library.theme(name)
        return self.theme

    def choose_ramp(self, name: str) -> None:
        """One colour map for all themes; "" leaves it to the theme."""
        if name:
            self.library.ramp(name, self.theme.dark)
        self._ramp = name

    def cycle_ramp(self) -> None:
        names = self.ramp_names
        self._ramp = names[(names.index(self.ramp.name) + 1) % len(names)]

    @property
    def ramp(self) -> Ramp:
        return self.library.ramp(self._ramp or self.theme.ramp, self.theme.dark)

    @property
    def ramp_names(self) -> list[str]:
        return self.library.ramp_names()

    @property
    def theme_names(self) -> list[str]:
        return sorted(self.library.themes)
