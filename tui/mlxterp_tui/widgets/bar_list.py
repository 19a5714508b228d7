"""A ranked list: rank, text, number, bar."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from mlxterp_tui.widgets.colour_depth import ascii_only
from mlxterp_tui.widgets.paint import bar
from mlxterp_tui.widgets.token_text import fit, legible

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

_RANK_WIDTH = 4
_NARROWEST_TEXT, _WIDEST_TEXT = 8, 16
_SHORTEST_BAR = 6


class BarRow(NamedTuple):
    """One line. part: 0..1 of the bar. number: as it should be read, `.412`.

    highlighted: drawn in the accent colour with a mark, as the target is.
    """

    text: str
    part: float
    number: str
    highlighted: bool = False


class BarList(Widget):
    """As many rows as there is height for. No keys, no messages.

    Texts are quoted tokens when `quoted`, else plain words.
    """

    DEFAULT_CSS = """
    BarList {
        height: auto;
        &>.bar-list--rank { color: $foreground-muted; }
        &>.bar-list--bar { color: $primary; }
        &>.bar-list--highlighted { color: $accent; text-style: bold; }
        &>.bar-list--empty { color: $foreground-muted; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "bar-list--rank",
        "bar-list--bar",
        "bar-list--highlighted",
        "bar-list--empty",
    }

    def __init__(
        self,
        *,
        quoted: bool = True,
        empty: str = "",
        ascii_bars: bool | None = None,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """empty: what stands here while there are no rows."""
        super().__init__(name=name, id=id, classes=classes)
        self._quoted, self._empty = quoted, empty
        self._blocks = not (ascii_only(os.environ) if ascii_bars is None else ascii_bars)
        self._rows: list[BarRow] = []

    def set_rows(self, rows: Sequence[BarRow]) -> None:
        """The rows, best first; none empties the list."""
        resized = len(rows) != len(self._rows)
        self._rows = list(rows)
        self.refresh(layout=resized)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return max(1, len(self._rows))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if not self._rows and y == 0:
            empty = Segment(
                fit(self._empty, width), self.get_component_rich_style("bar-list--empty")
            )
            return Strip([empty])
        segments = self._line(y, width) if y < len(self._rows) else []
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _line(self, place: int, width: int) -> list[Segment]:
        row, style = self._rows[place], self.get_component_rich_style
        chosen = style("bar-list--highlighted") if row.highlighted else None
        plain = chosen or self.rich_style
        texts, numbers, bars = self._columns(width)
        rank = f"{'▸' if row.highlighted else ' '}{place + 1:>2} "
        return [
            Segment(rank, chosen or style("bar-list--rank")),
            Segment(fit(self._shown(row), texts) + " ", plain),
            Segment(f"{row.number:>{numbers}} ", plain),
            Segment(bar(row.part, bars, self._blocks), chosen or style("bar-list--bar")),
        ]

    def _columns(self, width: int) -> tuple[int, int, int]:
        """Widths of text, number and bar: what is missing is taken from the bar, then the text."""
        numbers = max(cell_len(row.number) for row in self._rows)
        wanted = min(_WIDEST_TEXT, max(cell_len(self._shown(row)) for row in self._rows))
        room = width - _RANK_WIDTH - numbers - 2
        texts = max(1, min(wanted, max(room - _SHORTEST_BAR, _NARROWEST_TEXT), room))
        return texts, numbers, max(0, room - texts)

    def _shown(self, row: BarRow) -> str:
        return f"'{legible(row.text)}'" if self._quoted else row.text
