"""From a colour map to styles that a terminal shows as they were meant."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from mlxterp_themes import RGB, Depth, Ramp, Shade, Theme, blend, contrast, load_themes

from rich.color import Color, ColorSystem
from rich.color_triplet import ColorTriplet
from rich.style import Style
from textual.theme import Theme as TextualTheme

BLOCK_BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = ".:-=+*#%@"
EIGHTHS = " ▏▎▍▌▋▊▉█"

_BAR_STRENGTH = 0.5
_BAR_CONTRAST = 1.5


class CellStyle(NamedTuple):
    """How a cell is painted: its text, and its bar, which should not outshout the text."""

    text: Style
    bar: Style


@lru_cache(64)
def ramp_styles(ramp: Ramp, depth: Depth) -> tuple[CellStyle, ...]:
    """The styles of each step of the ramp, from level 0 to level 1."""
    if depth == "none":
        return (CellStyle(Style(), Style()),)
    return tuple(
        CellStyle(
            Style(color=rich_colour(text), bgcolor=rich_colour(ground)),
            Style(color=_bar_colour(ground, text, depth), bgcolor=rich_colour(ground)),
        )
        for ground, text in ramp.steps(depth)
    )


def _bar_colour(ground: Shade, text: Shade, depth: Depth) -> Color:
    """Between ground and text where the terminal has such a colour, else the text's."""
    if depth == "16":
        return rich_colour(text)
    mild = Color.from_triplet(ColorTriplet(*blend(ground.rgb, text.rgb, _BAR_STRENGTH)))
    if depth == "truecolor":
        return mild
    shown = mild.downgrade(ColorSystem.EIGHT_BIT).get_truecolor()
    return mild if contrast(RGB(*shown), ground.rgb) >= _BAR_CONTRAST else rich_colour(text)


def rich_colour(shade: Shade) -> Color:
    """A 24-bit colour that rich, asked for fewer colours, turns into just this palette entry.

    Textual turns palette numbers into 24-bit colours and back, and on the way back the greys
    may land beside the one that was asked for; an even step of grey lands on it.
    """
    red, green, blue = shade.rgb
    if shade.number is not None and shade.number >= 232:
        red = green = blue = round((shade.number - 231) * 255 / 25)
    return Color.from_triplet(ColorTriplet(red, green, blue))


def step_of(level: float, steps: int) -> int:
    """Which of so many steps a level 0..1 falls on; outside, the nearer end."""
    return round(min(1.0, max(0.0, level)) * (steps - 1))


def micro_bar(level: float, bars: str = BLOCK_BARS) -> str:
    """One character that says the level without colour."""
    return bars[min(len(bars) - 1, max(0, int(level * len(bars))))]


def bar(part: float, width: int, blocks: bool = True) -> str:
    """A horizontal bar, `part` (0..1) of `width` columns long, padded to the width."""
    part = min(1.0, max(0.0, part))
    if not blocks:
        return ("#" * round(part * width)).ljust(width)
    whole, eighths = divmod(round(part * width * 8), 8)
    drawn = "█" * whole + (EIGHTHS[eighths] if eighths else "")
    return drawn.ljust(width)


@lru_cache
def default_ramp(dark: bool) -> Ramp:
    """The ramp of a widget that was given none."""
    return load_themes().ramp("inferno", dark)


def textual_theme(theme: Theme, depth: Depth) -> TextualTheme:
    """Our theme as Textual's, under the same name."""
    colours: dict[str, Any] = theme.colours_at(depth)
    return TextualTheme(
        name=theme.name, dark=theme.dark, variables=dict(theme.variables), **colours
    )
