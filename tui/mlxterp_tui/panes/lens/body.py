"""The lens's grids and what stands around them: how the runs are looked at, cell by cell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from mlxterp_engine.experiments import BadInput, LogitLensRow
from mlxterp_themes import Ramp
from mlxterp_tui.command_line import whole_number
from mlxterp_tui.keymap import bindings
from mlxterp_tui.panes.lens import cells as lens_cells
from mlxterp_tui.panes.lens import difference, inspector, text
from mlxterp_tui.panes.lens import picture as lens_picture
from mlxterp_tui.panes.lens import view as lens_view
from mlxterp_tui.panes.lens.beside import LensBeside
from mlxterp_tui.panes.lens.difference import LensPair
from mlxterp_tui.panes.lens.grids import LensGrids
from mlxterp_tui.panes.lens.inspector import LensColumn, LensStrip
from mlxterp_tui.panes.lens.picture import Scale
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.panes.lens.view import Cell, LensView
from mlxterp_tui.reporting import tells_errors
from mlxterp_tui.screens.reader import CopyWanted, Reader
from mlxterp_tui.widgets.column_list import ColumnList

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp

REST = 0.03  # seconds that the cursor has to rest before the cell is written about
# From these widths on there is room for the inspector beside the grid, and for more beside that.
ROOM_FOR_COLUMN, ROOM_FOR_MORE, ROOM_FOR_ALL = 108, 160, 200
DIVERGING = "blue-red"


class LensBody(Vertical):
    """`front` is the run that the first grid shows: the pane's, or in its place another one."""

    HELP_TITLE = "logit lens"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("lens-view")]
    DEFAULT_CSS = """
    LensBody { height: 1fr; display: none; }
    #lens-row { height: 1fr; }
    #lens-follow { width: 41; margin: 1 0 0 2; display: none; }
    LensColumn, LensStrip { display: none; }
    LensBody.-column LensColumn { display: block; }
    LensBody.-follow #lens-follow { display: block; }
    LensBody.-strip LensStrip { display: block; }
    """

    app: MlxterpApp

    class Scaled(Message):
        """What the colours of the first grid mean is another thing than before."""

        def __init__(self, scale: Scale, ramp: Ramp) -> None:
            super().__init__()
            self.scale, self.ramp = scale, ramp

    def __init__(self) -> None:
        super().__init__(id="lens-body")
        self.run = LensRun()
        self.beside = LensBeside()
        self._former: LensRun | None = None
        self.view = LensView()
        self.grids = LensGrids()
        self.lens_in_words = "logit lens"
        self._listed = ColumnList(id="lens-follow", bottom_up=True)
        self._listed_labels: list[str] = []
        self._resting: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Horizontal(self.grids, self._listed, LensColumn(), id="lens-row")
        yield LensStrip()

    def on_mount(self) -> None:
        self.look_as(self.view, self.grids.cell_width)

    def on_resize(self, event: events.Resize) -> None:
        self.paint()

    # What is shown.

    def show(self, run: LensRun, beside: LensBeside, view: LensView) -> None:
        """Another run, or another one beside it."""
        if run.request is not self.run.request:
            self._former = self.run
        self.run, self.beside, self.view = run, beside, view
        self.paint()

    def add(self, run: LensRun, rows: list[LogitLensRow]) -> None:
        """More rows of the run that is shown."""
        self.run = run
        if self._pair is not None or self.front is not run:
            self.paint()
            return
        for row in rows:
            cells = lens_cells.cells(run, self.view, row.layer)
            self.grids.one.set_row(run.index(row.layer), cells)
        self.tell()

    def look_as(self, view: LensView, width: int) -> None:
        """As a session was left."""
        self.view = view
        self.grids.set_width(width)
        if self.is_attached:
            self._turn()
            self._stride()

    @property
    def front(self) -> LensRun:
        look = self.beside.look
        other = self.beside.looked_at(self.run)
        return self.run if other is None or look.difference or self.room_for_two else other

    @property
    def _pair(self) -> LensPair | None:
        """The two runs whose difference is looked at."""
        other = self.beside.looked_at(self.run)
        if other is None or not self.beside.look.difference:
            return None
        return difference.pair(other, self.run)

    @property
    def room_for_two(self) -> bool:
        """Whether a second grid fits beside the first."""
        return self.size.width >= (ROOM_FOR_ALL if self.view.following else ROOM_FOR_MORE)

    def paint(self) -> None:
        """Everything; what looks as it did is not sent again."""
        if self.run.state == "empty" or not self.is_attached:
            return
        self._arrange()
        self.view = self.view.moved(lens_view.within(self.view.cursor, self.front))
        self._paint_first()
        self._paint_second()
        self.grids.move_to(self.front.index(self.view.cursor.layer), self.view.cursor.pos)
        self.tell()

    def _paint_first(self) -> None:
        both = None if self.room_for_two else self._pair
        if both is None:
            self.grids.show(lens_picture.of_run(self.front, self.view, self._former), self._ramp)
        else:
            self.grids.show(lens_picture.of_difference(both, self.view), self._diverging)

    def _paint_second(self) -> None:
        other, both = self.beside.looked_at(self.run), self._pair
        if other is None or not self.room_for_two:
            self.grids.hide_second()
        elif both is None:
            picture, scale = lens_picture.of_run(other, self.view), self._scale_of(other)
            self.grids.show_second(picture, self._ramp, scale, self._caption)
        else:
            picture = lens_picture.of_difference(both, self.view)
            scale = lens_picture.scale_of_difference(both, self.view, self.beside)
            self.grids.show_second(picture, self._diverging, scale, self._caption)

    @property
    def _caption(self) -> str:
        return lens_picture.caption(self.run)

    def _scale_of(self, run: LensRun) -> Scale:
        return lens_picture.scale_of_other(run, self.view, self.beside)

    @property
    def _ramp(self) -> Ramp:
        return self.app.appearance.ramp

    @property
    def _diverging(self) -> Ramp:
        appearance = self.app.appearance
        return appearance.library.ramp(DIVERGING, appearance.theme.dark)

    # What stands around the grids.

    def _arrange(self) -> None:
        """Give the inspector the side if there is room, else the strip under the grid."""
        width, following = self.size.width, self.view.following
        column = width >= (ROOM_FOR_MORE if following else ROOM_FOR_COLUMN)
        self.set_class(following, "-follow")
        self.set_class(column, "-column")
        self.set_class(not column, "-strip")

    def tell(self) -> None:
        """Write about the cell under the cursor, and what the colours mean."""
        run = self.front
        self.grids.show_lines("rank", lambda pos: inspector.rank_levels(run, pos))
        self._show_cell()
        self.post_message(self.Scaled(*self._first_scale()))

    def _first_scale(self) -> tuple[Scale, Ramp]:
        both = None if self.room_for_two else self._pair
        if both is not None:
            scale = lens_picture.scale_of_difference(both, self.view, self.beside)
            return scale, self._diverging
        if self.front is not self.run:
            return self._scale_of(self.front), self._ramp
        wide = self.app.size.width >= ROOM_FOR_COLUMN
        words = lens_view.long_title(self.view, self.run, self.lens_in_words)
        title = words if wide else lens_view.title(self.view, self.run)
        if self.beside.look.difference and self.beside.looked_at(self.run) and not self._pair:
            title = f"{lens_picture.NOT_COMPARED} {title}"
        return lens_picture.scale_of_run(self.view, title), self._ramp

    def _show_cell_soon(self) -> None:
        """Once the cursor rests: while a key is held, only the grid is painted and sent."""
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(REST, self._show_cell)

    def _show_cell(self) -> None:
        """Write about the cell under the cursor, wherever there is room for it."""
        if self.run.state == "empty" or not self.is_attached:
            return
        shown = LensColumn if self.has_class("-column") else LensStrip
        self.query_one(shown).show(self.front, self.view, self._compared)
        if self.view.following:
            self._show_followed()

    @property
    def _compared(self) -> list[str]:
        """The cell in both runs, where two are compared."""
        if (both := self._pair) is None:
            return []
        cell = self.view.cursor
        return difference.of_cell(both, self.view.metric, cell.layer, cell.pos)

    def _show_followed(self) -> None:
        listed, labels = self._listed, lens_cells.labels(self.front)
        if labels != self._listed_labels:
            self._listed_labels = labels
            listed.set_labels(labels)
        listed.ramp = self._ramp
        listed.set_rows(lens_cells.column(self.front, self.view))
        listed.cursor = self.front.index(self.view.cursor.layer)

    # Moving.

    @on(LensGrids.Moved)
    def _cursor_moved(self, event: LensGrids.Moved) -> None:
        event.stop()
        row, pos = self.grids.cursor  # the message may be older than a new run
        cell = Cell(self.front.layer_at(row), pos)
        if cell != self.view.cursor:
            self.view = self.view.moved(cell)
            self._show_cell_soon()

    @on(ColumnList.CursorMoved)
    def _list_moved(self, event: ColumnList.CursorMoved) -> None:
        event.stop()
        if event.column_list.has_focus:
            self.grids.move_to(event.row, self.view.cursor.pos)

    @on(LensGrids.Chosen)
    @on(ColumnList.RowChosen)
    def _chosen(self, event: Message) -> None:
        event.stop()
        self.app.push_screen(Reader("cell", inspector.in_full(self.front, self.view)))

    # Keys.

    def action_cycle_metric(self, step: int) -> None:
        self.view = self.view.cycled_metric(step, self.run.target is not None)
        self.paint()

    @tells_errors
    def action_metric(self, name: str) -> None:
        if lens_view.METRICS[name].needs_target and self.run.target is None:
            raise BadInput(
                f"{name} needs a target; t takes the cursor's token, or :target ' Paris'"
            )
        self.view = self.view.with_metric(name)
        self.paint()

    def action_pin(self) -> None:
        self.view = self.view.pinned_here()
        self.paint()

    def action_unpin(self) -> None:
        self.view = replace(self.view, pinned=None, following=False)
        self.paint()

    def action_follow(self) -> None:
        self.view = replace(self.view, following=not self.view.following)
        self.paint()

    def action_bottom_up(self) -> None:
        self.view = replace(self.view, embeddings_on_top=not self.view.embeddings_on_top)
        self._turn()

    def _turn(self) -> None:
        self._listed.bottom_up = not self.view.embeddings_on_top
        self.grids.turn(not self.view.embeddings_on_top)

    def action_cycle_stride(self) -> None:
        self.view = self.view.cycled_stride()
        self._stride()

    @tells_errors
    def action_stride(self, words: str) -> None:
        most = max(1, self.run.layers)
        self.view = replace(self.view, stride=whole_number("stride", words, 1, most))
        self._stride()

    def _stride(self) -> None:
        self.grids.set_stride(self.view.stride)
        self._listed.stride = self.view.stride
        self.tell()

    @tells_errors
    def action_width(self, words: str) -> None:
        self.grids.set_width(0 if words == "auto" else whole_number("width", words, 4, 40))

    @tells_errors
    def action_find(self, needle: str) -> None:
        self.view = replace(self.view, needle=needle)
        self.action_find_next(1)

    @tells_errors
    def action_find_next(self, step: int) -> None:
        if not self.view.needle:
            raise BadInput("nothing to find yet; type / and some letters of a token")
        cell = lens_view.found(self.front, self.view, step)
        if cell is None:
            raise BadInput(f"no cell's top token holds {self.view.needle!r}")
        self.grids.move_to(self.front.index(cell.layer), cell.pos)

    @tells_errors
    def action_copy_cell(self) -> None:
        self.post_message(CopyWanted(text.cell_tsv(self.front, self.view.cursor)))

    def action_copy_table(self) -> None:
        self.post_message(CopyWanted(text.table_tsv(self.front)))
