"""From a colour map to styles that a terminal shows as they were meant."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from mlxterp_themes import Depth, Ramp, Shade, Theme, load_themes

from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.style import Style
from textual.theme import Theme as TextualTheme

BLOCK_BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = ".:-=+*#%@"
EIGHTHS = " ▏▎▍▌▋▊▉█"


@lru_cache(64)
def ramp_styles(ramp: Ramp, depth: Depth) -> tuple[Style, ...]:
    """A style for each step of the ramp, from level 0 to level 1."""
    if depth == "none":
        return (Style(),)
    return tuple(
        Style(color=rich_colour(text), bgcolor=rich_colour(background))
        for background, text in ramp.steps(depth)
    )


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
