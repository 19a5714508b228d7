"""Asking the engine on behalf of a pane, and showing what comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from mlxterp_engine.experiments import (
    AnyRequest,
    BadInput,
    EngineError,
    LogitLens,
    ModelCard,
    Price,
    Result,
    RunCancelled,
    Step,
    request_from,
)
from mlxterp_engine.runlog.record import Recording
from mlxterp_engine.worker.client import Job
from mlxterp_engine.worker.protocol import JobInfo
from mlxterp_engine.worker.tasks import ModelOpened, Outcome, Task, in_background
from mlxterp_tui.panes.pane import Answer, Pane
from mlxterp_tui.session import Progress
from mlxterp_tui.setting import Setting

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp


class Going(NamedTuple):
    """A job on its way, as the row under the pane shows it."""

    name: str
    step: Step | None = None
    price: Price | None = None


class Runs:
    """What this screen has asked for and still waits for. Errors go to `app.report`."""

    def __init__(self, app: MlxterpApp) -> None:
        self._app = app
        self._going: dict[str, Going] = {}
        self._in_background: set[str] = set()
        self._pane_job: Job | None = None
        self._shown_by: Pane | None = None  # while that job is its own
        self._asked: set[Pane] = set()

    def run(self, pane: Pane, prompt: str) -> None:
        """Ask what the pane asks about this prompt; its older question is stopped."""
        self._asked.add(pane)
        self._start(self._ask(pane, prompt), "run")

    def preview(self, pane: Pane, prompt: str) -> None:
        """The same while somebody types: nothing is recorded, and no trouble interrupts."""
        self._asked.add(pane)
        self._app.run_worker(self._preview(pane, prompt), group="run", exclusive=True)

    def note_asked(self, pane: Pane) -> None:
        """Something else fills this pane: what a session left there is not wanted any more."""
        self._asked.add(pane)

    def complete(self, pane: Pane) -> None:
        """Ask what the pane misses beside the run that it shows."""
        self._start(self._answer_beside(pane, Recording(parent=pane.recorded_as)), "run")

    def has_asked(self, pane: Pane) -> bool:
        return pane in self._asked

    def watch(self, pane: Pane, info: JobInfo) -> None:
        """Show what runs, or has run, in its pane."""
        self._start(self._attend(pane, info), "run")

    def open(
        self,
        setting: Setting,
        opened: Callable[[ModelCard], None],
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """Open the setting's model, and then call back; a failure is reported first."""
        self._start(self._open(setting, opened, failed), "open")

    def cancel(self, job_id: str | None = None) -> None:
        """Stop a job, by default the one that the screen shows."""
        wanted = job_id or self._first
        if wanted:
            self._start(self._app.session.cancel(wanted), "cancel")

    @property
    def current(self) -> Going | None:
        """The job to show."""
        return self._going[self._first] if self._first else None

    @property
    def _first(self) -> str | None:
        """The job that ends first: the oldest, but a card lets the others in."""
        short = (job_id for job_id in self._going if job_id not in self._in_background)
        return next(short, next(iter(self._going), None))

    def _start(self, work: Coroutine[Any, Any, None], group: str) -> None:
        self._app.run_worker(self._reported(work), group=group, exclusive=True)

    async def _reported(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except RunCancelled:
            self._app.tell("stopped; what was computed is shown")
        except EngineError as error:
            self._app.report(error)

    async def _ask(self, pane: Pane, prompt: str) -> None:
        await self._stop_older(pane)
        request = await pane.asked(prompt, self._app.setting)
        if request is not None:
            recording = Recording(hypothesis=self._app.hypothesis)
            await self.answer(request, pane, recording)

    async def _preview(self, pane: Pane, prompt: str) -> None:
        await self._stop_older(pane)
        try:
            request = pane.request(prompt, self._app.setting)
            if request is None or not await self._app.live.affords(request):
                return
            if not pane.answers(request):
                await pane.prepare()
                pane.begin(request, self._app.session.card)
                await self._show_in(pane, self._app.session.glance(request), "", True)
            await self._answer_beside(pane, None)
        except EngineError as error:
            pane.trouble = str(error)
            self._app.show_run()

    async def answer(
        self, request: AnyRequest, pane: Pane | None, recording: Recording
    ) -> int | None:
        """Run a request, in a pane if it has one; its number in the log, None if it has none."""
        app = self._app
        name = str(request.__struct_config__.tag)
        await self._stop_older(pane)
        if pane is None:
            job = await self._submitted(request, recording)
            await self._follow(job, name, lambda parts: None)
            return app.session.run_of(job)
        await pane.prepare()
        pane.begin(request, app.session.card)
        await self._show_in(pane, self._submitted(request, recording), name)
        await self._answer_beside(pane, Recording(parent=pane.recorded_as))
        return pane.recorded_as

    async def _answer_beside(self, pane: Pane, recording: Recording | None) -> None:
        """What the pane wants to have beside its run, one after the other."""
        session = self._app.session
        while (wanted := pane.beside_wanted()) is not None:
            request, answer = wanted
            name, quiet = str(request.__struct_config__.tag), recording is None
            answer.begin(request, session.card)
            asked = session.glance(request) if quiet else session.submit(request, recording)
            outcome = await self._given(answer, asked, name, quiet)
            answer.finish(cast(Result, outcome))

    async def _submitted(self, request: AnyRequest, recording: Recording) -> Job:
        """A hypothesis is for one run: it is used once the engine has taken that run."""
        job = await self._app.session.submit(request, recording)
        if recording.hypothesis:
            self._app.hypothesis = ""
            self._app.main.redraw()
        return job

    async def _attend(self, pane: Pane, info: JobInfo) -> None:
        await pane.prepare()
        pane.begin(await self._asked_by(info), self._app.session.card)
        await self._show_in(pane, self._app.session.watch(info.id), info.experiment)

    async def _asked_by(self, info: JobInfo) -> AnyRequest:
        """What a job was asked: all of it where the log has it, else as a lens of its prompt."""
        if info.run is None:
            return LogitLens(prompt=info.prompt, model=info.model)
        record = (await self._app.logbook.known(info.run)).record
        parameters = dict(record.request)
        return request_from(str(parameters.pop("name")), parameters)

    async def _open(
        self,
        setting: Setting,
        opened: Callable[[ModelCard], None],
        failed: Callable[[], None],
    ) -> None:
        try:
            card = await self.opened(setting)
        except BadInput as error:
            self._app.report(error)
            failed()
        else:
            opened(card)

    async def opened(self, setting: Setting) -> ModelCard:
        """The setting's model, open."""
        outcome = await self.outcome(setting.open_model(), f"opening {setting.model}")
        return cast(ModelOpened, outcome).card

    async def outcome(self, task: Task, name: str) -> Outcome:
        """What comes of a task that is told only in the row under the pane."""
        job = await self._app.session.submit(task)
        if in_background(task):
            self._in_background.add(job.id)
        return await self._follow(job, name, lambda parts: None)

    async def _show_in(
        self, pane: Pane, asked: Awaitable[Job], name: str, quiet: bool = False
    ) -> None:
        """Give the pane what comes of a job, however it ends. quiet: a preview."""
        self._shown_by = pane
        outcome = await self._given(pane, self._taken(pane, asked, quiet), name, quiet)
        self._shown_by = None
        pane.finish(cast(Result, outcome))
        self._app.keep_session()

    async def _taken(self, pane: Pane, asked: Awaitable[Job], quiet: bool) -> Job:
        """The engine has the pane's question: what stood there before counts no more."""
        job = await asked
        pane.stored = pane.recorded_as = None
        pane.previewed, pane.trouble = quiet, ""
        self._app.main.redraw()
        return job

    async def _given(
        self, answer: Answer, asked: Awaitable[Job], name: str, quiet: bool
    ) -> Outcome:
        """The outcome, after all that came on the way; the answer is told of any other end."""
        try:
            job = self._pane_job = await asked
            return await self._shown_in(answer, job, name, quiet)
        except RunCancelled:
            answer.end("cancelled", "")
            raise
        except EngineError as error:
            answer.end("failed", str(error))
            raise

    async def _shown_in(self, answer: Answer, job: Job, name: str, quiet: bool) -> Outcome:
        """However it ends, the answer knows its number: what was cancelled is kept, too."""

        def show(parts: list[Progress]) -> None:
            answer.show(parts, self._app.session.card)

        try:
            if quiet:
                return await self._app.session.follow(job, show)
            return await self._follow(job, name, show)
        finally:
            if job is self._pane_job:
                answer.recorded_as = self._app.session.run_of(job)

    async def _follow(self, job: Job, name: str, show: Callable[[list[Progress]], None]) -> Outcome:
        """Keep the row under the pane up to date while the job runs."""
        going = Going(name, price=job.price)

        def progressed(parts: list[Progress]) -> None:
            steps = [part for part in parts if isinstance(part, Step)]
            if steps:
                self._tell(job.id, going._replace(step=steps[-1]))
            show(parts)

        self._tell(job.id, going)
        try:
            return await self._app.session.follow(job, progressed)
        finally:
            self._going.pop(job.id, None)
            self._app.show_run()

    def _tell(self, job_id: str, going: Going) -> None:
        self._going[job_id] = going
        self._app.show_run()

    async def _stop_older(self, asking: Pane | None) -> None:
        """A pane whose run is stopped for another's is told; its own next run replaces it."""
        if self._pane_job is not None and not self._pane_job.ended:
            await self._app.session.cancel(self._pane_job.id)
            if self._shown_by not in (None, asking):
                self._shown_by.end("cancelled", "")
        self._pane_job = self._shown_by = None
