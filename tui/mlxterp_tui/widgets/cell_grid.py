"""A grid of coloured cells with fixed row and column labels, drawn line by line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import ClassVar

from mlxterp_themes import Ramp
from mlxterp_tui.widgets.cell_painter import UNKNOWN, Cell, CellPainter
from mlxterp_tui.widgets.colour_depth import ascii_only, depth_of
from mlxterp_tui.widgets.grid_content import GridContent, legible_labels
from mlxterp_tui.widgets.grid_keys import GRID_KEYS
from mlxterp_tui.widgets.grid_layout import (
    COMFORTABLE,
    HEADER,
    NARROWEST,
    WIDEST,
    GridLayout,
    gutter_for,
    rows_to_show,
    width_that_fits,
)
from mlxterp_tui.widgets.grid_lines import GridLines
from mlxterp_tui.widgets.paint import ASCII_BARS, BLOCK_BARS, default_ramp, ramp_styles

from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive, var
from textual.scroll_view import ScrollView
from textual.strip import Strip


class CellGrid(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows of cells under token labels, row labels at the left; both stay while it scrolls.

    Rows and columns are counted from 0 in the order of the data, whatever way up they are shown.

    Keys: hjkl or arrows move, HJKL or ctrl+arrows move by 8, home/end first and last column,
    g/G top and bottom row, page up/down, < and > narrower and wider, = width that fits,
    enter or a click on the cursor chooses. A click on a label moves to its row or column.
    The wheel scrolls, with shift sideways; ‹ and › in the header say where more columns are.

    Messages: `CellGrid.CursorMoved`, `CellGrid.CellChosen`.
    """

    DEFAULT_CSS = """
    CellGrid {
        background: $background;
        color: $foreground;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 0;
        &>.cell-grid--label { color: $foreground-muted; }
        &>.cell-grid--label-current { color: $accent; text-style: bold; }
        &>.cell-grid--unknown { color: $foreground-disabled; }
        &>.cell-grid--failed { color: $error; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "cell-grid--label",
        "cell-grid--label-current",
        "cell-grid--unknown",
        "cell-grid--failed",
    }
    BINDINGS: ClassVar[list[BindingType]] = GRID_KEYS

    cursor: reactive[tuple[int, int]] = reactive((0, 0), repaint=False, init=False)
    """Row and column under the cursor, in data order."""
    bottom_up: reactive[bool] = reactive(False, repaint=False, init=False)
    """Whether row 0 is drawn at the bottom."""
    stride: reactive[int] = reactive(1, repaint=False, init=False)
    """Every how many rows one is shown, counted back from the last, which always is."""
    cell_width: reactive[int] = reactive(0, repaint=False, init=False)
    """Columns a cell takes; 0 is what fits the window."""
    corner: reactive[str] = reactive("", repaint=False, init=False)
    """What the row labels are, in a word."""
    span: reactive[int] = reactive(1, repaint=False, init=False)
    """How many ordinary cells wide one is: of what is shared by several."""
    ramp: reactive[Ramp | None] = reactive(None, repaint=False, init=False)
    """The colour map; None is the default for a dark or light theme."""
    places: var[GridLayout] = var(GridLayout(0, (), 2, 8, Size(0, 0)), init=False)
    """Where its cells are, for what scrolls with it."""

    class CursorMoved(Message):
        """The cursor stands on another cell."""

        def __init__(self, grid: CellGrid, row: int, column: int) -> None:
            super().__init__()
            self.grid, self.row, self.column = grid, row, column

        @property
        def control(self) -> CellGrid:
            return self.grid

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, CellGrid.CursorMoved) and message.grid is self.grid

    class CellChosen(Message):
        """A cell was chosen with enter or a click."""

        def __init__(self, grid: CellGrid, row: int, column: int) -> None:
            super().__init__()
            self.grid, self.row, self.column = grid, row, column

        @property
        def control(self) -> CellGrid:
            return self.grid

    def __init__(
        self,
        *,
        ramp: Ramp | None = None,
        corner: str = "",
        bottom_up: bool = False,
        comfortable: tuple[int, int] = COMFORTABLE,
        ascii_bars: bool | None = None,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
        disabled: bool = False,
    ) -> None:
        """An empty grid.

        ramp: colour map; None is the default. corner: what the row labels are, in a word.
        comfortable: least and most columns of a cell whose width follows the window.
        ascii_bars: micro-bars without block characters; None decides by the terminal.
        """
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self.set_reactive(CellGrid.corner, corner)
        self._comfortable = comfortable
        ascii_bars = ascii_only(os.environ) if ascii_bars is None else ascii_bars
        self._bars = ASCII_BARS if ascii_bars else BLOCK_BARS
        self._content = GridContent()
        self._painter: CellPainter | None = None
        self.set_reactive(CellGrid.ramp, ramp)
        self.set_reactive(CellGrid.bottom_up, bottom_up)

    # What it shows

    def set_labels(self, rows: Sequence[str], columns: Sequence[str]) -> None:
        """Start anew with so many rows and columns, all unknown, without marks.

        rows: one label each, from row 0. columns: tokens, made legible here.
        """
        self._content = GridContent.unknown(rows, columns)
        self._lay_out()
        self.cursor = self.validate_cursor(self.cursor)

    def set_row(self, row: int, cells: Sequence[Cell]) -> None:
        """The cells of one row, as many as there are columns; only that row is painted again."""
        if len(cells) != self.column_count:
            raise ValueError(f"row {row} has {len(cells)} cells for {self.column_count} columns")
        rows = self._content.rows
        before, rows[row] = rows[row], cells
        self._repaint_row(row, before)

    def set_rows(self, rows: Sequence[Sequence[Cell] | None]) -> None:
        """All rows at once, as when another metric was chosen; None for one not known yet."""
        if len(rows) != self.row_count:
            raise ValueError(f"{len(rows)} rows of cells for {self.row_count} row labels")
        before, self._content.rows = self._content.rows, list(rows)
        for row, cells in enumerate(before):
            self._repaint_row(row, cells)

    def replace(
        self,
        rows: Sequence[str],
        columns: Sequence[str],
        cells: Sequence[Sequence[Cell] | None],
        marks: Mapping[tuple[int, int], str],
    ) -> None:
        """Another content in one step: what looks as it did is not painted again."""
        as_large = (len(rows), len(columns)) == (self.row_count, self.column_count)
        if not as_large or list(rows) != self._content.row_labels:
            self.set_labels(rows, columns)
            self._content.marks = dict(marks)
        elif (labels := legible_labels(columns)) != self._content.column_labels:
            self._content.column_labels = labels
            self.refresh(Region(0, 0, self.size.width, HEADER))
        self.set_rows(cells)
        self.set_marks(marks)

    def _repaint_row(self, row: int, before: Sequence[Cell] | None) -> None:
        """The cells of a row that look other than they did."""
        if not self.is_attached or not self.places.window.area:
            return
        painter = self._the_painter()
        layout, scroll = self.places, self.scroll_offset
        for column in layout.columns_in_view(scroll):
            was = UNKNOWN if before is None else before[column]
            if painter.segments(was) != painter.segments(self._content.cell(row, column)):
                self.refresh(layout.cell_region(row, column, scroll))

    def cell_at(self, row: int, column: int) -> Cell:
        """The cell; an unknown one where nothing arrived yet."""
        return self._content.cell(row, column)

    def set_marks(self, marks: Mapping[tuple[int, int], str]) -> None:
        """One-column signs in the lead column of cells, by (row, column)."""
        before, self._content.marks = self._content.marks, dict(marks)
        for row, column in before.keys() | marks.keys():
            if before.get((row, column)) != marks.get((row, column)):
                self.refresh(self.places.cell_region(row, column, self.scroll_offset))

    def set_row_marks(self, marks: Mapping[int, str]) -> None:
        """One-column signs beside row labels, by row."""
        self._content.row_marks = dict(marks)
        self.refresh()

    def set_column_marks(self, marks: Mapping[int, str]) -> None:
        """One-column signs beside column labels, by column."""
        self._content.column_marks = dict(marks)
        self.refresh()

    @property
    def row_count(self) -> int:
        return len(self._content.rows)

    @property
    def column_count(self) -> int:
        return len(self._content.column_labels)

    @property
    def shown_rows(self) -> tuple[int, ...]:
        """The rows that are drawn, from top to bottom."""
        return self.places.shown

    @property
    def shown_width(self) -> int:
        """Columns that a cell takes at this moment."""
        return self.places.cell_width

    def scroll_to_cell(self, row: int, column: int) -> None:
        """Scroll as little as needed for the cell to be seen whole."""
        if not self.places.window.area:
            return
        x, y = self.places.scroll_to_see(row, column, self.scroll_offset)
        if (x, y) != self.scroll_offset:
            self.scroll_to(x, y, animate=False, force=True)

    # Arranging

    def _lay_out(self) -> None:
        gutter = gutter_for([*self._content.row_labels, self.corner])
        width, height = self.scrollable_content_region.size
        window = Size(max(0, width - gutter), max(0, height - HEADER))
        self.places = GridLayout(
            columns=self.column_count,
            shown=rows_to_show(self.row_count, self.stride, self.bottom_up),
            gutter=gutter,
            cell_width=self.span * (self.cell_width or self._fitting(window.width)),
            window=window,
        )
        self._painter = None
        self.virtual_size = self.places.virtual_size
        self.refresh()

    def _fitting(self, width: int) -> int:
        return width_that_fits(self.column_count * self.span, width, self._comfortable)

    def on_resize(self) -> None:
        self._lay_out()
        self.scroll_to_cell(*self.cursor)

    def notify_style_update(self) -> None:
        self._painter = None
        super().notify_style_update()

    def validate_scroll_x(self, value: float) -> float:
        """Sideways it scrolls by whole cells."""
        width = self.places.cell_width
        return super().validate_scroll_x(round(value / width) * width)

    def validate_cursor(self, cursor: tuple[int, int]) -> tuple[int, int]:
        row, column = cursor
        row = max(0, min(self.row_count - 1, row))
        shown = self.places.shown
        if shown and row not in shown:
            row = min(shown, key=lambda other: abs(other - row))
        return row, max(0, min(self.column_count - 1, column))

    def watch_cursor(self, old: tuple[int, int], new: tuple[int, int]) -> None:
        layout, scroll = self.places, self.scroll_offset
        for row, column in (old, new):
            self.refresh(layout.cell_region(row, column, scroll))
            if old[0] != new[0]:
                self.refresh(layout.row_label_region(row, scroll))
            if old[1] != new[1]:
                self.refresh(layout.column_label_region(column, scroll))
        self.scroll_to_cell(*new)
        self.post_message(self.CursorMoved(self, *new))

    def validate_stride(self, stride: int) -> int:
        return max(1, stride)

    def validate_cell_width(self, width: int) -> int:
        return width and max(NARROWEST, min(WIDEST, width))

    def watch_bottom_up(self) -> None:
        self._rearrange()

    def watch_stride(self) -> None:
        self._rearrange()

    def watch_cell_width(self) -> None:
        self._rearrange()

    def watch_corner(self) -> None:
        self._rearrange()

    def validate_span(self, span: int) -> int:
        return max(1, span)

    def watch_span(self) -> None:
        self._rearrange()

    def watch_ramp(self) -> None:
        self._painter = None
        self.refresh()

    def _rearrange(self) -> None:
        self._lay_out()
        self.cursor = self.validate_cursor(self.cursor)
        self.scroll_to_cell(*self.cursor)

    # Painting

    def render_line(self, y: int) -> Strip:
        width, scroll = self.scrollable_content_region.width, self.scroll_offset
        lines, shown, line = self._lines, self.places.shown, y - HEADER + self.scroll_offset.y
        if y < HEADER:
            segments = lines.header(self.corner, self.cursor, scroll)
        elif line < len(shown):
            segments = lines.row(shown[line], self.cursor, self.has_focus, scroll)
        else:
            segments = []
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    @property
    def _lines(self) -> GridLines:
        return GridLines(
            self._content,
            self.places,
            self._the_painter(),
            self.get_component_rich_style("cell-grid--label"),
            self.get_component_rich_style("cell-grid--label-current"),
        )

    def _the_painter(self) -> CellPainter:
        if self._painter is None:
            ramp = self.ramp or default_ramp(self.app.current_theme.dark)
            self._painter = CellPainter(
                self.places.cell_width,
                ramp_styles(ramp, depth_of(self.app)),
                self.get_component_rich_style("cell-grid--unknown"),
                self.get_component_rich_style("cell-grid--failed"),
                self._bars,
            )
        return self._painter

    # Keys and mouse

    def action_move(self, rows: int, columns: int) -> None:
        """Move by lines of the screen and columns, whatever way up the rows are."""
        line = self.places.line_of(self.cursor[0])
        self._to_line((line or 0) + rows, self.cursor[1] + columns)

    def action_page(self, pages: int) -> None:
        self.action_move(pages * max(1, self.places.window.height - 1), 0)

    def action_top(self) -> None:
        self._to_line(0, self.cursor[1])

    def action_bottom(self) -> None:
        self._to_line(len(self.places.shown) - 1, self.cursor[1])

    def action_first_column(self) -> None:
        self.cursor = (self.cursor[0], 0)

    def action_last_column(self) -> None:
        self.cursor = (self.cursor[0], self.column_count - 1)

    def action_widen(self, by: int) -> None:
        self.cell_width = self.places.cell_width // self.span + by

    def action_fit_width(self) -> None:
        self.cell_width = 0

    def action_choose(self) -> None:
        if self.row_count and self.column_count:
            self.post_message(self.CellChosen(self, *self.cursor))

    def _to_line(self, line: int, column: int) -> None:
        shown = self.places.shown
        if shown:
            self.cursor = (shown[max(0, min(len(shown) - 1, line))], column)

    def on_focus(self) -> None:
        self._refresh_cursor()

    def on_blur(self) -> None:
        self._refresh_cursor()

    def _refresh_cursor(self) -> None:
        self.refresh(self.places.cell_region(*self.cursor, self.scroll_offset))

    def on_click(self, event: events.Click) -> None:
        row, column = self.places.cell_under(event.offset, self.scroll_offset)
        clicked = (
            self.cursor[0] if row is None else row,
            self.cursor[1] if column is None else column,
        )
        if (row, column) == self.cursor:
            self.action_choose()
        self.cursor = clicked

    def on_mouse_scroll_right(self, event: events.MouseScrollRight) -> None:
        self._wheel_sideways(event, 1)

    def on_mouse_scroll_left(self, event: events.MouseScrollLeft) -> None:
        self._wheel_sideways(event, -1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        if event.shift or event.ctrl:
            self._wheel_sideways(event, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        if event.shift or event.ctrl:
            self._wheel_sideways(event, -1)

    def _wheel_sideways(self, event: events.MouseEvent, columns: int) -> None:
        """One whole cell a notch: Textual's own step may be less, and would round to nothing."""
        event.prevent_default().stop()
        x = self.scroll_offset.x + columns * self.places.cell_width
        self.scroll_to(x=x, animate=False)
