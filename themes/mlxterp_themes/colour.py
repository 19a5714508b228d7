"""Colours as numbers: the terminal palettes, and how light a colour is (WCAG 2)."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

Depth = Literal["truecolor", "256", "16", "none"]
"""How many colours a terminal shows."""

_HEX = re.compile(r"#[0-9a-fA-F]{6}")

_CUBE = (0, 95, 135, 175, 215, 255)


class RGB(NamedTuple):
    """Red, green and blue, each 0..255."""

    red: int
    green: int
    blue: int

    @property
    def hex(self) -> str:
        return f"#{self.red:02x}{self.green:02x}{self.blue:02x}"


class Shade(NamedTuple):
    """A colour to paint with. `number` is its place in the terminal's palette, if it has one."""

    rgb: RGB
    number: int | None = None


# What a terminal's own 16 colours look like differs; these are the VGA ones, and XTERM_16
# xterm's. A ramp must be readable in both.
VGA_16 = (
    RGB(0, 0, 0),
    RGB(170, 0, 0),
    RGB(0, 170, 0),
    RGB(170, 85, 0),
    RGB(0, 0, 170),
    RGB(170, 0, 170),
    RGB(0, 170, 170),
    RGB(170, 170, 170),
    RGB(85, 85, 85),
    RGB(255, 85, 85),
    RGB(85, 255, 85),
    RGB(255, 255, 85),
    RGB(85, 85, 255),
    RGB(255, 85, 255),
    RGB(85, 255, 255),
    RGB(255, 255, 255),
)
XTERM_16 = (
    RGB(0, 0, 0),
    RGB(205, 0, 0),
    RGB(0, 205, 0),
    RGB(205, 205, 0),
    RGB(0, 0, 238),
    RGB(205, 0, 205),
    RGB(0, 205, 205),
    RGB(229, 229, 229),
    RGB(127, 127, 127),
    RGB(255, 0, 0),
    RGB(0, 255, 0),
    RGB(255, 255, 0),
    RGB(92, 92, 255),
    RGB(255, 0, 255),
    RGB(0, 255, 255),
    RGB(255, 255, 255),
)


def parse_hex(text: object) -> RGB:
    """`#rrggbb` to numbers. Raises ValueError that names the text."""
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise ValueError(f"{text!r} is no colour; write one as '#rrggbb'")
    return RGB(int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16))


def xterm_rgb(number: int) -> RGB:
    """What colour 16..255 of the 256-colour palette looks like: a cube, then greys."""
    if number >= 232:
        grey = 8 + 10 * (number - 232)
        return RGB(grey, grey, grey)
    place = number - 16
    return RGB(_CUBE[place // 36], _CUBE[place // 6 % 6], _CUBE[place % 6])


def luminance(colour: RGB) -> float:
    """Relative luminance, 0 (black) to 1 (white)."""
    red, green, blue = (_linear(channel / 255) for channel in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: RGB, other: RGB) -> float:
    """Contrast ratio, 1 (equal) to 21 (black on white); text wants at least 4.5."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def blend(start: RGB, end: RGB, part: float) -> RGB:
    """The colour `part` of the way (0..1) from one to the other."""
    return RGB(*(round(a + (b - a) * part) for a, b in zip(start, end, strict=True)))


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
