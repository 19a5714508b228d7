"""A colour theme: the named colours of the screen, and the colour maps that suit it.

name = "dark"
title = "Dark"
dark = true
ramp = "inferno"
diverging = "blue-red"
[colours]
background = "#101318"
...
[sixteen]               # optional: other colours where the terminal has only 16
[variables]             # optional: further Textual variables, passed on as they are
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlxterp_themes.colour import Depth, parse_hex

COLOUR_NAMES = (
    "background",
    "surface",
    "panel",
    "foreground",
    "primary",
    "secondary",
    "accent",
    "success",
    "warning",
    "error",
)
KEYS = ("name", "title", "dark", "ramp", "diverging", "colours", "sixteen", "variables")


@dataclass(frozen=True)
class Theme:
    """Named colours, as `#rrggbb`. `sixteen` overrides some of them on 16-colour terminals."""

    name: str
    title: str
    dark: bool
    ramp: str
    diverging: str
    colours: Mapping[str, str]
    sixteen: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def colours_at(self, depth: Depth) -> dict[str, str]:
        """All named colours, as they should be asked for on a terminal of this depth."""
        return {**self.colours, **(self.sixteen if depth == "16" else {})}


def parse_theme(data: Mapping[str, Any]) -> Theme:
    """The theme that a file describes. Raises ValueError in words."""
    for key in data:
        if key not in KEYS:
            raise ValueError(f"unknown key {key!r}; keys: {', '.join(KEYS)}")
    for key in ("name", "dark", "colours"):
        if key not in data:
            raise ValueError(f"it has no {key!r}")
    if not isinstance(data["name"], str) or not isinstance(data["dark"], bool):
        raise ValueError("name must be a text and dark must be true or false")
    return Theme(
        name=data["name"],
        title=str(data.get("title", data["name"])),
        dark=data["dark"],
        ramp=str(data.get("ramp", "inferno")),
        diverging=str(data.get("diverging", "blue-red")),
        colours=_colours(data, "colours", complete=True),
        sixteen=_colours(data, "sixteen", complete=False),
        variables=_texts(data, "variables"),
    )


def _colours(data: Mapping[str, Any], key: str, complete: bool) -> dict[str, str]:
    colours = _texts(data, key)
    for name, colour in colours.items():
        if name not in COLOUR_NAMES:
            raise ValueError(f"{key}.{name} is no colour name; names: {', '.join(COLOUR_NAMES)}")
        parse_hex(colour)
    missing = [name for name in COLOUR_NAMES if name not in colours]
    if complete and missing:
        raise ValueError(f"{key} has no {missing[0]!r}; it needs {', '.join(COLOUR_NAMES)}")
    return colours


def _texts(data: Mapping[str, Any], key: str) -> dict[str, str]:
    table = data.get(key, {})
    if not isinstance(table, Mapping):
        raise ValueError(f"{key} is {table!r}; make it a table: [{key}]")
    for name, value in table.items():
        if not isinstance(value, str):
            raise ValueError(f"{key}.{name} is {value!r}; give a text")
    return dict(table)
