"""Colour maps: a level from 0 to 1 becomes a background, and text that is readable on it.

A map is a TOML file with a variant for dark and one for light backgrounds:

    name = "inferno"
    kind = "sequential"      # or "diverging": the middle stop is the centre
    [dark]
    stops = ["#000004", "#57106e", ...]   # 24-bit, evenly spaced
    xterm = [16, 233, 52, ...]            # the same in 256 colours, picked by hand
    ansi = [0, 4, 5, 9, 11, 15]           # and in 16
    [light]
    ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mlxterp_themes.colour import (
    RGB,
    VGA_16,
    XTERM_16,
    Depth,
    Shade,
    blend,
    contrast,
    parse_hex,
    xterm_rgb,
)

KINDS = ("sequential", "diverging")

LEVELS = 33
"""Steps that a 24-bit ramp is cut into: equal neighbours share a style, and the centre is one."""

_TEXT = (RGB(216, 216, 216), RGB(255, 255, 255), RGB(28, 28, 28), RGB(0, 0, 0))
_COMFORTABLE = 7.0


@dataclass(frozen=True)
class Ramp:
    """One colour map for one kind of background.

    stops: 24-bit colours, evenly spaced. xterm: numbers 16..255. ansi: numbers 0..15.
    """

    name: str
    kind: str
    dark: bool
    stops: tuple[RGB, ...]
    xterm: tuple[int, ...]
    ansi: tuple[int, ...]

    def style(self, level: float, depth: Depth) -> tuple[Shade, Shade]:
        """Background and text for a level; a level outside 0..1 is drawn as the nearer end."""
        steps = self.steps(depth)
        clamped = min(1.0, max(0.0, level))
        return steps[round(clamped * (len(steps) - 1))]

    def steps(self, depth: Depth) -> tuple[tuple[Shade, Shade], ...]:
        """Every (background, text) of a depth, from level 0 to level 1.

        Depth "none" gives the 24-bit ones: whoever shows no colours paints none of them.
        """
        if depth == "256":
            return self._steps_256
        return self._steps_16 if depth == "16" else self._steps_24_bit

    @cached_property
    def _steps_24_bit(self) -> tuple[tuple[Shade, Shade], ...]:
        backgrounds = (self._between(index / (LEVELS - 1)) for index in range(LEVELS))
        return tuple((Shade(colour), Shade(_readable_on(colour))) for colour in backgrounds)

    @cached_property
    def _steps_256(self) -> tuple[tuple[Shade, Shade], ...]:
        return tuple(_pair_256(number) for number in self.xterm)

    @cached_property
    def _steps_16(self) -> tuple[tuple[Shade, Shade], ...]:
        return tuple(_pair_16(number) for number in self.ansi)

    def _between(self, level: float) -> RGB:
        place = level * (len(self.stops) - 1)
        left = min(int(place), len(self.stops) - 2)
        return blend(self.stops[left], self.stops[left + 1], place - left)


def parse_ramps(data: Mapping[str, Any]) -> tuple[Ramp, Ramp]:
    """The dark and the light variant that a file describes. Raises ValueError in words."""
    unknown = set(data) - {"name", "kind", "dark", "light"}
    if unknown:
        raise ValueError(f"unknown key {sorted(unknown)[0]!r}; keys: name, kind, dark, light")
    name, kind = data.get("name"), data.get("kind", "sequential")
    if not isinstance(name, str) or not name:
        raise ValueError("it has no name; add a line such as name = 'my-ramp'")
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; give one of {', '.join(KINDS)}")
    return _variant(name, kind, data, "dark"), _variant(name, kind, data, "light")


def _variant(name: str, kind: str, data: Mapping[str, Any], which: str) -> Ramp:
    table = data.get(which)
    if not isinstance(table, Mapping):
        raise ValueError(f"it has no [{which}] table with stops, xterm and ansi")
    return Ramp(
        name=name,
        kind=kind,
        dark=which == "dark",
        stops=tuple(parse_hex(stop) for stop in _at_least_two(table, which, "stops")),
        xterm=_numbers(table, which, "xterm", 16, 255),
        ansi=_numbers(table, which, "ansi", 0, 15),
    )


def _at_least_two(table: Mapping[str, Any], which: str, key: str) -> Sequence[Any]:
    found = table.get(key)
    if not isinstance(found, list) or len(found) < 2:
        raise ValueError(f"{which}.{key} is {found!r}; give a list of at least two colours")
    return found


def _numbers(
    table: Mapping[str, Any], which: str, key: str, low: int, high: int
) -> tuple[int, ...]:
    found = _at_least_two(table, which, key)
    for number in found:
        if type(number) is not int or not low <= number <= high:
            raise ValueError(f"{which}.{key} has {number!r}; give numbers from {low} to {high}")
    return tuple(found)


def _readable_on(background: RGB) -> RGB:
    """The mildest text colour that is comfortable to read, else the one with most contrast."""
    for text in _TEXT:
        if contrast(text, background) >= _COMFORTABLE:
            return text
    return max(_TEXT, key=lambda text: contrast(text, background))


def _pair_256(number: int) -> tuple[Shade, Shade]:
    background = xterm_rgb(number)
    black, white = Shade(xterm_rgb(16), 16), Shade(xterm_rgb(231), 231)
    mild = Shade(xterm_rgb(252), 252)
    if contrast(mild.rgb, background) >= _COMFORTABLE:
        return Shade(background, number), mild
    best = max(black, white, key=lambda text: contrast(text.rgb, background))
    return Shade(background, number), best


def _pair_16(number: int) -> tuple[Shade, Shade]:
    """Black or white text: whichever is better in the worse of the two usual palettes."""
    black, white = Shade(VGA_16[0], 0), Shade(VGA_16[15], 15)
    best = max(black, white, key=lambda text: worst_contrast_16(text.number or 0, number))
    return Shade(VGA_16[number], number), best


def worst_contrast_16(text: int, background: int) -> float:
    """Contrast of two of the 16 colours in the worse of VGA's and xterm's palette."""
    return min(contrast(palette[text], palette[background]) for palette in (VGA_16, XTERM_16))
