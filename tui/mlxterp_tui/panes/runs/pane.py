"""The research log on screen: every run, newest first; found, opened, compared, run again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from mlxterp_engine.experiments import BadInput, EngineError
from mlxterp_engine.runlog.record import RunLine, RunRecord
from mlxterp_tui.drawn import Drawn
from mlxterp_tui.keymap import bindings
from mlxterp_tui.logbook import Known
from mlxterp_tui.panes.pane import Pane
from mlxterp_tui.panes.runs import text as runs_text
from mlxterp_tui.panes.runs.tree import Listing, listing
from mlxterp_tui.panes.runs.words import EMPTY, HELP, NOTHING_FOUND
from mlxterp_tui.reporting import tells_errors
from mlxterp_tui.screens.reader import CopyWanted, Reader
from mlxterp_tui.widgets.filter_line import FilterLine
from mlxterp_tui.widgets.long_list import LongList, Pieces

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp

REST = 0.03  # seconds that the cursor has to rest before a run is looked up
ROOM_FOR_COLUMN = 110
ROOM_FOR_STRIP = 12
REFILLED = 0.2  # seconds: many changes at once are one look at the log
LOOK = 1.0  # seconds between two looks whether another process has written to the log


class RunsPane(Pane):
    """Reads the log in a thread; what is done with a run is the app's."""

    HELP_TITLE = "runs"
    HELP = HELP
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("runs"),
    ]
    DEFAULT_CSS = """
    RunsPane { layout: vertical; height: 1fr; padding: 0 1; }
    #runs-columns { height: 1; color: $text-muted; }
    #runs-body { height: 1fr; }
    #runs-list { width: 1fr; }
    #runs-empty { display: none; width: 1fr; padding: 1 2 1 1; color: $text-muted; }
    #runs-detail { display: none; width: 46; margin: 0 0 0 2; scrollbar-size-vertical: 1; }
    #runs-strip { display: none; height: auto; max-height: 5; background: $surface; padding: 0 1;
                  text-wrap: nowrap; text-overflow: ellipsis; }
    RunsPane.-column #runs-detail, RunsPane.-strip #runs-strip { display: block; }
    RunsPane.-empty #runs-empty { display: block; }
    RunsPane.-empty #runs-list { width: 1; height: 1; }  /* hidden, it would lose the keys */
    RunsPane.-empty #runs-columns { display: none; }
    RunsPane.-empty #runs-strip, RunsPane.-empty #runs-detail { display: none; }
    FilterLine { display: none; }
    RunsPane.-filtered FilterLine { display: block; }
    """

    app: MlxterpApp

    def __init__(self) -> None:
        super().__init__(id="runs")
        self._search = ""
        self._listing = Listing([], [])
        self._version: tuple[int, int] | None = None  # of the log, as it is listed or being read
        self._total = 0
        self._known: Known | None = None
        self._seen_jobs: object = None
        self._marked: int | None = None
        self._wanted: int | None = None
        self._turned: set[int] = set()
        self._deleted: list[int] = []
        self._resting: Timer | None = None
        self._refilling: Timer | None = None
        self._looking: Timer | None = None
        self._heading = Drawn(self._draw_heading, id="runs-header")

    def compose(self) -> ComposeResult:
        yield FilterLine()
        yield Drawn(self._draw_columns, id="runs-columns")
        with Horizontal(id="runs-body"):
            yield LongList(self._draw_line, id="runs-list")
            yield Static(EMPTY, id="runs-empty")
            with VerticalScroll(id="runs-detail", can_focus=False):
                yield Static(id="runs-known")
        yield Static(id="runs-strip")

    def on_mount(self) -> None:
        self._looking = self.set_interval(LOOK, self._look)
        self.refill()

    def on_show(self) -> None:
        if self._looking is not None:
            self._looking.resume()
        self.refill()

    def on_hide(self) -> None:
        if self._looking is not None:
            self._looking.pause()

    def on_resize(self, event: events.Resize) -> None:
        column = event.size.width >= ROOM_FOR_COLUMN
        self.set_class(column, "-column")
        self.set_class(not column and event.size.height >= ROOM_FOR_STRIP, "-strip")
        self.query_one("#runs-columns", Drawn).redraw()

    @property
    def heading(self) -> Widget:
        return self._heading

    @property
    def listed(self) -> LongList:
        return self.query_one(LongList)

    def focus_contents(self) -> None:
        self.screen.set_focus(self.listed)

    def remembered(self) -> dict[str, Any]:
        return {"run": self.run_id, "turned": sorted(self._turned)}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        run, turned = remembered.get("run"), remembered.get("turned")
        self._wanted = run if isinstance(run, int) else None
        known = turned if isinstance(turned, list) else []
        self._turned = {one for one in known if isinstance(one, int)}

    # What is listed.

    def session_changed(self) -> None:
        """Look at the log again when a job began or ended."""
        jobs = [(info.id, info.state) for info in self.app.session.jobs.values()]
        if jobs != self._seen_jobs:
            self._seen_jobs = jobs
            if self._refilling is None:
                self._refilling = self.set_timer(REFILLED, self.refill)

    @work(group="look", exclusive=True)
    async def _look(self) -> None:
        """Runs made elsewhere come into the list while it is in front."""
        try:
            version = await self.app.logbook.ask(lambda log: log.version())
        except EngineError:
            return  # the list has said what ails the log
        if self._version not in (None, version):
            self._version = version  # once: a reading that takes long must not be begun anew
            self.refill()

    @work(group="runs", exclusive=True)
    async def refill(self) -> None:
        """Read the log as the filter says. The cursor stays on its run."""
        self._refilling = None
        try:
            found = await self.app.logbook.ask(
                listing, self._search, frozenset(self.app.pinned_runs), frozenset(self._turned)
            )
        except BadInput as error:
            self.query_one(FilterLine).say(str(error))
            if not self._search:
                self.app.troubles.once(error)
            return
        if self._is_there:
            self.query_one(FilterLine).say("")
            self._show(found)

    @property
    def _is_there(self) -> bool:
        """False at the very end, when the log may still have an answer."""
        return bool(self.query("#runs-strip"))

    def _show(self, listing: Listing) -> None:
        at, self._wanted = self._wanted or self.run_id, None
        self._listing, self._version = listing, listing.version
        if not self._search:
            self._total = len(listing.lines)
        ids = [entry.line.id for entry in listing.entries]
        self.listed.set_lines(len(ids), ids.index(at) if at in ids else 0)
        empty = NOTHING_FOUND if self._search else EMPTY
        self.query_one("#runs-empty", Static).update(empty)
        self.set_class(not ids, "-empty")
        self._heading.redraw()
        self._look_up()

    @property
    def marked_line(self) -> RunLine | None:
        """The run under the cursor."""
        entries, at = self._listing.entries, self.listed.cursor
        return entries[at].line if at < len(entries) else None

    @property
    def run_id(self) -> int | None:
        line = self.marked_line if self.query(LongList) else None
        return None if line is None else line.id

    def _draw_heading(self, width: int, height: int) -> Content:
        shown, total = len(self._listing.lines), self._total
        runs = f"{total:,} run{'' if total == 1 else 's'}"
        return Content(f"{shown:,} of {runs}" if self._search else runs)

    def _draw_columns(self, width: int, height: int) -> Content:
        return Content(runs_text.heading(self._list_width))

    @property
    def cost(self) -> str:
        """In the row under the pane: what the mark is for."""
        return f"run {self._marked} is marked: c compares it" if self._marked else ""

    @property
    def known_tags(self) -> set[str]:
        return {tag for line in self._listing.lines for tag in line.tags}

    @property
    def _list_width(self) -> int:
        return self.listed.size.width if self.query(LongList) else self.size.width

    def _draw_line(self, line: int, width: int) -> Pieces:
        entry = self._listing.entries[line]
        return runs_text.run_line(entry, width, datetime.now(), entry.line.id == self._marked)

    # The run under the cursor.

    @on(LongList.CursorMoved)
    def _cursor_moved(self, event: LongList.CursorMoved) -> None:
        event.stop()
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(REST, self._look_up)

    @work(group="look-up", exclusive=True)
    async def _look_up(self) -> None:
        run = self.run_id
        if run is None:
            return
        try:
            self._known = await self.app.logbook.known(run)
        except BadInput as error:
            self._write(Content(str(error)), Content(str(error)))
            return
        record, children = self._known
        if self._is_there:
            self._write(runs_text.detail(record, children), runs_text.summary(record))

    def _write(self, detail: Content, summary: Content) -> None:
        self.query_one("#runs-known", Static).update(detail)
        self.query_one("#runs-detail", VerticalScroll).scroll_home(animate=False)
        self.query_one("#runs-strip", Static).update(summary)

    def suggested_name(self) -> str:
        return f"run-{self.run_id}" if self.run_id else "runs"

    def _need_run(self) -> int:
        if self.run_id is None:
            raise BadInput("no run is under the cursor; run something first, or esc the filter")
        return self.run_id

    async def _need_known(self) -> RunRecord:
        return (await self.app.logbook.known(self._need_run())).record

    # The filter.

    def action_filter(self, text: str | None = None) -> None:
        """Open the filter line, or filter by a text at once."""
        self.add_class("-filtered")
        line = self.query_one(FilterLine)
        if text is None:
            line.focus_line()
        else:
            line.text = text
            self.focus_contents()

    def action_unfilter(self) -> None:
        """Clear the filter; without one, the mark."""
        if self.has_class("-filtered"):
            self.query_one(FilterLine).text = ""
            self.remove_class("-filtered")
        else:
            self._mark(None)
        self.focus_contents()

    @on(FilterLine.Typed)
    def _filter_typed(self, event: FilterLine.Typed) -> None:
        event.stop()
        self._search = event.text
        self.refill()

    @on(FilterLine.Entered)
    def _filter_entered(self, event: FilterLine.Entered) -> None:
        event.stop()
        if not self._search:
            self.remove_class("-filtered")
        self.focus_contents()

    @on(FilterLine.MoveWanted)
    def _filter_moves(self, event: FilterLine.MoveWanted) -> None:
        event.stop()
        self.listed.action_move(event.lines)

    # Keys.

    @on(LongList.LineChosen)
    def _chosen(self, event: LongList.LineChosen) -> None:
        event.stop()
        self.action_open_run()

    @tells_errors
    def action_open_run(self) -> None:
        self.app.recorded.open(self._need_run())

    @tells_errors
    def action_replay(self) -> None:
        self.app.recorded.replay(self._need_run())

    @tells_errors
    def action_mark(self) -> None:
        run = self._need_run()
        self._mark(None if self._marked == run else run)
        self.listed.action_move(1)

    def _mark(self, run: int | None) -> None:
        self._marked = run
        self.listed.refresh()
        self.post_message(self.Changed())

    @tells_errors
    def action_compare(self) -> None:
        run = self._need_run()
        if self._marked is None or self._marked == run:
            raise BadInput("mark another run with space first, then c compares it with this one")
        self.app.recorded.compare(self._marked, run)

    @work(group="view-run", exclusive=True)
    async def action_view_run(self) -> None:
        """All that is known of the run, over everything else."""
        try:
            known = await self.app.logbook.known(self._need_run())
        except EngineError as error:
            self.app.report(error)
            return
        text = runs_text.detail(known.record, known.children)
        self.app.push_screen(Reader(f"run {known.record.id}", text))

    @work(group="begin", exclusive=True)
    async def action_edit(self, command: str) -> None:
        """Open the `:` line with what stands there now."""
        try:
            record = await self._need_known()
        except EngineError as error:
            self.app.report(error)
            return
        now = {"note": record.note, "outcome": record.outcome, "tag": ""}[command]
        await self.app.main.action_begin(f"{command} {' '.join(now.split())}")

    def action_delete_run(self) -> None:
        self._delete()

    @work(group="delete")
    async def _delete(self) -> None:
        run = self.run_id
        if run is None:
            return
        below = min(self.listed.cursor + 1, len(self._listing.entries) - 1)
        following = self._listing.entries[below].line.id
        if await self.app.recorded.delete(run):
            self._deleted.append(run)
            if self.run_id == run and following != run:
                self.listed.cursor = below
            self.refill()

    @work(group="delete")
    async def action_undelete(self) -> None:
        if not self._deleted:
            self.app.report(BadInput("nothing was deleted here; d deletes the run at the cursor"))
            return
        if await self.app.recorded.restore(self._deleted[-1]):
            run = self._wanted = self._deleted.pop()
            self.refill()
            self.app.tell(f"run {run} is back")

    @tells_errors
    def action_pin_run(self) -> None:
        """Keep the run at the top of this workspace's list, or no longer."""
        self.app.pinned_runs ^= {self._need_run()}
        self.refill()

    @tells_errors
    def action_fold(self) -> None:
        """Fold or unfold the family that the cursor stands on or in."""
        entry = self._listing.entries[self.listed.cursor] if self._need_run() else None
        run = entry.line.id if entry and entry.children else entry and entry.line.parent
        if run is None or run not in {one.line.id for one in self._listing.entries}:
            raise BadInput("this run has no children, and is nobody's; there is nothing to fold")
        self._turned ^= {run}
        self._go_to(run)
        self.refill()

    @tells_errors
    def action_parent(self) -> None:
        line = self.marked_line
        if line is None or line.parent is None:
            raise BadInput("this run has no parent: it was asked by itself")
        self._go_to(line.parent)

    def _go_to(self, run: int) -> None:
        ids = [entry.line.id for entry in self._listing.entries]
        if run not in ids:
            raise BadInput(f"run {run} is not in the list; esc clears the filter")
        self.listed.cursor = ids.index(run)

    @tells_errors
    def action_copy_run(self) -> None:
        self._need_run()
        assert self.marked_line is not None
        self.post_message(CopyWanted(runs_text.run_tsv(self.marked_line)))

    def action_copy_runs(self) -> None:
        self.post_message(CopyWanted(runs_text.runs_tsv(self._listing.lines)))
