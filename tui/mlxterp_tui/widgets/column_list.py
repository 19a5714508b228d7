"""One column of a grid over all rows: a label, a level, and the first few texts of each row."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from mlxterp_themes import Ramp
from mlxterp_tui.widgets.colour_depth import ascii_only, depth_of
from mlxterp_tui.widgets.cursor_list import CursorList
from mlxterp_tui.widgets.grid_layout import rows_to_show
from mlxterp_tui.widgets.paint import bar, default_ramp, ramp_styles, step_of
from mlxterp_tui.widgets.token_text import fit, legible

from rich.cells import cell_len
from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.reactive import reactive
from textual.strip import Strip

_BAR_WIDTH = 8
_TEXT_WIDTH = 12


class ColumnRow(NamedTuple):
    """What one row says about the column: its texts, best first, and a level.

    Level: 0..1; None is not known yet, NaN failed. value: the level in words, `0.412`.
    """

    texts: Sequence[str]
    level: float | None = None
    value: str = ""


UNKNOWN_ROW = ColumnRow(())


class ColumnList(CursorList):
    """Rows as lines: label, bar, value, texts. Rows count from 0 in the order of the data.

    Besides the keys of every list, enter chooses.
    Messages: `ColumnList.CursorMoved`, `ColumnList.RowChosen`.
    """

    DEFAULT_CSS = """
    ColumnList {
        &>.column-list--label { color: $foreground-muted; }
        &>.column-list--label-current { color: $accent; text-style: bold; }
        &>.column-list--cursor { text-style: bold reverse; }
        &>.column-list--first { text-style: bold; }
        &>.column-list--other { color: $foreground-muted; }
        &>.column-list--bar { color: $primary; }
        &>.column-list--failed { color: $error; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "column-list--label",
        "column-list--label-current",
        "column-list--cursor",
        "column-list--first",
        "column-list--other",
        "column-list--bar",
        "column-list--failed",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Inspect", show=False, id="list.choose"),
    ]

    bottom_up: reactive[bool] = reactive(False, repaint=False, init=False)
    """Whether row 0 is drawn at the bottom."""
    stride: reactive[int] = reactive(1, repaint=False, init=False)
    """Every how many rows one is shown, counted back from the last."""
    ramp: reactive[Ramp | None] = reactive(None, repaint=False, init=False)
    """Colours the first text's ground; None is the default."""

    class CursorMoved(CursorList.CursorMoved):
        """The cursor stands on another row."""

        @property
        def row(self) -> int:
            """In data order."""
            return self.cursor

        @property
        def column_list(self) -> CursorList:
            return self.cursor_list

    class RowChosen(CursorList.Chosen):
        """A row was chosen with enter or a click."""

        @property
        def row(self) -> int:
            return self.cursor

    Chosen = RowChosen

    def __init__(
        self,
        *,
        ramp: Ramp | None = None,
        bottom_up: bool = False,
        ascii_bars: bool | None = None,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
        disabled: bool = False,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self._blocks = not (ascii_only(os.environ) if ascii_bars is None else ascii_bars)
        self._labels: list[str] = []
        self._rows: list[ColumnRow] = []
        self._lines: tuple[int, ...] = ()
        self.set_reactive(ColumnList.ramp, ramp)
        self.set_reactive(ColumnList.bottom_up, bottom_up)

    def set_labels(self, rows: Sequence[str]) -> None:
        """Start anew with so many rows, all unknown."""
        self._labels = list(rows)
        self._rows = [UNKNOWN_ROW] * len(rows)
        self._lay_out()
        self.cursor = self.validate_cursor(self.cursor)

    def set_row(self, row: int, content: ColumnRow) -> None:
        """One row arrived; only that line is painted again."""
        self._rows[row] = content
        self.redraw_line(row)

    def set_rows(self, rows: Sequence[ColumnRow]) -> None:
        """All rows at once, as when another column or metric was chosen."""
        if len(rows) != len(self._labels):
            raise ValueError(f"{len(rows)} rows for {len(self._labels)} row labels")
        self._rows = list(rows)
        self.refresh()

    def _lay_out(self) -> None:
        self._lines = rows_to_show(len(self._labels), self.stride, self.bottom_up)
        self.virtual_size = Size(0, len(self._lines))
        self.refresh()

    @property
    def line_count(self) -> int:
        return len(self._lines)

    def line_of(self, cursor: int) -> int | None:
        """The cursor counts rows in data order."""
        return self._lines.index(cursor) if cursor in self._lines else None

    def cursor_on(self, line: int) -> int:
        return self._lines[line]

    def validate_cursor(self, cursor: int) -> int:
        if self._lines and cursor not in self._lines:
            return min(self._lines, key=lambda row: abs(row - cursor))
        return max(0, min(len(self._labels) - 1, cursor))

    def validate_stride(self, stride: int) -> int:
        return max(1, stride)

    def watch_stride(self) -> None:
        self._lay_out()
        self.cursor = self.validate_cursor(self.cursor)

    def watch_bottom_up(self) -> None:
        self._lay_out()
        self.scroll_to_cursor()

    def watch_ramp(self) -> None:
        self.refresh()

    def render_line(self, y: int) -> Strip:
        line = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        segments = self._line(self._lines[line]) if line < len(self._lines) else []
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _line(self, row: int) -> list[Segment]:
        here = row == self.cursor
        style = self.get_component_rich_style
        label_width = max(map(cell_len, self._labels), default=0)
        label = f"{'▸' if here else ' '}{self._labels[row]:>{label_width}} "
        name = "column-list--label-current" if here else "column-list--label"
        return [Segment(label, style(name)), *self._content(self._rows[row], here)]

    def _content(self, content: ColumnRow, here: bool) -> list[Segment]:
        style = self.get_component_rich_style
        if content.level is None:
            return [Segment("·", style("column-list--label"))]
        if math.isnan(content.level):
            return [Segment("×", style("column-list--failed"))]
        styles = ramp_styles(
            self.ramp or default_ramp(self.app.current_theme.dark), depth_of(self.app)
        )
        ground = styles[step_of(content.level, len(styles))].text
        if here:
            ground += style("column-list--cursor")
        value = f" {content.value:>8} " if content.value else " "
        first, *others = [*content.texts] or [""]
        return [
            Segment(" " + fit(legible(first), _TEXT_WIDTH) + " ", ground),
            Segment(" " + bar(content.level, _BAR_WIDTH, self._blocks), style("column-list--bar")),
            Segment(value, style("column-list--first")),
            Segment(
                "".join(fit(legible(text), _TEXT_WIDTH) + " " for text in others),
                style("column-list--other"),
            ),
        ]

    def action_choose(self) -> None:
        if self._lines:
            self.choose()
