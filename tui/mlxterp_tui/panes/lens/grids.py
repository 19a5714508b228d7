"""One or two grids side by side, with one cursor, one stride and one width of cells."""

from __future__ import annotations

from mlxterp_themes import Ramp
from mlxterp_tui.panes.lens.picture import Picture, Scale
from mlxterp_tui.widgets.cell_grid import CellGrid
from mlxterp_tui.widgets.column_lines import ColumnLines, Levels
from mlxterp_tui.widgets.legend import Legend

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Static

# Of a grid: its widest cell that fits by itself, and what stands around the cells.
WIDEST_FITTED, GUTTER = 14, 10
AROUND_ROWS = 2  # its heading, and a bar to scroll with
HIGH_LINES = 3  # rows of the lines under the columns


class LensGrids(Horizontal):
    """The second grid is hidden until it is given something to show."""

    DEFAULT_CSS = """
    LensGrids { width: 1fr; height: 1fr; }
    LensGrids Vertical { width: 1fr; height: 1fr; }
    #lens-second-legend { padding: 0 0 0 1; }
    #lens-caption { display: none; padding: 0 1; height: 1; }
    #lens-caption { text-wrap: nowrap; text-overflow: ellipsis; }
    #lens-two { display: none; margin: 0 0 0 1; }
    LensGrids.-two #lens-two, LensGrids.-two #lens-caption { display: block; }
    """

    class Moved(Message):
        """The cursor stands on another cell: (row, column) of the first grid."""

        def __init__(self, row: int, column: int) -> None:
            super().__init__()
            self.row, self.column = row, column

    class Chosen(Message):
        """The cell under the cursor was chosen."""

    def __init__(self) -> None:
        super().__init__(id="lens-grids")
        self.one = CellGrid(id="lens-grid", corner="block", bottom_up=True)
        self.two = CellGrid(id="lens-grid-two", corner="block", bottom_up=True)
        self.lines = ColumnLines(self.one, id="lens-lines")
        self._caption = Static(id="lens-caption", markup=False)
        self._legend = Legend(id="lens-second-legend")

    def compose(self) -> ComposeResult:
        with Vertical(id="lens-one"):
            yield self._caption
            yield self.one
            yield self.lines
        with Vertical(id="lens-two"):
            yield self._legend
            yield self.two

    def on_mount(self) -> None:
        self.watch(self.one, "cell_width", self._same_width, init=False)
        self.watch(self.two, "cell_width", self._same_width, init=False)

    @property
    def _both(self) -> tuple[CellGrid, CellGrid]:
        return self.one, self.two

    def focus_first(self) -> None:
        self.screen.set_focus(self.one)

    def show(self, picture: Picture, ramp: Ramp) -> None:
        """In the first grid."""
        self.one.ramp = ramp
        self.one.replace(*picture)
        self._hug()

    def show_second(self, picture: Picture, ramp: Ramp, scale: Scale, caption: str) -> None:
        """In the second one, under its own scale; caption: what the first one is."""
        self.add_class("-two")
        self.two.ramp = ramp
        self.two.replace(*picture)
        self._legend.set_scale(scale.title, scale.low, scale.high, log=scale.log, ramp=ramp)
        self._caption.update(caption)
        self._hug()

    def show_lines(self, label: str, levels: Levels) -> None:
        """Close under the first grid's columns: a row high, more where no cell goes for it."""
        needed = len(self.one.shown_rows) + AROUND_ROWS
        spare = self.size.height - needed
        self.one.styles.max_height = needed if spare > HIGH_LINES else None
        self.lines.show(label, levels, HIGH_LINES if spare > HIGH_LINES else 1)

    def hide_second(self) -> None:
        if self.has_class("-two"):
            self.remove_class("-two")
            self.focus_first()
            self._hug()

    @property
    def cursor(self) -> tuple[int, int]:
        return self.one.cursor

    def move_to(self, row: int, column: int) -> None:
        for grid in self._both:
            if grid.row_count:
                grid.cursor = (row, column)

    def turn(self, bottom_up: bool) -> None:
        for grid in self._both:
            grid.bottom_up = bottom_up

    def set_stride(self, stride: int) -> None:
        for grid in self._both:
            grid.stride = stride

    @property
    def cell_width(self) -> int:
        return self.one.cell_width

    def set_width(self, width: int) -> None:
        for grid in self._both:
            grid.cell_width = width

    def _same_width(self, width: int) -> None:
        self.set_width(width)
        self._hug()

    def _hug(self) -> None:
        """Let what stands beside a short prompt be close to it."""
        shown = self._both if self.has_class("-two") else (self.one,)
        widest = self.cell_width or WIDEST_FITTED
        self.styles.max_width = sum(GUTTER + widest * max(1, grid.column_count) for grid in shown)

    @on(CellGrid.CursorMoved)
    def _cursor_moved(self, event: CellGrid.CursorMoved) -> None:
        """The grid with the keys leads: the other one may have fewer columns."""
        event.stop()
        leading, led = (self.two, self.one) if self.two.has_focus else (self.one, self.two)
        if event.grid is leading:
            if led.row_count:
                led.cursor = leading.cursor
            self.post_message(self.Moved(*self.one.cursor))

    @on(CellGrid.CellChosen)
    def _cell_chosen(self, event: CellGrid.CellChosen) -> None:
        event.stop()
        self.post_message(self.Chosen())
