"""An engine that answers from a recording: true numbers, no computing, no process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from mlxterp_engine.experiments import (
    BadInput,
    ModelCard,
    Price,
    RunCancelled,
    RunFailed,
)
from mlxterp_engine.runlog.comparison import Comparison
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.record import Recording as RunSaid
from mlxterp_engine.worker.client import Lost
from mlxterp_engine.worker.launch import NoEngine
from mlxterp_engine.worker.protocol import (
    AnyEvent,
    AnyNotice,
    Cancelled,
    EngineStatus,
    Failed,
    Finished,
    JobChanged,
    JobInfo,
    ModelChanged,
    Tokenized,
)
from mlxterp_engine.worker.tasks import ModelOpened, OpenModel, Outcome, Task

import msgspec

RECORDINGS = Path(__file__).parent / "recordings"


class RecordedRun(msgspec.Struct, frozen=True):
    """A task and all that was told of it, the end included."""

    task: Task
    price: Price | None
    events: list[AnyEvent]


class Recording(msgspec.Struct, frozen=True):
    """card: the model that was open. tokens: what texts were read as."""

    card: ModelCard
    runs: list[RecordedRun]
    tokens: dict[str, Tokenized]

    @classmethod
    def load(cls, name: str) -> Recording:
        return msgspec.msgpack.decode((RECORDINGS / f"{name}.msgpack").read_bytes(), type=cls)

    def save(self, name: str) -> None:
        (RECORDINGS / f"{name}.msgpack").write_bytes(msgspec.msgpack.encode(self))

    def run_of(self, task: Task) -> RecordedRun:
        for run in self.runs:
            if run.task == task:
                return run
        raise BadInput(f"this was not recorded: {task}")


class RecordedJob:
    """Plays the events of a run; `gate` holds them back after the first `free` ones."""

    def __init__(self, id: str, run: RecordedRun, engine: RecordedEngine) -> None:
        self.id = id
        self.price = run.price
        self.run = run
        self.ended = False
        self.logged_as: int | None = None
        self.passing = False
        self._engine = engine
        self._cancelled = asyncio.Event()
        self._told: list[object] = []

    async def events(self) -> AsyncIterator[object]:
        for number, event in enumerate(self.run.events):
            await self._engine.passes(number, self._cancelled)
            if self._cancelled.is_set() or isinstance(event, Finished | Failed | Cancelled):
                return
            self._told.append(event)
            yield event

    async def outcome(self) -> Outcome:
        self.ended = True
        if self._cancelled.is_set():
            self._log(lambda log, run: log.cancelled(run, self._told))
            self._engine.tell_job(self, "cancelled")
            raise RunCancelled("cancelled")
        end = self.run.events[-1]
        if isinstance(end, Failed):
            self._log(lambda log, run: log.failed(run, end.reason))
            self._engine.tell_job(self, "failed", end.reason)
            raise RunFailed(end.reason, end.details)
        assert isinstance(end, Finished)
        self._log(lambda log, run: log.finish(run, end.outcome))
        self._engine.tell_job(self, "done")
        return end.outcome

    def cancel(self) -> None:
        self._cancelled.set()

    def _log(self, told: Callable[[RunLog, int], None]) -> None:
        if self._engine.log is not None and self.logged_as is not None:
            told(self._engine.log, self.logged_as)


class RecordedEngine:
    """Looks like `worker.client.Engine` to the app.

    free: how many events of each job pass at once; None for all. `release` lets the rest pass.
    log: where the runs are recorded; None records nothing.
    """

    def __init__(
        self, recording: Recording, free: int | None = None, log: RunLog | None = None
    ) -> None:
        self.recording = recording
        self.asked: list[Task] = []
        self.said: list[RunSaid | None] = []
        self.closed = False
        self.shut_down = False
        self.log = log
        self.records = True
        self._free = free
        self._released = asyncio.Event()
        self._jobs: dict[str, RecordedJob] = {}
        self._notices: list[Callable[[AnyNotice], None]] = []
        self._losses: list[Callable[[Lost], None]] = []

    async def connect(self, start: bool = True, any_version: bool = False) -> RecordedEngine:
        """What the app calls to attach."""
        if not start:
            raise NoEngine("no engine is running")
        return self

    async def passes(self, number: int, cancelled: asyncio.Event) -> None:
        if self._free is None or number < self._free:
            return
        waits = [asyncio.ensure_future(event.wait()) for event in (self._released, cancelled)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def release(self) -> None:
        self._released.set()

    def lose(self, lost: Lost) -> None:
        for callback in self._losses:
            callback(lost)

    async def submit(
        self,
        task: Task,
        out: str | None = None,
        recording: RunSaid | None = None,
        passing: bool = False,
    ) -> RecordedJob:
        self.asked.append(task)
        self.said.append(recording)
        run = self._opening(task) if isinstance(task, OpenModel) else self.recording.run_of(task)
        job = RecordedJob(f"job{len(self._jobs) + 1}", run, self)
        self._jobs[job.id], job.passing = job, passing
        if (
            self.records
            and self.log is not None
            and recording is not None
            and not isinstance(task, OpenModel)
        ):
            job.logged_as = self.log.begin(task, recording, run.price)
        self.tell_job(job, "running")
        if isinstance(task, OpenModel):
            self._notify(ModelChanged(self.recording.card))
        return job

    async def watch(self, job_id: str, seq: int = 0) -> RecordedJob:
        return RecordedJob(job_id, self._jobs[job_id].run, self)

    async def estimate(self, task: Task) -> Price | None:
        return next((run.price for run in self.recording.runs if run.task == task), None)

    async def tokenize(self, text: str, bos: str = "auto", chat: bool = False) -> Tokenized:
        return self.recording.tokens.get(text, Tokenized([0], [text]))

    async def pieces(self, text: str) -> Tokenized:
        """Of what was recorded, as it was; else one token."""
        return await self.tokenize(text)

    async def compare(self, first: int, second: int) -> Comparison:
        from mlxterp_engine.runlog.compare import compare

        assert self.log is not None
        return compare(self.log.result(first), self.log.result(second))

    async def cancel(self, job_id: str) -> None:
        self._jobs[job_id].cancel()

    async def status(self) -> EngineStatus:
        return EngineStatus(
            pid=1, version="0.1.0", started=0.0, model=None, log="", jobs=[], memory=0, peak=0
        )

    async def shutdown(self, force: bool = False) -> None:
        self.shut_down = True

    async def close(self) -> None:
        self.closed = True

    def on_notice(self, callback: Callable[[AnyNotice], None]) -> Callable[[], None]:
        self._notices.append(callback)
        return lambda: self._notices.remove(callback)

    def on_lost(self, callback: Callable[[Lost], None]) -> Callable[[], None]:
        self._losses.append(callback)
        return lambda: self._losses.remove(callback)

    def tell_job(self, job: RecordedJob, state: str, reason: str = "") -> None:
        if job.passing:
            return
        task = job.run.task
        self._notify(
            JobChanged(
                JobInfo(
                    id=job.id,
                    experiment=type(task).__struct_config__.tag,  # type: ignore[arg-type]
                    state=state,  # type: ignore[arg-type]
                    progress=0.0 if state == "running" else 1.0,
                    model=task.model,  # type: ignore[union-attr]
                    prompt=getattr(task, "about", ""),
                    price=job.price,
                    submitted=float(len(self._jobs)),
                    started=0.0,
                    ended=None if state == "running" else 0.25,
                    reason=reason,
                    run=job.logged_as,
                )
            )
        )

    def _opening(self, task: OpenModel) -> RecordedRun:
        return RecordedRun(task, None, [Finished(ModelOpened(self.recording.card))])

    def _notify(self, notice: AnyNotice) -> None:
        for callback in self._notices:
            callback(notice)
