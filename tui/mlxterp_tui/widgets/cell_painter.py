"""Draws the cells of a grid: text, colour and micro-bar in one segment a cell."""

from __future__ import annotations

import math
from typing import NamedTuple

from mlxterp_tui.widgets.paint import BLOCK_BARS, micro_bar, step_of
from mlxterp_tui.widgets.token_text import fit, legible

from rich.segment import Segment
from rich.style import Style

_REMEMBERED = 20_000
_REVERSED = Style(reverse=True, bold=True)


class Cell(NamedTuple):
    """Text and level. Level: 0..1; None is not known yet, NaN failed."""

    text: str
    level: float | None = None


UNKNOWN = Cell("", None)


class CellPainter:
    """Segments of a fixed width for one ramp and one set of bar characters.

    A cell is a lead column (for a mark), the text, and its micro-bar.
    """

    def __init__(
        self,
        width: int,
        styles: tuple[Style, ...],
        unknown: Style,
        failed: Style,
        bars: str = BLOCK_BARS,
    ) -> None:
        self.width = width
        self._styles = styles
        self._unknown = unknown
        self._failed = failed
        self._bars = bars
        self._segments: dict[tuple[str, int, str, str], Segment] = {}

    def segment(self, cell: Cell, lead: str = " ") -> Segment:
        """The cell, remembered by what it shows."""
        if cell.level is None:
            return Segment(lead + self._alone("·"), self._unknown)
        if math.isnan(cell.level):
            return Segment(lead + self._alone("×"), self._failed)
        step = step_of(cell.level, len(self._styles))
        glyph = micro_bar(cell.level, self._bars)
        key = (cell.text, step, glyph, lead)
        found = self._segments.get(key)
        if found is None:
            found = self._draw(cell.text, step, glyph, lead)
        return found

    def cursor(self, cell: Cell, lead: str = " ") -> Segment:
        """The cell under the cursor: reversed, with a bracket unless a mark stands there."""
        text, style, _ = self.segment(cell, "[" if lead == " " else lead)
        return Segment(text, (style or Style()) + _REVERSED)

    def _draw(self, text: str, step: int, glyph: str, lead: str) -> Segment:
        if len(self._segments) >= _REMEMBERED:
            self._segments.clear()
        shown = lead + fit(legible(text), self.width - 2) + glyph
        segment = self._segments[text, step, glyph, lead] = Segment(shown, self._styles[step])
        return segment

    def _alone(self, sign: str) -> str:
        return (" " * ((self.width - 2) // 2) + sign).ljust(self.width - 1)
