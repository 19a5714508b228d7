"""The logit lens on screen: a grid of what each layer would say next, and the cell in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from mlxterp_engine.experiments import (
    AnyRequest,
    BadInput,
    Contract,
    LogitLens,
    LogitLensRow,
    ModelCard,
    Result,
    Started,
)
from mlxterp_themes import Ramp
from mlxterp_tui.amounts import seconds
from mlxterp_tui.command_line import whole_number
from mlxterp_tui.keymap import bindings
from mlxterp_tui.panes import lens_cells, lens_inspector, lens_memory, lens_text, lens_view
from mlxterp_tui.panes.lens_cells import layer_of, row_of
from mlxterp_tui.panes.lens_inspector import LensColumn, LensStrip
from mlxterp_tui.panes.lens_memory import LensMemory
from mlxterp_tui.panes.lens_run import LensRun
from mlxterp_tui.panes.lens_view import Cell, LensView
from mlxterp_tui.panes.lens_words import EMPTY, HELP
from mlxterp_tui.panes.pane import Ended, Pane
from mlxterp_tui.reporting import tells_errors
from mlxterp_tui.screens.reader import CopyWanted, Reader
from mlxterp_tui.session import Progress
from mlxterp_tui.setting import Setting
from mlxterp_tui.widgets.cell_grid import CellGrid
from mlxterp_tui.widgets.column_list import ColumnList
from mlxterp_tui.widgets.legend import Legend

import msgspec
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

if TYPE_CHECKING:
    from mlxterp_tui.logbook import Stored

TOP_K = 10
# From this width on there is room for the inspector beside the grid, and for a list too.
REST = 0.03  # seconds that the cursor has to rest before the cell is written about
ROOM_FOR_COLUMN, ROOM_FOR_BOTH = 108, 160
# Of the grid: its widest cell that fits by itself, and what stands around the cells.
WIDEST_FITTED, GUTTER = 14, 10


class LensPane(Pane, can_focus=True):
    """Paints rows as they come; what is known and how it is looked at are plain data."""

    HELP_TITLE = "logit lens"
    writes = (".tsv",)
    HELP = HELP
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("lens")]
    DEFAULT_CSS = """
    LensPane { layout: vertical; height: 1fr; }
    #lens-body { height: 1fr; display: none; }
    #lens-empty { width: 1fr; padding: 1 3; color: $text-muted; }
    #lens-grid { width: 1fr; }
    #lens-follow { width: 41; margin: 1 0 0 2; display: none; }
    LensColumn, LensStrip { display: none; }
    LensPane.-filled #lens-empty { display: none; }
    LensPane.-filled #lens-body { display: block; }
    LensPane.-filled.-column LensColumn { display: block; }
    LensPane.-filled.-follow #lens-follow { display: block; }
    LensPane.-filled.-strip LensStrip { display: block; }
    """

    def __init__(self) -> None:
        super().__init__(id="lens")
        self.run = LensRun()
        self.view = LensView()
        self.grid = CellGrid(id="lens-grid", corner="block", bottom_up=True)
        self._listed = ColumnList(id="lens-follow", bottom_up=True)
        self._heading = Legend(id="lens-legend")
        self._listed_labels: list[str] = []
        self._next = LensRun()
        self._target: str | None = None
        self._memory = LensMemory()
        self._recalling = False
        self._resting: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Static(EMPTY, id="lens-empty")

    async def prepare(self) -> None:
        if self.grid.is_attached:
            return
        body = Horizontal(self.grid, self._listed, LensColumn(), id="lens-body")
        await self.mount(body, LensStrip())
        self._turn_grid()
        self._set_stride(self.view.stride)
        self.grid.cell_width = self._memory.width
        self.recolour()
        self.watch(self.grid, "cell_width", self._hug_grid, init=False)
        if self.has_focus:
            self.grid.focus()

    def on_resize(self, event: events.Resize) -> None:
        self._arrange()

    @property
    def heading(self) -> Widget:
        return self._heading

    def focus_contents(self) -> None:
        self.screen.set_focus(self.grid if self.grid.is_attached else self)

    # The run.

    def request(self, prompt: str, setting: Setting) -> LogitLens:
        return LogitLens(
            prompt=prompt,
            top_k=TOP_K,
            target=self._target_for(setting),
            **setting.request_fields(),  # type: ignore[arg-type]
        )

    def _target_for(self, setting: Setting) -> str | None:
        """A token of the last session is asked of that session's model alone."""
        if self._recalling and self._memory.model != setting.model:
            return None
        return self._target

    def begin(self, request: AnyRequest, card: ModelCard | None) -> None:
        """What was on screen stays there until the new run has something to show."""
        assert isinstance(request, LogitLens)
        self._next = LensRun(request=request, state="waiting")

    def show(self, parts: Sequence[Progress], card: ModelCard | None) -> None:
        for part in parts:
            if isinstance(part, Started) and card is not None:
                self._start(part, card)
        self._add([part for part in parts if isinstance(part, LogitLensRow)])

    def finish(self, result: Result) -> None:
        self.run = self.run.finished(result)
        self._mark()
        self._tell()

    def end(self, state: Ended, reason: str) -> None:
        self._target = self.run.target
        if self.run.running:
            self.run = self.run.ended(state, reason)
        self._tell()

    def _start(self, started: Started, card: ModelCard) -> None:
        run = replace(self._next, layers=card.layers, vocabulary=card.vocab_size)
        self._target = run.target
        self._show_new(run.read(started.tokens[0], started.token_ids[0]))

    def _show_new(self, run: LensRun) -> None:
        """Another run is looked at: at the same place if it asks the same."""
        before, request = self.run, run.request
        new_target = request is not None and request.target not in (None, before.target)
        recalling, self._recalling = self._recalling, False
        view = self.view.for_run(run, before.asks_the_same(request), new_target and not recalling)
        self.run = run
        self.view = lens_memory.same_place(self._memory, run, view) if recalling else view
        self._set_labels()
        self.add_class("-filled")
        self._arrange()

    def take_stored(self, stored: Stored) -> None:
        from mlxterp_tui.panes.lens_stored import stored_run

        run = stored_run(stored)
        self._show_new(run)
        self._target = run.target
        self.grid.set_rows(lens_cells.all_cells(run, self.view))
        self._mark()
        self._tell()

    def remembered(self) -> dict[str, Any]:
        if self._recalling:
            return msgspec.to_builtins(self._memory)
        return lens_memory.remembered(self.run, self.view, self._target, self.grid.cell_width)

    def recall(self, remembered: Mapping[str, Any]) -> None:
        memory = self._memory = lens_memory.recalled(remembered)
        self.view, self._target = lens_memory.view_of(memory), memory.target
        self._recalling = memory.cursor is not None
        if self.grid.is_attached:
            self._turn_grid()
            self._set_stride(memory.stride)
            self.grid.cell_width = memory.width

    def _add(self, rows: list[LogitLensRow]) -> None:
        if not rows:
            return
        self.run = self.run.with_rows(rows)
        for row in rows:
            cells = lens_cells.cells(self.run, self.view, row.layer)
            self.grid.set_row(row_of(row.layer), cells)
        self._tell()

    # The grid.

    def _set_labels(self) -> None:
        self.grid.set_labels(lens_cells.labels(self.run), self.run.tokens)
        self._hug_grid()
        self.grid.cursor = (row_of(self.view.cursor.layer), self.view.cursor.pos)

    def _hug_grid(self) -> None:
        """Let a short prompt's inspector stand beside the grid, not far off."""
        cell = self.grid.cell_width or WIDEST_FITTED
        self.grid.styles.max_width = GUTTER + cell * max(1, self.run.positions)

    def _repaint(self) -> None:
        """Another metric: other colours everywhere."""
        self.grid.set_rows(lens_cells.all_cells(self.run, self.view))
        self._tell()

    def _mark(self) -> None:
        self.grid.set_marks(lens_cells.marks(self.run, self.view))

    def recolour(self) -> None:
        self.grid.ramp = self._listed.ramp = self._ramp
        self._show_scale()

    # What stands around the grid.

    def _arrange(self) -> None:
        """Give the inspector the side if there is room, else the strip under the grid."""
        width, following = self.size.width, self.view.following
        column = width >= (ROOM_FOR_BOTH if following else ROOM_FOR_COLUMN)
        self.set_class(following, "-follow")
        self.set_class(column, "-column")
        self.set_class(not column, "-strip")
        self._tell()

    def _tell(self) -> None:
        """The run or the view is another one."""
        self._show_cell()
        self._show_scale()
        self.post_message(self.Changed())

    def _show_cell_soon(self) -> None:
        """Once the cursor rests: while a key is held, only the grid is painted and sent."""
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(REST, self._show_cell)

    def _show_cell(self) -> None:
        """Write about the cell under the cursor, wherever there is room for it."""
        if self.run.state == "empty":
            return
        shown = LensColumn if self.has_class("-column") else LensStrip
        self.query_one(shown).show(self.run, self.view)
        if self.view.following:
            self._show_followed()

    def _show_followed(self) -> None:
        listed, labels = self._listed, lens_cells.labels(self.run)
        if labels != self._listed_labels:
            self._listed_labels = labels
            listed.set_labels(labels)
        listed.set_rows(lens_cells.column(self.run, self.view))
        listed.cursor = row_of(self.view.cursor.layer)

    def _show_scale(self) -> None:
        if self.run.state == "empty":
            return
        metric = lens_view.metric_of(self.view)
        wide = self.app.size.width >= ROOM_FOR_COLUMN
        title = (lens_view.long_title if wide else lens_view.title)(self.view, self.run)
        self._heading.set_scale(title, *metric.scale, log=metric.log, ramp=self._ramp)

    @property
    def _ramp(self) -> Ramp:
        return self.app.appearance.ramp  # type: ignore[attr-defined]

    @property
    def contracts(self) -> Mapping[str, Contract]:
        return self.run.contracts

    @property
    def cost(self) -> str:
        run = self.run
        size = f"{run.layers + 1} × {run.positions}"
        if run.result is not None:
            return f"{size} · {seconds(run.result.meta.elapsed_s)}"
        known = f"{len(run.rows)} of {run.layers + 1} rows"
        return f"{run.state}: {known}" if run.state in ("cancelled", "failed") else ""

    # Keys.

    @on(CellGrid.CursorMoved)
    def _cursor_moved(self, event: CellGrid.CursorMoved) -> None:
        event.stop()
        row, pos = self.grid.cursor  # the message may be older than a new run
        cell = Cell(layer_of(row), pos)
        if cell != self.view.cursor:
            self.view = self.view.moved(cell)
            self._show_cell_soon()

    @on(ColumnList.CursorMoved)
    def _list_moved(self, event: ColumnList.CursorMoved) -> None:
        event.stop()
        if event.column_list.has_focus:
            self.grid.cursor = (event.row, self.view.cursor.pos)

    @on(CellGrid.CellChosen)
    @on(ColumnList.RowChosen)
    def _chosen(self, event: Message) -> None:
        event.stop()
        self.app.push_screen(Reader("cell", lens_inspector.in_full(self.run, self.view)))

    def action_cycle_metric(self, step: int) -> None:
        self.view = self.view.cycled_metric(step, self.run.target is not None)
        self._repaint()

    @tells_errors
    def action_metric(self, name: str) -> None:
        if lens_view.METRICS[name].needs_target and self.run.target is None:
            raise BadInput(
                f"{name} needs a target; t takes the cursor's token, or :target ' Paris'"
            )
        self.view = self.view.with_metric(name)
        self._repaint()

    @tells_errors
    def action_take_target(self) -> None:
        token = lens_view.token_at(self.run, self.view.cursor)
        if token is None:
            raise BadInput("no token is under the cursor yet; run a prompt, then t on a cell")
        self._follow_token(None if token == self.run.target else token)

    def action_target(self, token: str) -> None:
        self._follow_token(None if token == "off" else token)

    def _follow_token(self, token: str | None) -> None:
        self._target = token
        self.post_message(self.Wanted())

    def action_pin(self) -> None:
        self.view = self.view.pinned_here()
        self._mark()
        self._tell()

    def action_unpin(self) -> None:
        self.view = replace(self.view, pinned=None, following=False)
        self._mark()
        self._arrange()

    def action_follow(self) -> None:
        self.view = replace(self.view, following=not self.view.following)
        self._arrange()

    def action_bottom_up(self) -> None:
        self.view = replace(self.view, embeddings_on_top=not self.view.embeddings_on_top)
        self._turn_grid()
        self._tell()

    def _turn_grid(self) -> None:
        self.grid.bottom_up = self._listed.bottom_up = not self.view.embeddings_on_top

    def action_cycle_stride(self) -> None:
        self._set_stride(self.view.cycled_stride().stride)

    @tells_errors
    def action_stride(self, words: str) -> None:
        self._set_stride(whole_number("stride", words, 1, max(1, self.run.layers)))

    def _set_stride(self, stride: int) -> None:
        self.view = replace(self.view, stride=stride)
        self.grid.stride = stride
        self._listed.stride = stride
        self._tell()

    @tells_errors
    def action_width(self, words: str) -> None:
        self.grid.cell_width = 0 if words == "auto" else whole_number("width", words, 4, 40)

    @tells_errors
    def action_find(self, needle: str) -> None:
        self.view = replace(self.view, needle=needle)
        self.action_find_next(1)

    @tells_errors
    def action_find_next(self, step: int) -> None:
        if not self.view.needle:
            raise BadInput("nothing to find yet; type / and some letters of a token")
        cell = lens_view.found(self.run, self.view, step)
        if cell is None:
            raise BadInput(f"no cell's top token holds {self.view.needle!r}")
        self.grid.cursor = (row_of(cell.layer), cell.pos)

    @tells_errors
    def action_copy_cell(self) -> None:
        self.post_message(CopyWanted(lens_text.cell_tsv(self.run, self.view.cursor)))

    def action_copy_table(self) -> None:
        self.post_message(CopyWanted(lens_text.table_tsv(self.run)))

    @property
    def result(self) -> Result | None:
        return self.run.result

    def exported(self, suffix: str) -> str:
        """As far as it is known: the table of a cancelled run holds the rows that came."""
        if self.run.state == "empty":
            raise BadInput("there is no lens to write yet; run a prompt first")
        return lens_text.table_tsv(self.run)

    def suggested_name(self) -> str:
        prompt = self.run.request.prompt if self.run.request else ""
        words = "".join(letter if letter.isalnum() else "-" for letter in prompt.lower())
        return f"lens-{words[:40].strip('-')}"
