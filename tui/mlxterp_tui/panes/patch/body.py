"""The map and what stands around it: the sites, the cell in words, the largest cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlxterp_themes import Ramp
from mlxterp_tui.panes.lens.body import DIVERGING, REST
from mlxterp_tui.panes.lens.inspector import write
from mlxterp_tui.panes.lens.picture import Scale
from mlxterp_tui.panes.patch import best as best_of
from mlxterp_tui.panes.patch import cells as patch_cells
from mlxterp_tui.panes.patch import inspector, text
from mlxterp_tui.panes.patch.best import Best
from mlxterp_tui.panes.patch.maps import At
from mlxterp_tui.panes.patch.notes import notes
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.view import PatchView
from mlxterp_tui.widgets.cell_grid import CellGrid
from mlxterp_tui.widgets.legend import Legend

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp

# From these widths on the words stand beside the map, and a second map does.
ROOM_FOR_COLUMN, ROOM_FOR_TWO = 108, 180


class PatchBody(Vertical):
    """Shows a run as far as it is known; only what changed is painted again."""

    DEFAULT_CSS = """
    PatchBody { height: 1fr; display: none; }
    PatchBody Static { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    #patch-maps { padding: 0 1; color: $foreground-muted; }
    #patch-row { height: 1fr; }
    #patch-grid { width: 1fr; }
    #patch-second { width: 1fr; display: none; margin: 0 0 0 2; }
    PatchBody.-two #patch-second { display: block; }
    PatchBody.-two #patch-grid { margin: 1 0 0 0; }
    #patch-beside { height: 1fr; }
    #patch-column { width: 38; padding: 0 1 0 2; display: none; }
    #patch-column Static { margin: 1 0 0 0; }
    #patch-column #patch-cell { margin: 0; }
    #patch-column #patch-cell, #patch-column #patch-notes { text-wrap: wrap; }
    #patch-strip { height: auto; padding: 0 1; background: $surface; display: none; }
    PatchBody.-column #patch-column { display: block; }
    PatchBody.-strip #patch-strip { display: block; }
    """

    app: MlxterpApp

    class Scaled(Message):
        """What the colours of the map mean is another thing than before."""

        def __init__(self, scale: Scale, ramp: Ramp) -> None:
            super().__init__()
            self.scale, self.ramp = scale, ramp

    class Pointed(Message):
        """The cursor stands on another position; None where the map has none."""

        def __init__(self, position: int | None) -> None:
            super().__init__()
            self.position = position

    class Chosen(Message):
        """The cell under the cursor was chosen."""

    def __init__(self) -> None:
        super().__init__(id="patch-body")
        self.run = PatchRun()
        self.view = PatchView()
        self.grid = CellGrid(
            id="patch-grid", corner="block", bottom_up=True, comfortable=patch_cells.NARROW
        )
        self.beside = CellGrid(id="patch-beside", bottom_up=True, comfortable=patch_cells.NARROW)
        self.beside.can_focus = False
        self._resting: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="patch-maps")
        with Horizontal(id="patch-row"):
            yield self.grid
            with Vertical(id="patch-second"):
                yield Legend(id="patch-second-legend")
                yield self.beside
            with Vertical(id="patch-column"):
                yield Static(id="patch-cell")
                yield Static(id="patch-best")
                yield Static(id="patch-notes")
        with Vertical(id="patch-strip"):
            yield Static(id="patch-cell-line")
            yield Static(id="patch-best-line")
            yield Static(id="patch-note-line")

    def on_resize(self, event: events.Resize) -> None:
        self._arrange()
        self.paint()

    def _arrange(self) -> None:
        column = self.size.width >= ROOM_FOR_COLUMN
        self.set_class(column, "-column")
        self.set_class(not column, "-strip")

    # What is shown.

    def show(self, run: PatchRun, view: PatchView) -> None:
        """Another run, more of it, or another look at it."""
        self.run, self.view = run, view
        self.paint()

    def paint(self) -> None:
        """Everything; what looks as it did is not sent again."""
        if not self.is_attached or self.run.map(self.view.name, self.view.of) is None:
            return
        self._arrange()
        self._fill(self.grid, self.view)
        self.grid.cursor = self.at
        self._paint_second()
        self.tell()

    def _fill(self, grid: CellGrid, view: PatchView) -> None:
        run = self.run
        grid.ramp = self._ramp_of(view)
        grid.corner = patch_cells.corner(run, view.name)
        grid.span = patch_cells.span(run, view.name)
        largest = [one.at for one in best_of.best_cells(run, view.name, view.of)]
        grid.replace(*patch_cells.picture(run, view.name, view.of, largest))
        grid.set_column_marks(patch_cells.column_marks(run, view.name))

    def _paint_second(self) -> None:
        """Where there is room: heads beside positions, or positions beside heads."""
        run = self.run
        view = self.view.beside(run) if self.size.width >= ROOM_FOR_TWO else None
        self.set_class(view is not None, "-two")
        alone = view is None and not self.grid.cell_width
        widest = patch_cells.widest(run, self.view.name) if alone else None
        self.grid.styles.max_width = widest  # what is said of it stands close beside
        if view is None:
            return
        self._fill(self.beside, view)
        self.beside.cursor = view.cursor(run)
        scale = patch_cells.legend(run, view.name, text.heading(run, view.name), view.of)
        self._share_the_width()
        legend = self.query_one(Legend)
        ramp = self._ramp_of(view)
        legend.set_scale(scale.title, scale.low, scale.high, centred=scale.centred, ramp=ramp)

    def _share_the_width(self) -> None:
        """As the maps have columns: each as wide as its cells need."""
        second = self.query_one("#patch-second")
        for place, grid in ((self.grid, self.grid), (second, self.beside)):
            place.styles.width = f"{max(1, grid.column_count * grid.span)}fr"

    def _ramp_of(self, view: PatchView) -> Ramp:
        appearance = self.app.appearance
        if patch_cells.is_diverging(self.run, view.name, view.of):
            return appearance.library.ramp(DIVERGING, appearance.theme.dark)
        return appearance.ramp

    def tell(self) -> None:
        """Say what the map is, which maps there are, and what is under the cursor."""
        run, view = self.run, self.view
        title = text.heading(run, view.name, view.of)
        scale = patch_cells.legend(run, view.name, title, view.of)
        self.post_message(self.Scaled(scale, self._ramp_of(view)))
        write(self, "#patch-maps", text.maps_line(run, view.name, view.of))
        self._show_cell()

    @property
    def best(self) -> list[Best]:
        """The largest cells of the map in front."""
        return best_of.best_cells(self.run, self.view.name, self.view.of)

    # Moving.

    @property
    def at(self) -> At:
        return self.view.cursor(self.run)

    def go_to(self, at: At) -> None:
        self.grid.cursor = at

    @on(CellGrid.CursorMoved)
    def _cursor_moved(self, event: CellGrid.CursorMoved) -> None:
        event.stop()
        at = At(*self.grid.cursor)  # the message may be older than a new run
        if at != self.at:
            self.view = self.view.moved(self.run, at)
            if self.has_class("-two"):
                self.beside.cursor = (at.row, self.beside.cursor[1])
            self._show_cell_soon()

    @on(CellGrid.CellChosen)
    def _cell_chosen(self, event: CellGrid.CellChosen) -> None:
        event.stop()
        self.post_message(self.Chosen())

    def _show_cell_soon(self) -> None:
        """Once the cursor rests: while a key is held, only the grid is painted and sent."""
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(REST, self._show_cell)

    def _show_cell(self) -> None:
        """Write about the cell under the cursor, wherever there is room for it."""
        run, view = self.run, self.view
        if not self.is_attached or run.map(view.name, view.of) is None:
            return
        at, best = self.at, self.best
        by_position = run.maps[view.name].kind == "position"
        self.post_message(self.Pointed(at.column if by_position else None))
        if self.has_class("-column"):
            lines = inspector.lines(run, view.name, view.of, at)
            write(self, "#patch-cell", Content("\n").join(lines))
            write(self, "#patch-best", best_of.table(run, best, at, view.name))
            write(self, "#patch-notes", Content("\n").join(notes(run, view.name, view.of)))
        else:
            write(self, "#patch-cell-line", inspector.line(run, view.name, view.of, at))
            write(self, "#patch-best-line", best_of.strip(run, best, at, view.name))
            said = notes(run, view.name, view.of)
            write(self, "#patch-note-line", Content(" · ").join(said))
            self.query_one("#patch-note-line").display = bool(said)
