"""The engine without an event loop, for scripts, notebooks and the command line.

with BlockingEngine.private() as engine:
    result = engine.run(LogitLens(prompt="The capital of France is"))
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from mlxterp_engine.experiments import EngineError, Price, RunCancelled
from mlxterp_engine.runlog.record import NOTHING_SAID, Recording
from mlxterp_engine.worker.client import Engine, Job, Progress
from mlxterp_engine.worker.protocol import AnyNotice, EngineStatus, JobInfo
from mlxterp_engine.worker.tasks import Outcome, Task

T = TypeVar("T")


class BlockingEngine:
    """An `Engine` in a thread of its own. Use it in a `with`, from one thread at a time."""

    def __init__(self, connect: Callable[[], Coroutine[Any, Any, Engine]]) -> None:
        """Use `attach` or `private`."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine", daemon=True)
        self._thread.start()
        try:
            self._engine = self._wait(connect())
        except BaseException:
            self._end_loop()
            raise

    @classmethod
    def attach(cls, start: bool = True, any_version: bool = False) -> BlockingEngine:
        """The background engine, as `Engine.attach` gives it."""
        return cls(lambda: Engine.attach(start, any_version))

    @classmethod
    def private(cls) -> BlockingEngine:
        """An engine of our own, which ends when we close it or die."""
        return cls(Engine.private)

    def run(
        self,
        task: Task,
        on_event: Callable[[Progress], None] = lambda event: None,
        out: str | None = None,
        recording: Recording | None = NOTHING_SAID,
    ) -> Outcome:
        """Run a task to its end. on_event is called on this thread; Ctrl-C cancels the job.

        Raises BadInput, RunFailed or RunCancelled.
        """
        return self.finish(self.submit(task, out, recording), on_event)

    def finish(self, job: Job, on_event: Callable[[Progress], None]) -> Outcome:
        """`follow`, but Ctrl-C cancels the job, and waits until it has ended."""
        try:
            return self.follow(job, on_event)
        except KeyboardInterrupt:
            self.cancel(job.id)
            self._wait(_ended(job))
            raise RunCancelled(f"job {job.id} was cancelled") from None

    def submit(
        self,
        task: Task,
        out: str | None = None,
        recording: Recording | None = NOTHING_SAID,
        folder: str | None = None,
    ) -> Job:
        """Queue a task and return at once. See `Engine.submit`."""
        return self._wait(self._engine.submit(task, out, recording, folder))

    def estimate(self, task: Task) -> Price | None:
        """What a task will cost on the open model; None where it needs another one."""
        return self._wait(self._engine.estimate(task))

    def watch(self, job_id: str) -> Job:
        """Somebody's job, from its beginning."""
        return self._wait(self._engine.watch(job_id))

    def follow(self, job: Job, on_event: Callable[[Progress], None]) -> Outcome:
        """Hear a job's events until it ends, and return what came of it."""
        heard: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
        asyncio.run_coroutine_threadsafe(_copy(job, heard), self._loop)
        while (event := heard.get()) is not None:
            on_event(event)
        return self._wait(job.outcome())

    def cancel(self, job_id: str) -> None:
        self._wait(self._engine.cancel(job_id))

    def status(self) -> EngineStatus:
        return self._wait(self._engine.status())

    def jobs(self) -> list[JobInfo]:
        """Newest first."""
        return self._wait(self._engine.jobs())

    def save(self, job_id: str, out: str) -> None:
        """Write an ended job's result to an absolute .npz path."""
        self._wait(self._engine.save(job_id, out))

    def on_notice(self, callback: Callable[[AnyNotice], None]) -> None:
        """Hear what the engine tells everybody, on a thread of its own."""
        self._engine.on_notice(callback)

    def shutdown(self, force: bool = False) -> None:
        """Stop the engine and wait until it is gone. BadInput while jobs run, unless forced."""
        self._wait(self._engine.shutdown(force))

    @property
    def log(self) -> str:
        """The file to which the engine writes what it has to say."""
        return str(self._engine.log)

    def close(self) -> None:
        """Hang up. Jobs of a background engine go on; a private engine ends."""
        try:
            self._wait(self._engine.close())
        finally:
            self._end_loop()

    def __enter__(self) -> BlockingEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


async def _copy(job: Job, heard: queue.SimpleQueue[Progress | None]) -> None:
    try:
        async for event in job.events():
            heard.put(event)
    finally:
        heard.put(None)


async def _ended(job: Job) -> None:
    try:
        await job.outcome()
    except EngineError:
        return
