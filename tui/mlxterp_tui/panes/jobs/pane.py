"""What the engine runs and has run, and the end of its log."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.worker.protocol import ENDED, JobInfo
from mlxterp_tui.drawn import Drawn
from mlxterp_tui.keymap import bindings
from mlxterp_tui.panes.jobs import text
from mlxterp_tui.panes.pane import Pane
from mlxterp_tui.panes.registry import TRAININGS, pane_showing
from mlxterp_tui.reporting import tells_errors
from mlxterp_tui.screens.reader import CopyWanted, Reader
from mlxterp_tui.widgets.long_list import LongList

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp

EMPTY = """\
No jobs yet. Everything that the engine computes is a job: opening a model, a lens.
Jobs go on when this screen is closed, and are found here again.

For example: i, type a prompt, Enter.  t trains a lens."""


class JobsPane(Pane):
    """Reads the session's jobs each time they change."""

    HELP_TITLE = "jobs"
    HELP = """\
Jobs of the background engine, newest first: opening a model, each lens, each training. They go on
when this screen is closed. x cancels the marked one; what it had computed is kept by the pane that
asked. Enter shows a running one, a training with its curves, or all that is known of an ended one.
t trains a lens; r goes on with a training that was stopped. Below: the engine's log.
"""
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("jobs")]
    DEFAULT_CSS = """
    JobsPane { layout: vertical; height: 1fr; padding: 0 1; }
    #jobs-heading { height: 1; color: $text-muted; }
    #jobs-list { height: 1fr; }
    #jobs-empty { height: 1fr; padding: 1 2; color: $text-muted; }
    #jobs-log { height: 35%; border-top: solid $foreground 30%; color: $text-muted; }
    """

    app: MlxterpApp

    def __init__(self) -> None:
        super().__init__(id="jobs")
        self._shown: list[JobInfo] = []
        self._heading = Drawn(self._draw_heading, id="jobs-header")

    def compose(self) -> ComposeResult:
        yield Drawn(self._draw_columns, id="jobs-heading")
        yield Static(EMPTY, id="jobs-empty")
        yield LongList(self._draw_job, id="jobs-list")
        yield Drawn(self._draw_log, id="jobs-log")

    def on_mount(self) -> None:
        self.query_one("#jobs-log").border_title = "engine log"
        self.session_changed()

    @property
    def heading(self) -> Widget:
        return self._heading

    @property
    def _list(self) -> LongList:
        return self.query_one("#jobs-list", LongList)

    def focus_contents(self) -> None:
        self.screen.set_focus(self._list)

    def _draw_heading(self, width: int, height: int) -> Content:
        running = sum(info.state not in ENDED for info in self._shown)
        return Content(f"{len(self._shown)} jobs, {running} running or waiting")

    def _draw_columns(self, width: int, height: int) -> Content:
        return Content(text.heading(width))

    def _draw_job(self, line: int, width: int) -> text.Pieces:
        return text.job_line(self._shown[line], width)

    def session_changed(self) -> None:
        """Show the session's jobs as they are now; the mark stays on its job."""
        if not self.query("#jobs-list"):
            return
        jobs = text.newest_first(self.app.session.jobs.values())
        if jobs == self._shown and jobs:
            return
        marked, old, self._shown = self.marked, self._shown, jobs
        if [info.id for info in jobs] == [info.id for info in old]:
            self._redraw_changed(old)
        else:
            ids = [info.id for info in jobs]
            at = ids.index(marked.id) if marked and marked.id in ids else 0
            self._list.set_lines(len(jobs), at)
        self.query_one("#jobs-empty").display = not jobs
        self._list.display = bool(jobs)
        self.query_one("#jobs-log", Drawn).redraw()
        self._heading.redraw()

    def _redraw_changed(self, old: list[JobInfo]) -> None:
        for at, (before, now) in enumerate(zip(old, self._shown, strict=True)):
            if before != now:
                self._list.redraw_line(at)

    @property
    def marked(self) -> JobInfo | None:
        at = self._list.cursor
        return self._shown[at] if at < len(self._shown) else None

    def action_cancel_job(self) -> None:
        if self.marked is not None:
            self.post_message(self.CancelWanted(self.marked))

    def action_watch_job(self) -> None:
        self._open(self.marked)

    @tells_errors
    def action_resume_job(self) -> None:
        info = self.marked
        if info is None or info.experiment not in TRAININGS:
            raise BadInput("only a training can go on from where it was stopped; mark one")
        if info.state not in ("cancelled", "failed"):
            raise BadInput(f"this training is {info.state}; r goes on with one that was stopped")
        self.app.trainings.resume(None, info.id)

    def action_copy_job(self) -> None:
        if self.marked is not None:
            self.post_message(CopyWanted(text.job_tsv(self.marked)))

    @on(LongList.LineChosen)
    def _chosen(self, event: LongList.LineChosen) -> None:
        event.stop()
        self._open(self.marked)

    def _open(self, info: JobInfo | None) -> None:
        """In its pane; a job that has ended is shown in words where no pane can have it whole."""
        if info is None:
            return
        is_training = info.experiment in TRAININGS
        whole = info.state not in ENDED or info.state == "done" or is_training
        if whole and (pane_showing(info.experiment) or info.state not in ENDED):
            self.post_message(self.WatchWanted(info))
        else:
            self.app.push_screen(Reader("job", text.detail(info)))

    def _draw_log(self, width: int, height: int) -> Content:
        lines = text.log_tail(self.app.session.log, height)
        if not lines:
            return Content("the engine's log is empty")
        return Content("\n").join(Content(line).truncate(width, ellipsis=True) for line in lines)
