"""Draws the cells of a grid: text on its colour, and a micro-bar that says the level again."""

from __future__ import annotations

import math
from typing import NamedTuple

from mlxterp_tui.widgets.paint import BLOCK_BARS, CellStyle, micro_bar, step_of
from mlxterp_tui.widgets.token_text import fit, legible

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

_REMEMBERED = 20_000
_NARROW = 8  # columns
_LEAST = 1 / 32  # a size below this is drawn as nothing
_CURSOR = Style(reverse=True, bold=True)
_BLURRED_CURSOR = Style(bold=True, underline=True)


class Cell(NamedTuple):
    """Text and level. Level: 0..1; None is not known yet, NaN failed.

    A text of a cell that is not known stands in it instead of the dot. size, 0..1: how much it
    is, where the level says which way too: the small bar shows it, and what is near 0 is mild.
    """

    text: str
    level: float | None = None
    size: float | None = None


UNKNOWN = Cell("", None)
BLANK = Cell(" ", None)
"""Where there is nothing to know."""


class CellPainter:
    """Segments for cells of one width, for one ramp and one set of bar characters.

    A cell is a lead column for a mark, the text, and its micro-bar in a milder colour.
    """

    def __init__(
        self,
        width: int,
        styles: tuple[CellStyle, ...],
        unknown: Style,
        failed: Style,
        bars: str = BLOCK_BARS,
    ) -> None:
        self.width = width
        self._styles = styles
        self._unknown = unknown
        self._failed = failed
        self._bars = bars
        self._drawn: dict[tuple[str, int, str, str, bool], tuple[Segment, ...]] = {}

    def segments(self, cell: Cell, lead: str = " ") -> tuple[Segment, ...]:
        """The cell, remembered by what it shows."""
        if cell.level is None or math.isnan(cell.level):
            style = self._unknown if cell.level is None else self._failed
            return (Segment(fit(f"{lead}{_sign(cell)}", self.width), style),)
        step = step_of(cell.level, len(self._styles))
        key = (cell.text, step, self._glyph(cell), lead, _is_mild(cell))
        return self._drawn.get(key) or self._draw(*key)

    def cursor(self, cell: Cell, lead: str = " ", focused: bool = True) -> Segment:
        """The cell under the cursor: in brackets, and reversed where the keys go to the grid.

        A mark takes the place of the first bracket, and in a narrow cell a text that would be
        cut takes the last one's.
        """
        cursor = _CURSOR if focused else _BLURRED_CURSOR
        opening = "[" if lead == " " else lead
        if cell.level is None or math.isnan(cell.level):
            style = self._unknown if cell.level is None else self._failed
            return Segment(f"{opening}{fit(_sign(cell), self.width - 2)}]", style + cursor)
        text = legible(cell.text)
        takes_all = self.width < _NARROW and cell_len(text) == self.width - 2
        inside = text if takes_all else fit(text, self.width - 3) + "]"
        ground = self._styles[step_of(cell.level, len(self._styles))].text
        return Segment(f"{opening}{inside}{self._glyph(cell)}", ground + cursor)

    def _glyph(self, cell: Cell) -> str:
        if _is_mild(cell):
            return " "
        return micro_bar((cell.level or 0.0) if cell.size is None else cell.size, self._bars)

    def _draw(self, text: str, step: int, glyph: str, lead: str, mild: bool) -> tuple[Segment, ...]:
        if len(self._drawn) >= _REMEMBERED:
            self._drawn.clear()
        shown, styles = lead + fit(legible(text), self.width - 2), self._styles[step]
        if styles.bar == styles.text or mild:
            segments = (Segment(shown + glyph, styles.bar if mild else styles.text),)
        else:
            segments = (Segment(shown, styles.text), Segment(glyph, styles.bar))
        self._drawn[text, step, glyph, lead, mild] = segments
        return segments


def _sign(cell: Cell) -> str:
    return cell.text or "·" if cell.level is None else "×"


def _is_mild(cell: Cell) -> bool:
    return cell.size is not None and cell.size < _LEAST
