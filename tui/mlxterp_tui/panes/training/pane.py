"""A lens's training as a live page: its curves, its layers, how far it is, whether it generalises.

Opened from the jobs and from the runs; it follows a job that runs, and shows one that has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from mlxterp_engine.experiments import BadInput, Contract, ModelCard, Result
from mlxterp_engine.worker.protocol import ENDED, JobInfo, JobState
from mlxterp_tui.amounts import seconds
from mlxterp_tui.drawn import Draw, Drawn
from mlxterp_tui.keymap import bindings
from mlxterp_tui.panes.pane import Ended, Pane
from mlxterp_tui.panes.registry import RESUMABLE
from mlxterp_tui.panes.training import chart as training_chart
from mlxterp_tui.panes.training import text as training_text
from mlxterp_tui.panes.training.curves import Curves
from mlxterp_tui.reporting import tells_errors
from mlxterp_tui.screens.reader import CopyWanted
from mlxterp_tui.session import Progress
from mlxterp_tui.widgets.line_chart import LineChart
from mlxterp_tui.widgets.long_list import LongList

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp
    from mlxterp_tui.logbook import Stored

SECONDS_BETWEEN_PAINTS = 0.8
BESIDE = 100  # columns from which the table stands beside the chart
TALL = 20  # rows from which there is room for all that is said

EMPTY = """\
No training is shown. A tuned lens says what each layer already knows about the model's
last word (Belrose et al. 2023); a ridge lens is the same map in closed form, in seconds.

    t                    opens the form, with the price of what stands in it
    :train ridge         the same, for a ridge lens
    :train tuned --steps 100 --init ridge      begins at once

Trainings go on when this screen is closed; Enter in the jobs or the runs shows them."""


class TrainingPage(Pane):
    """Gathers parts, and paints them about once a second, and only what changed."""

    HELP_TITLE = "training"
    writes = (".tsv",)
    HELP = """\
A lens in training: KL(final ‖ lens) in nats, by layer. Up and down choose a layer; m shows that
layer (training and held-out text together), five layers, or all of them over the depth, where
the logit lens and a constant prediction stand beside it. The table has for each layer the KL of
the logit lens, of the constant, the training loss now, the held-out KL, and how much of the logit
lens's KL is left. Where held-out KL rises while training KL falls, the lens learns its text by
heart: the layer is marked ↑ and the page says so.

x stops it: a checkpoint is kept, and r goes on from there, to the same numbers.
"""
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("training")]
    DEFAULT_CSS = """
    TrainingPage { layout: vertical; height: 1fr; padding: 0 1; }
    #training-empty { height: 1fr; padding: 1 1; color: $text-muted; }
    #training-body { height: 1fr; layout: vertical; }
    #training-chart { height: 1fr; min-height: 7; }
    #training-table { height: 40%; }
    #training-columns { height: 1; color: $text-muted; }
    #training-layers { height: 1fr; }
    TrainingPage.-beside #training-body { layout: horizontal; }
    TrainingPage.-beside #training-chart { width: 1fr; height: 1fr; margin: 0 2 0 0; }
    TrainingPage.-beside #training-table { width: 62; height: 1fr; }
    """

    app: MlxterpApp

    def __init__(self) -> None:
        super().__init__(id="training")
        self.job = self._left = ""
        self._ready = asyncio.Event()
        self._experiment = ""
        self._subject = ""
        self._state: JobState | None = None
        self._reason = ""
        self._going = ("", 0.0)
        self._curves = Curves()
        self._result: Result | None = None
        self._views = {True: 0, False: training_chart.DEPTH}
        self._log = True
        self._waiting: Timer | None = None
        self._lines: list[training_text.Pieces] = []
        self._heading = Drawn(self._draw_heading, id="training-header")

    def compose(self) -> ComposeResult:
        yield Static(EMPTY, id="training-empty")
        yield Drawn(self._draw_facts, id="training-facts")
        yield Drawn(self._draw_verdicts, id="training-verdicts")
        with Container(id="training-body"):
            yield LineChart(id="training-chart")
            with Vertical(id="training-table"):
                yield Drawn(self._draw_columns, id="training-columns")
                yield LongList(self._draw_line, id="training-layers")

    async def prepare(self) -> None:
        await self._ready.wait()

    def on_mount(self) -> None:
        self._ready.set()
        self._paint()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= BESIDE, "-beside")
        self.call_after_refresh(self._paint)

    @property
    def heading(self) -> Widget:
        return self._heading

    def focus_contents(self) -> None:
        if self._ready.is_set():
            self.screen.set_focus(self._layers)

    # What it is given.

    def attend(self, job: str, experiment: str, subject: str) -> None:
        """This job is shown from now on."""
        self.stored = self.recorded_as = None
        self._begin(experiment, subject)
        self.job, self._state = job, "queued"
        self._paint()

    def session_changed(self) -> None:
        """How the job stands, as the engine tells it; one that was left is followed again."""
        left, self._left = self._left, ""
        if left and left in self.app.session.jobs and not self.app.runs.has_asked(self):
            self.app.trainings.watch(self.app.session.jobs[left])
            return
        self._left = "" if self._state else left
        info: JobInfo | None = self.app.session.jobs.get(self.job)
        if info is None or self._state in ENDED:
            return
        self._state, self._reason, self.recorded_as = info.state, info.reason, info.run
        self._going = (info.what, info.progress)
        if self._ready.is_set():
            self._paint_words()

    def show(self, parts: Sequence[Progress], card: ModelCard | None) -> None:
        if self._curves.take(parts):
            self._state = "running"
            self._paint_soon()

    def finish(self, result: Result) -> None:
        self._state, self._result = "done", result
        final = Curves.of_result(result)
        if len(final.held_out) < len(self._curves.held_out):
            final.held_out = self._curves.held_out
        final.latest = self._curves.latest
        self._take(final)

    def end(self, state: Ended, reason: str) -> None:
        self._state, self._reason = state, reason
        self._paint()

    def take_stored(self, stored: Stored) -> None:
        record, request = stored.record, stored.record.request
        curves = Curves()
        if stored.result is not None:
            curves = Curves.of_result(stored.result)
        elif not curves.take(stored.parts):
            raise BadInput(
                f"run {record.id} {record.state} before its first step; v shows what is known of it"
            )
        self._begin(str(request["name"]), _subject(request))
        self.job, self._state, self._reason = "", record.state, record.reason
        self._result = stored.result
        self._take(curves)

    def _begin(self, experiment: str, subject: str) -> None:
        self._experiment, self._subject = experiment, subject
        self._curves, self._result, self._reason = Curves(), None, ""
        self._going = ("", 0.0)

    def _take(self, curves: Curves) -> None:
        """Curves that are whole."""
        self._curves = curves
        self._paint()

    # What is shown.

    @property
    def _view(self) -> int:
        """One for trainings in steps; those in one go begin with the depth."""
        return self._views[self._experiment in RESUMABLE]

    @_view.setter
    def _view(self, view: int) -> None:
        self._views[self._experiment in RESUMABLE] = view

    @property
    def _layers(self) -> LongList:
        return self.query_one("#training-layers", LongList)

    def _paint_soon(self) -> None:
        """Now, or with what else comes until then."""
        if self._waiting is None:
            self._waiting = self.set_timer(SECONDS_BETWEEN_PAINTS, self._paint)

    def _paint(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()
            self._waiting = None
        if not self.query("#training-layers"):
            return
        shown = self._state is not None
        self.query_one("#training-empty").display = not shown
        for selector in ("#training-facts", "#training-verdicts", "#training-body"):
            self.query_one(selector).display = shown
        self._paint_words()
        self._paint_table()
        self._paint_chart()
        self._heading.redraw()
        self.post_message(self.Changed())

    def _paint_words(self) -> None:
        """As far as they changed."""
        for selector, draw in self._words.items():
            text = draw(self.size.width, 0).plain
            words = self.query_one(selector, Drawn)
            words.styles.height = text.count("\n") + 1 if text else 0
            words.redraw()
        self.query_one("#training-columns", Drawn).redraw()

    def _paint_table(self) -> None:
        """The lines that changed."""
        many, width = len(self._curves.layers), self._layers.size.width
        before, self._lines = self._lines, [self._draw_line(line, width) for line in range(many)]
        if self._layers.line_count != many:
            self._layers.set_lines(many, many // 2)
            return
        for line, (old, new) in enumerate(zip(before, self._lines, strict=False)):
            if old != new:
                self._layers.redraw_line(line)

    def _paint_chart(self) -> None:
        view = training_chart.VIEWS[self._view]
        chart = view.chart(self._curves, self._layers.cursor, self._log)
        self.query_one(LineChart).show(chart)

    @property
    def _words(self) -> dict[str, Draw]:
        return {
            "#training-facts": self._draw_facts,
            "#training-verdicts": self._draw_verdicts,
        }

    def _draw_heading(self, width: int, height: int) -> Content:
        if self._state is None:
            return Content("no training")
        kind = training_text.KINDS.get(self._experiment, self._experiment)
        view = training_chart.VIEWS[self._view].about
        return Content(" · ".join(filter(None, [kind, self._subject, view])))

    def _draw_facts(self, width: int, height: int) -> Content:
        kept = "" if self.recorded_as is None else f"run {self.recorded_as}"
        said = training_text.facts(self._curves, self._state, self._reason, kept, self._going)
        return training_text.in_lines(said, width, self._rows_of_words)

    def _draw_verdicts(self, width: int, height: int) -> Content:
        said = training_text.verdicts(self._curves)
        return training_text.in_lines(said, width, self._rows_of_words - 1)

    @property
    def _rows_of_words(self) -> int:
        return 3 if self.size.height >= TALL else 2

    def _draw_columns(self, width: int, height: int) -> Content:
        return Content(training_text.table_heading(width))

    def _draw_line(self, line: int, width: int) -> training_text.Pieces:
        return training_text.table_line(self._curves, line, width)

    @on(LongList.CursorMoved)
    def _moved(self, event: LongList.CursorMoved) -> None:
        event.stop()
        self._paint_chart()

    @property
    def contracts(self) -> Mapping[str, Contract]:
        return {} if self._result is None else self._result.meta.contracts

    @property
    def cost(self) -> str:
        return "" if self._result is None else seconds(self._result.meta.elapsed_s)

    @property
    def result(self) -> Result | None:
        return self._result

    # Keys.

    def action_cycle_view(self, step: int) -> None:
        self._view = (self._view + step) % len(training_chart.VIEWS)
        self._paint_chart()
        self._heading.redraw()

    def action_toggle_log(self) -> None:
        self._log = not self._log
        self._paint_chart()

    @tells_errors
    def action_stop_training(self) -> None:
        if self._state not in ("queued", "running"):
            raise BadInput("no training runs here; t begins one")
        self.app.trainings.stop(self.job)

    @tells_errors
    def action_resume_training(self) -> None:
        if self._state in (None, "queued", "running", "done"):
            raise BadInput(
                "only a training that was stopped or failed can go on; t begins a new one"
            )
        self.app.trainings.resume(self.stored, self.job)

    def action_leave(self) -> None:
        self.app.main.leave_page()

    def action_copy_layers(self) -> None:
        self.post_message(CopyWanted(training_text.table_tsv(self._curves)))

    # Files, and the next session.

    def exported(self, suffix: str) -> str:
        if suffix == ".tsv" and self._curves.layers:
            return training_text.table_tsv(self._curves)
        return super().exported(suffix)

    def suggested_name(self) -> str:
        return super().suggested_name() if self.run_id else "training"

    def remembered(self) -> dict[str, Any]:
        return {"job": self.job, "view": self._views[True], "log": self._log}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        view, log = remembered.get("view", 0), remembered.get("log", True)
        if isinstance(view, int) and 0 <= view < len(training_chart.VIEWS):
            self._views[True] = view
        self._log = log is not False
        self._left = str(remembered.get("job", ""))


def _subject(request: Mapping[str, Any]) -> str:
    return str(request.get("dataset") or " ".join(request.get("corpus", ())))
