"""The app's side of the engine: attach, open a model, run requests. No Textual in here.

The engine's own client may raise `EngineError`s; they go through to whoever asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal, TypeVar

from mlxterp_engine.experiments import (
    AnyPart,
    EngineError,
    ModelCard,
    Price,
    RunFailed,
    Started,
    Step,
)
from mlxterp_engine.experiments.request import Bos
from mlxterp_engine.runlog.comparison import Comparison
from mlxterp_engine.runlog.record import Recording
from mlxterp_engine.worker.client import Engine, Job, Lost
from mlxterp_engine.worker.launch import NoEngine
from mlxterp_engine.worker.protocol import (
    ENDED,
    AnyNotice,
    EngineStatus,
    JobChanged,
    JobInfo,
    LogTrouble,
    ModelChanged,
    Tokenized,
)
from mlxterp_engine.worker.tasks import Outcome, Task

Connect = Callable[..., Awaitable[Engine]]
"""As `Engine.attach`: start, any_version."""
Progress = Started | Step | AnyPart
State = Literal["starting", "ready", "lost", "stopped"]
T = TypeVar("T")

NOTHING_SAID = Recording()

# The screen is repainted at most this often while parts arrive.
SECONDS_BETWEEN_UPDATES = 0.1


async def batches(events: AsyncIterator[T], pause: float) -> AsyncIterator[list[T]]:
    """Events in lists: the first at once, then at most one list in each `pause` seconds."""
    waiting: list[T] = []
    arrived = asyncio.Event()

    async def read() -> None:
        async for event in events:
            waiting.append(event)
            arrived.set()

    reader = asyncio.create_task(read())
    reader.add_done_callback(lambda _: arrived.set())
    try:
        while waiting or not reader.done():
            await arrived.wait()
            arrived.clear()
            if waiting:
                batch, waiting[:] = waiting[:], []
                yield batch
            await asyncio.wait([reader], timeout=pause)
        await reader
    finally:
        reader.cancel()


class Session:
    """One connection at a time. `changed` is called after anything below has changed."""

    def __init__(self, connect: Connect, changed: Callable[[], None]) -> None:
        self._connect = connect
        self._changed = changed
        self.engine: Engine | None = None
        self.state: State = "starting"
        self.card: ModelCard | None = None
        self.jobs: dict[str, JobInfo] = {}
        self.lost: Lost | None = None
        self.log = ""
        self.log_trouble = ""
        self.pid = 0
        self._settled = asyncio.Event()

    async def attach(self) -> None:
        """Connect to the background engine, starting it when there is none."""
        self._settled.clear()
        self.state, self.lost = "starting", None
        self._changed()
        try:
            engine = await self._connect()
            engine.on_notice(self._noticed)
            engine.on_lost(self._was_lost)
            status = await engine.status()
            self.engine, self.state = engine, "ready"
            self.card, self.log, self.pid = status.model, status.log, status.pid
            self.log_trouble = status.log_trouble
            self.jobs = {info.id: info for info in status.jobs}
        except EngineError:
            self.state = "stopped"
            raise
        finally:
            self._settled.set()
            self._changed()

    async def submit(self, task: Task, recording: Recording | None = NOTHING_SAID) -> Job:
        """Queue a task; while the engine is starting, first wait for it.

        recording: what the log is told of it; None leaves nothing behind.
        """
        return await (await self._attached()).submit(task, recording=recording)

    async def glance(self, task: Task) -> Job:
        """The same in passing: no list of jobs has it, and nothing is kept of it."""
        return await (await self._attached()).submit(task, recording=None, passing=True)

    async def estimate(self, task: Task) -> Price | None:
        """What it would cost; None where the engine can't say."""
        return await (await self._attached()).estimate(task)

    async def watch(self, job_id: str) -> Job:
        """A job that runs or has run, from its beginning."""
        return await (await self._attached()).watch(job_id)

    async def follow(self, job: Job, show: Callable[[list[Progress]], None]) -> Outcome:
        """What came of the job; what comes before its end goes to `show`, in batches."""
        async for batch in batches(job.events(), SECONDS_BETWEEN_UPDATES):
            show(batch)
        return await job.outcome()

    async def compare(self, first: int, second: int) -> Comparison:
        """Two runs of the log: how far apart their arrays are."""
        return await (await self._attached()).compare(first, second)

    def run_of(self, job: Job) -> int | None:
        """The job's number in the log."""
        info = self.jobs.get(job.id)
        return None if info is None else info.run

    async def cancel(self, job_id: str) -> None:
        await (await self._attached()).cancel(job_id)

    async def tokenize(self, text: str, bos: Bos, chat: bool) -> Tokenized:
        return await (await self._attached()).tokenize(text, bos, chat)

    async def pieces(self, text: str) -> Tokenized:
        """Of a text that stands within another, as an answer does behind a prompt."""
        return await (await self._attached()).pieces(text)

    async def status(self) -> EngineStatus:
        return await (await self._attached()).status()

    async def stop(self) -> None:
        """Shut the engine down, jobs and all; one that is not ours only where no jobs run."""
        if self.engine is not None:
            await self.engine.shutdown(force=True)
            await self.hang_up()
        else:
            await self._stop_other()
        self.engine, self.state, self.card = None, "stopped", None
        self._changed()

    async def _stop_other(self) -> None:
        """An engine of another version holds the place that ours would take."""
        try:
            other = await self._connect(start=False, any_version=True)
        except NoEngine:
            return
        try:
            await other.shutdown()
        finally:
            await other.close()

    async def hang_up(self) -> None:
        """Leave the engine to itself; its jobs go on."""
        if self.engine is not None:
            await self.engine.close()

    @property
    def running(self) -> list[JobInfo]:
        return [info for info in self.jobs.values() if info.state not in ENDED]

    async def _attached(self) -> Engine:
        await self._settled.wait()
        if self.engine is None:
            raise RunFailed("there is no engine; R or :engine restart starts one")
        return self.engine

    def _noticed(self, notice: AnyNotice) -> None:
        if isinstance(notice, JobChanged):
            self.jobs[notice.info.id] = notice.info
        elif isinstance(notice, ModelChanged):
            self.card = notice.card
        elif isinstance(notice, LogTrouble):
            self.log_trouble = notice.reason
        self._changed()

    def _was_lost(self, lost: Lost) -> None:
        self.engine, self.state, self.lost = None, "lost", lost
        self._changed()
