"""What the engine runs and has run, and the end of its log."""

from __future__ import annotations

from typing import ClassVar

from mlxterp_engine.worker.protocol import ENDED, JobInfo
from mlxterp_tui.drawn import Drawn
from mlxterp_tui.keymap import bindings
from mlxterp_tui.panes import jobs_text
from mlxterp_tui.panes.pane import Pane
from mlxterp_tui.screens.reader import CopyWanted, Reader
from mlxterp_tui.session import Session

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList, Static

EMPTY = """\
No jobs yet. Everything that the engine computes is a job: opening a model, a lens.
Jobs go on when this screen is closed, and are found here again.

For example: i, type a prompt, Enter."""


class JobList(OptionList):
    """The list; moves as every other list here does."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("g", "first", "First", show=False),
        Binding("G", "last", "Last", show=False),
    ]


class JobsPane(Pane):
    """Reads the session's jobs each time they change."""

    HELP_TITLE = "jobs"
    HELP = """\
Jobs of the background engine, newest first: opening a model, each lens. They go on when this
screen is closed. x cancels the marked one; what it had computed is kept by the pane that asked.
Enter shows a running one, or all that is known of an ended one. Below: the engine's log.
"""
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("jobs")]
    DEFAULT_CSS = """
    JobsPane { layout: vertical; height: 1fr; padding: 0 1; }
    #jobs-heading { height: 1; padding: 0 1; color: $text-muted; }
    #jobs-list { height: 1fr; border: none; background: $background; padding: 0; }
    #jobs-list:focus { border: none; background-tint: $background 0%; }
    #jobs-list { text-wrap: nowrap; text-overflow: ellipsis; }
    #jobs-list > .option-list--option-highlighted { background: $primary 20%; color: $foreground; }
    #jobs-empty { height: 1fr; padding: 1 2; color: $text-muted; }
    #jobs-log { height: 35%; border-top: solid $foreground 30%; color: $text-muted; }
    """

    def __init__(self) -> None:
        super().__init__(id="jobs")
        self._shown: list[JobInfo] = []
        self._heading = Drawn(self._draw_heading, id="jobs-header")

    def compose(self) -> ComposeResult:
        yield Static(jobs_text.HEADING, id="jobs-heading")
        yield Static(EMPTY, id="jobs-empty")
        yield JobList(id="jobs-list")
        yield Drawn(self._draw_log, id="jobs-log")

    def on_mount(self) -> None:
        self.query_one("#jobs-log").border_title = "engine log"
        self.session_changed()

    @property
    def heading(self) -> Widget:
        return self._heading

    def focus_contents(self) -> None:
        self.screen.set_focus(self.query_one(JobList))

    def _draw_heading(self, width: int, height: int) -> Content:
        running = sum(info.state not in ENDED for info in self._shown)
        return Content(f"{len(self._shown)} jobs, {running} running or waiting")

    def session_changed(self) -> None:
        """Show the session's jobs as they are now; the mark stays on its job."""
        if not self.query(JobList):
            return
        session: Session = self.app.session  # type: ignore[attr-defined]
        jobs = jobs_text.newest_first(session.jobs.values())
        if jobs == self._shown and jobs:
            return
        marked = self.marked
        same_jobs = [info.id for info in jobs] == [info.id for info in self._shown]
        old, self._shown = self._shown, jobs
        if same_jobs:
            self._replace_changed(old)
        else:
            self._fill(marked)
        self.query_one("#jobs-empty").display = not jobs
        self.query_one(JobList).display = bool(jobs)
        self.query_one("#jobs-log", Drawn).redraw()
        self._heading.redraw()

    @property
    def marked(self) -> JobInfo | None:
        at = self.query_one(JobList).highlighted
        return self._shown[at] if at is not None and at < len(self._shown) else None

    def action_cancel_job(self) -> None:
        if self.marked is not None:
            self.post_message(self.CancelWanted(self.marked))

    def action_watch_job(self) -> None:
        self._open(self.marked)

    def action_copy_job(self) -> None:
        if self.marked is not None:
            self.post_message(CopyWanted(jobs_text.job_tsv(self.marked)))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._open(self._shown[event.option_index])

    def _open(self, info: JobInfo | None) -> None:
        if info is None:
            return
        if info.state not in ENDED or (info.state == "done" and info.experiment == "logit-lens"):
            self.post_message(self.WatchWanted(info))
        else:
            self.app.push_screen(Reader("job", jobs_text.detail(info)))

    def _fill(self, marked: JobInfo | None) -> None:
        listed = self.query_one(JobList)
        listed.clear_options()
        listed.add_options(jobs_text.job_line(info) for info in self._shown)
        ids = [info.id for info in self._shown]
        if ids:
            listed.highlighted = ids.index(marked.id) if marked and marked.id in ids else 0

    def _replace_changed(self, old: list[JobInfo]) -> None:
        listed = self.query_one(JobList)
        for at, (before, now) in enumerate(zip(old, self._shown, strict=True)):
            if before != now:
                listed.replace_option_prompt_at_index(at, jobs_text.job_line(now))

    def _draw_log(self, width: int, height: int) -> Content:
        session: Session = self.app.session  # type: ignore[attr-defined]
        lines = jobs_text.log_tail(session.log, height)
        if not lines:
            return Content("the engine's log is empty")
        return Content("\n").join(Content(line).truncate(width, ellipsis=True) for line in lines)
