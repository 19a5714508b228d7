"""A line of values in one row of eighth blocks: how something goes over the layers."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import ClassVar

from mlxterp_tui.widgets.colour_depth import ascii_only
from mlxterp_tui.widgets.paint import ASCII_BARS, BLOCK_BARS, micro_bar

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget


class MiniLine(Widget):
    """Label, one block a value, note. None leaves a gap, NaN draws ×. No keys, no messages.

    Where there are more values than columns, neighbours share one and the highest is drawn;
    a note without room is left out.
    """

    DEFAULT_CSS = """
    MiniLine {
        height: 1;
        &>.mini-line--label { color: $foreground-muted; }
        &>.mini-line--value { color: $primary; }
        &>.mini-line--current { color: $accent; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "mini-line--label",
        "mini-line--value",
        "mini-line--current",
    }

    def __init__(
        self,
        *,
        label: str = "",
        ascii_bars: bool | None = None,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._label, self._note = label, ""
        self._levels: list[float | None] = []
        self._current: int | None = None
        ascii_bars = ascii_only(os.environ) if ascii_bars is None else ascii_bars
        self._bars = ASCII_BARS if ascii_bars else BLOCK_BARS

    def set_values(
        self,
        levels: Sequence[float | None],
        *,
        current: int | None = None,
        label: str | None = None,
        note: str = "",
    ) -> None:
        """levels: 0..1 each. current: the one that is highlighted. note: words behind the line."""
        self._levels, self._current, self._note = list(levels), current, note
        if label is not None:
            self._label = label
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y:
            return Strip.blank(width, self.rich_style)
        return Strip(self._segments(width)).adjust_cell_length(width, self.rich_style)

    def _segments(self, width: int) -> list[Segment]:
        style = self.get_component_rich_style
        label = self._label + " " if self._label else ""
        columns = peaks(self._levels, max(1, width - cell_len(label)))
        segments = [Segment(label, style("mini-line--label"))]
        for levels, first, end in columns:
            here = self._current is not None and first <= self._current < end
            name = "mini-line--current" if here else "mini-line--value"
            segments.append(Segment(_glyph(levels, self._bars), style(name)))
        if self._note and cell_len(label) + len(columns) + 2 + cell_len(self._note) <= width:
            segments.append(Segment("  " + self._note, style("mini-line--label")))
        return segments


def peaks(levels: Sequence[float | None], room: int) -> list[tuple[float | None, int, int]]:
    """One (level, first, end) a column: the highest of as many values as must share it."""
    share = max(1, -(-len(levels) // room))
    return [
        (_peak(levels[first : first + share]), first, first + share)
        for first in range(0, len(levels), share)
    ]


def _peak(levels: Sequence[float | None]) -> float | None:
    known = [level for level in levels if level is not None]
    if any(math.isnan(level) for level in known):
        return math.nan
    return max(known, default=None)


def _glyph(level: float | None, bars: str) -> str:
    if level is None:
        return " "
    return "×" if math.isnan(level) else micro_bar(level, bars)
