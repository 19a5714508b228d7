"""Texts to choose from, best first: each with a number and a bar."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from mlxterp_tui.widgets.colour_depth import ascii_only
from mlxterp_tui.widgets.cursor_list import CursorList
from mlxterp_tui.widgets.paint import bar
from mlxterp_tui.widgets.token_text import fit, legible

from rich.cells import cell_len
from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.strip import Strip

WIDEST_TEXT = 40
BAR_WIDTH = 10


class RankedRow(NamedTuple):
    """One line. part: 0..1 of the bar. number, note: as they should be read."""

    text: str
    part: float
    number: str
    note: str = ""


class RankedList(CursorList):
    """As high as it has lines. Besides the keys of every list, enter chooses.

    Messages: `RankedList.CursorMoved`, `RankedList.RowChosen`.
    """

    DEFAULT_CSS = """
    RankedList {
        height: auto;
        &>.ranked-list--bar { color: $primary; }
        &>.ranked-list--note { color: $foreground-muted; }
        &>.ranked-list--cursor { text-style: bold reverse; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "ranked-list--bar",
        "ranked-list--note",
        "ranked-list--cursor",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Choose", show=False, id="list.choose"),
    ]

    class CursorMoved(CursorList.CursorMoved):
        """The cursor stands on another row."""

    class RowChosen(CursorList.Chosen):
        """A row was chosen with enter or a click."""

    Chosen = RowChosen

    def __init__(self, *, ascii_bars: bool | None = None, id: str | None = None) -> None:
        super().__init__(id=id)
        self._blocks = not (ascii_only(os.environ) if ascii_bars is None else ascii_bars)
        self._rows: list[RankedRow] = []

    def set_rows(self, rows: Sequence[RankedRow]) -> None:
        self._rows = list(rows)
        self.cursor = self.validate_cursor(self.cursor)
        self.virtual_size = Size(0, len(rows))
        self.refresh(layout=True)

    @property
    def line_count(self) -> int:
        return len(self._rows)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._rows)

    def render_line(self, y: int) -> Strip:
        line, width = y + self.scroll_offset.y, self.scrollable_content_region.width
        segments = self._line(line) if line < len(self._rows) else []
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _line(self, line: int) -> list[Segment]:
        row, style = self._rows[line], self.get_component_rich_style
        texts = min(WIDEST_TEXT, max(cell_len(legible(row.text)) for row in self._rows))
        numbers = max(cell_len(row.number) for row in self._rows)
        here = style("ranked-list--cursor") if line == self.cursor else self.rich_style
        return [
            Segment("▸ " if line == self.cursor else "  ", self.rich_style),
            Segment(f" {fit(legible(row.text), texts)} ", here),
            Segment(f" {row.number:>{numbers}} ", self.rich_style),
            Segment(bar(row.part, BAR_WIDTH, self._blocks), style("ranked-list--bar")),
            Segment(f" {row.note}", style("ranked-list--note")),
        ]

    def action_choose(self) -> None:
        if self._rows:
            self.choose()
