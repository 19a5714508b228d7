"""The engine as an object: requests go in, parts and results come out. No mlx, no numpy.

    engine = await Engine.attach()
    job = await engine.submit(LogitLens(prompt="The capital of France is"))
    async for event in job.events():   # Started, Step, LogitLensRow, ...
        paint(event)
    result = await job.outcome()

Everything here belongs to the event loop that made the engine. `blocking.py` is the same
without a loop.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Literal

import msgspec

from mlxterp_engine.experiments import (
    AnyPart,
    BadInput,
    EngineError,
    Price,
    RunCancelled,
    RunFailed,
    Started,
    Step,
)
from mlxterp_engine.worker import launch, protocol
from mlxterp_engine.worker.launch import NoEngine
from mlxterp_engine.worker.protocol import AnyCall, AnyNotice, AnyReply, EngineStatus, JobInfo
from mlxterp_engine.worker.tasks import Outcome, Task

__all__ = ["Engine", "Job", "Lost", "NoEngine"]

Progress = Started | Step | AnyPart


class Lost(msgspec.Struct, frozen=True):
    """The engine is gone. reason: one sentence; tail: the log's last lines."""

    reason: str
    log: Path
    tail: list[str]
    details: str = ""


class Job:
    """One task on its way. `seq` is the number of the next event it expects."""

    def __init__(self, id: str, price: Price | None = None, seq: int = 0) -> None:
        self.id = id
        self.price = price
        self.seq = seq

    @property
    def ended(self) -> bool:
        raise NotImplementedError

    def events(self) -> AsyncIterator[Progress]:
        """What happens before the end, in order; each event is given once, to one reader.

        Stops when the job ends, however it ends: `outcome` tells how.
        """
        raise NotImplementedError

    async def outcome(self) -> Outcome:
        """What came of it. Raises BadInput, RunFailed or RunCancelled; may be awaited often."""
        raise NotImplementedError


class Engine:
    """A connection to an engine process."""

    lost: asyncio.Future[Lost]  # set once, when the engine dies; cancelled by `close`

    @classmethod
    async def attach(cls, start: bool = True) -> Engine:
        """The background engine; without one, starts it, or raises NoEngine."""
        raise NotImplementedError

    @classmethod
    async def private(cls) -> Engine:
        """An engine of our own, which ends with this connection."""
        raise NotImplementedError

    async def submit(self, task: Task, out: str | None = None) -> Job:
        """Queue a task; `out` is an absolute .npz path that the engine writes at the end.

        Raises BadInput when refused. The job's events begin at once.
        """
        raise NotImplementedError

    async def watch(self, job_id: str, seq: int = 0) -> Job:
        """Somebody's job, its past events from `seq` on included."""
        raise NotImplementedError

    async def estimate(self, task: Task) -> Price | None:
        raise NotImplementedError

    async def tokenize(
        self, text: str, bos: Literal["auto", "on", "off"] = "auto", chat: bool = False
    ) -> protocol.Tokenized:
        raise NotImplementedError

    async def cancel(self, job_id: str) -> None:
        """Ask a job to stop; its `outcome` then raises RunCancelled. No harm if it has ended."""
        raise NotImplementedError

    async def jobs(self) -> list[JobInfo]:
        """Newest first."""
        raise NotImplementedError

    async def status(self) -> EngineStatus:
        raise NotImplementedError

    async def save(self, job_id: str, out: str) -> None:
        """Write an ended job's result to an absolute .npz path."""
        raise NotImplementedError

    async def shutdown(self, force: bool = False) -> None:
        """Stop the engine, and wait until it is gone. BadInput while jobs run, unless forced."""
        raise NotImplementedError

    def on_notice(self, callback: Callable[[AnyNotice], None]) -> Callable[[], None]:
        """Call back for each JobChanged, ModelChanged, ...; returns what undoes it."""
        raise NotImplementedError

    def on_lost(self, callback: Callable[[Lost], None]) -> Callable[[], None]:
        """Call back once when the engine dies; returns what undoes it."""
        raise NotImplementedError

    async def close(self) -> None:
        """Hang up. Jobs of a background engine go on; a private engine ends."""
        raise NotImplementedError

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
