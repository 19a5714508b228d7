"""NO_COLOR taken at its word: no colour is sent, and what stood out by colour stands reversed."""

from __future__ import annotations

from functools import lru_cache

from mlxterp_themes import RGB, contrast

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

STANDS_OUT = 1.6
"""Contrast to its surroundings from which a background was meant to be seen."""


class WithoutColour(LineFilter):
    """Drops all colours; a background that differs clearly from the widget's is shown reversed."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            Segment(text, None if style is None else plain(style, background), control)
            for text, style, control in segments
        ]


@lru_cache(2048)
def plain(style: Style, background: Color) -> Style:
    """The style without colours."""
    ground = style.bgcolor
    stripped = style.without_color
    if ground is None or ground.is_default:
        return stripped
    ratio = contrast(RGB(*Color.from_rich_color(ground).rgb), RGB(*background.rgb))
    return stripped + Style(reverse=True) if ratio >= STANDS_OUT else stripped
