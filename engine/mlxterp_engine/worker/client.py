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
from typing import Any, Literal, NamedTuple, TypeVar

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
from mlxterp_engine.runlog.comparison import Comparison
from mlxterp_engine.runlog.record import NOTHING_SAID, Recording
from mlxterp_engine.worker import launch, log_file, protocol
from mlxterp_engine.worker.launch import Line, NoEngine
from mlxterp_engine.worker.protocol import AnyCall, AnyNotice, AnyReply, EngineStatus, JobInfo
from mlxterp_engine.worker.references import seen_from, working_folder
from mlxterp_engine.worker.tasks import Outcome, Task
from mlxterp_engine.worker.wire import READ_AHEAD, FrameTooLong, read_frame

import msgspec

__all__ = ["Engine", "Job", "Lost", "NoEngine", "Progress"]

Progress = Started | Step | AnyPart

ATTACH_TRIES = 5  # an engine may stop, idle, in the moment in which we attach

_Reply = TypeVar("_Reply", bound=AnyReply)
_Heard = TypeVar("_Heard")


class Lost(msgspec.Struct, frozen=True):
    """The engine is gone. reason: one sentence; tail: the log's last lines."""

    reason: str
    log: Path
    tail: list[str]

    @property
    def details(self) -> str:
        return "\n".join(self.tail)


class Job:
    """One task on its way. `seq` is the number of the next event it expects.

    run: where the research log keeps it, known once it has ended; None when it is not kept.
    """

    def __init__(self, id: str, price: Price | None = None, seq: int = 0) -> None:
        self.id = id
        self.run: int | None = None
        self.price = price
        self.seq = seq
        self._unread: deque[Progress] = deque()
        self._news = asyncio.Event()
        self._ending: protocol.Finished | EngineError | None = None

    @property
    def ended(self) -> bool:
        return self._ending is not None

    async def events(self) -> AsyncIterator[Progress]:
        """What happens before the end, in order; each event is given once, to one reader.

        Stops when the job ends, however it ends: `outcome` tells how.
        """
        while self._unread or not self.ended:
            if self._unread:
                yield self._unread.popleft()
            else:
                await self._more()

    async def outcome(self) -> Outcome:
        """What came of it. Raises BadInput, RunFailed or RunCancelled; may be awaited often."""
        while self._ending is None:
            await self._more()
        if isinstance(self._ending, EngineError):
            raise self._ending
        return self._ending.outcome

    async def _more(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _hear(self, event: protocol.Event) -> None:
        if event.seq < self.seq or self.ended:
            return
        self.seq = event.seq + 1
        if isinstance(event.body, protocol.Ending):
            self.run = event.body.run
        match event.body:
            case protocol.Finished():
                self._end(event.body)
            case protocol.Failed(reason=reason, details=details, exit_status=status):
                self._end(_error(reason, details, status))
            case protocol.Cancelled():
                self._end(RunCancelled(f"job {self.id} was cancelled"))
            case progress:
                self._keep(progress)

    def _keep(self, progress: Progress) -> None:
        """An unread step is worth nothing once there is a newer one."""
        if isinstance(progress, Step) and self._unread and isinstance(self._unread[-1], Step):
            self._unread.pop()
        self._unread.append(progress)
        self._news.set()

    def _end(self, ending: protocol.Finished | EngineError) -> None:
        self._ending = ending
        self._news.set()


class _Awaited(NamedTuple):
    """A call that was sent, and who waits for what."""

    kind: type
    answer: asyncio.Future[Any]
    at_once: Callable[[Any], None]

    def hear(self, reply: AnyReply) -> None:
        if self.answer.done():
            return
        if isinstance(reply, protocol.Refused):
            self.fail(_error(reply.reason, reply.details, reply.exit_status))
        elif not isinstance(reply, self.kind):
            self.fail(RunFailed(f"the engine answered {type(reply).__name__} to the wrong call"))
        else:
            self.at_once(reply)
            self.answer.set_result(reply)

    def fail(self, error: EngineError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Engine:
    """A connection to an engine process.

    lost: set once, when the engine dies; cancelled by `close`.
    """

    lost: asyncio.Future[Lost]

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: Line
    ) -> None:
        """Use `attach` or `private`."""
        self.lost = asyncio.get_running_loop().create_future()
        self._reader = reader
        self._writer = writer
        self._line = line
        self._tickets = itertools.count()
        self._awaited: dict[int, _Awaited] = {}
        self._jobs: dict[str, list[Job]] = {}
        self._heard_notice: list[Callable[[AnyNotice], None]] = []
        self._heard_lost: list[Callable[[Lost], None]] = []
        self._why = ""
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def attach(cls, start: bool = True, any_version: bool = False) -> Engine:
        """The background engine; without one, starts it, or raises NoEngine.

        any_version: also one of another protocol, of which nothing but `shutdown` is to be asked.
        """
        return await cls._greet(lambda: launch.find(start), ATTACH_TRIES, any_version)

    @classmethod
    async def private(cls) -> Engine:
        """An engine of our own, which ends with this connection."""
        return await cls._greet(launch.private, tries=1)

    @classmethod
    async def _greet(
        cls, connect: Callable[[], Line], tries: int, any_version: bool = False
    ) -> Engine:
        """An engine that answers. RunFailed when each of them hangs up."""
        line = await asyncio.to_thread(connect)
        streams = await asyncio.open_unix_connection(sock=line.socket, limit=READ_AHEAD)
        engine = cls(*streams, line)
        if await engine._greeted(any_version):
            return engine
        if tries > 1:
            return await cls._greet(connect, tries - 1, any_version)
        lost = await engine.lost
        raise RunFailed(lost.reason, lost.details)

    async def _greeted(self, any_version: bool) -> bool:
        """Whether the engine answers; false when it hung up. Raises when it is another version."""
        try:
            await self._ask(protocol.Hello(), protocol.Done)
        except EngineError:
            if self._listening.done():
                return False
            if any_version:
                return True
            await self.close()
            raise
        return True

    @property
    def log(self) -> Path:
        """The file to which the engine writes what it has to say."""
        return self._line.log

    async def submit(
        self,
        task: Task,
        out: str | None = None,
        recording: Recording | None = NOTHING_SAID,
        folder: str | None = None,
        passing: bool = False,
    ) -> Job:
        """Queue a task; `out` is an absolute .npz path that the engine writes at the end.

        Raises BadInput when refused. The job's events begin at once. Relative paths in the
        task begin in `folder`, by default this process's working folder. recording: what the
        research log keeps beside an experiment; None leaves nothing behind. passing: in no list of
        jobs, and not kept on disk.
        """
        job = Job("")

        def accepted(reply: protocol.Accepted) -> None:
            job.id, job.price = reply.job, reply.price
            self._jobs[job.id] = [job]

        place = folder or working_folder()
        submit = protocol.Submit(seen_from(place, task), out, place, recording, passing)
        await self._ask(submit, protocol.Accepted, accepted)
        return job

    async def watch(self, job_id: str, seq: int = 0) -> Job:
        """Somebody's job, its past events from `seq` on included."""
        job = Job(job_id, seq=seq)
        watching = self._jobs.setdefault(job_id, [])
        watching.append(job)
        try:
            first = min(job.seq for job in watching)
            await self._ask(protocol.Watch(job_id, first), protocol.Done)
        except EngineError:
            if job in watching:
                watching.remove(job)
            raise
        return job

    async def estimate(self, task: Task) -> Price | None:
        """What the task would cost on the open model; None when that can't be said."""
        return (
            await self._ask(protocol.Estimate(seen_from(working_folder(), task)), protocol.Priced)
        ).price

    async def tokenize(
        self, text: str, bos: Literal["auto", "on", "off"] = "auto", chat: bool = False
    ) -> protocol.Tokenized:
        """Ids and exact strings under the open model. BadInput when none is open."""
        call = protocol.Tokenize(text=text, bos=bos, chat=chat)
        return await self._ask(call, protocol.Tokenized)

    async def pieces(self, text: str) -> protocol.Tokenized:
        """The same of a text that stands within another, as an answer does behind a prompt."""
        return await self._ask(protocol.Tokenize(text=text, verbatim=True), protocol.Tokenized)

    async def cancel(self, job_id: str) -> None:
        """Ask a job to stop; its `outcome` then raises RunCancelled. No harm if it has ended."""
        await self._ask(protocol.Cancel(job_id), protocol.Done)

    async def jobs(self) -> list[JobInfo]:
        """Newest first."""
        return (await self._ask(protocol.Jobs(), protocol.JobList)).jobs

    async def status(self) -> EngineStatus:
        return await self._ask(protocol.Status(), EngineStatus)

    async def save(self, job_id: str, out: str) -> None:
        """Write an ended job's result to an absolute .npz path."""
        await self._ask(protocol.Save(job_id, out), protocol.Done)

    async def compare(self, first: int, second: int) -> Comparison:
        """How far run `second` lies from run `first`. BadInput when either has no result."""
        return (await self._ask(protocol.CompareRuns(first, second), protocol.Compared)).comparison

    async def shutdown(self, force: bool = False) -> None:
        """Stop the engine, and wait until it is gone. BadInput while jobs run, unless forced."""
        await self._ask(protocol.Shutdown(force), protocol.Done)
        await self.close()
        if not self._line.private:
            await asyncio.to_thread(launch.wait_until_gone, self._line)

    def on_notice(self, callback: Callable[[AnyNotice], None]) -> Callable[[], None]:
        """Call back for each JobChanged, ModelChanged, ...; returns what undoes it."""
        return _listed(callback, self._heard_notice)

    def on_lost(self, callback: Callable[[Lost], None]) -> Callable[[], None]:
        """Call back once when the engine dies; returns what undoes it."""
        return _listed(callback, self._heard_lost)

    async def close(self) -> None:
        """Hang up. Jobs of a background engine go on; a private engine ends."""
        self.lost.cancel()
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        self._why = self._why or "the connection to the engine was closed"
        self._abandon(RunFailed(self._why))
        self._writer.close()
        if self._line.private:
            await asyncio.to_thread(launch.see_off, self._line)

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ask(
        self,
        call: AnyCall,
        kind: type[_Reply],
        at_once: Callable[[_Reply], None] = lambda reply: None,
    ) -> _Reply:
        """The answer to a call. `at_once` sees it before any later message is read."""
        if self._listening.done():
            raise RunFailed(self._why)
        answer = asyncio.get_running_loop().create_future()
        ticket = next(self._tickets)
        self._awaited[ticket] = _Awaited(kind, answer, at_once)
        try:
            self._writer.write(protocol.frame(protocol.Call(ticket, call)))
            return await answer
        finally:
            del self._awaited[ticket]

    async def _listen(self) -> None:
        """Read until the engine is gone, then tell everybody who waits."""
        try:
            while (body := await read_frame(self._reader)) is not None:
                self._hear(protocol.decode_from_engine(body))
        except (FrameTooLong, msgspec.MsgspecError) as error:
            self._why = f"it sent what can't be read ({error}); restart it"
            self._writer.close()
        await self._was_lost()

    def _hear(self, message: protocol.Reply | protocol.Event | protocol.Notice) -> None:
        match message:
            case protocol.Event():
                self._hear_event(message)
            case protocol.Reply(ticket=ticket, body=body) if ticket in self._awaited:
                self._awaited[ticket].hear(body)
            case protocol.Notice(body=protocol.EngineStopping(reason=reason)):
                self._why = reason
                self._pass_on(message.body)
            case protocol.Notice(body=body):
                self._pass_on(body)

    def _hear_event(self, event: protocol.Event) -> None:
        watching = self._jobs.get(event.job, [])
        for job in watching:
            job._hear(event)
        if watching and all(job.ended for job in watching):
            del self._jobs[event.job]

    def _pass_on(self, notice: AnyNotice) -> None:
        for callback in self._heard_notice:
            asyncio.get_running_loop().call_soon(callback, notice)

    async def _was_lost(self) -> None:
        lost = await asyncio.to_thread(self._obituary)
        self._why = lost.reason
        self._abandon(RunFailed(lost.reason, lost.details))
        if not self.lost.done():
            self.lost.set_result(lost)
        for callback in self._heard_lost:
            asyncio.get_running_loop().call_soon(callback, lost)

    def _obituary(self) -> Lost:
        line = self._line
        how = launch.how_it_ended(line.process) if line.process else ""
        reason = self._why or (f"the engine died ({how})" if how else "the engine died")
        return Lost(
            f"{reason}; its log is {line.log}", line.log, log_file.tail(line.log, line.since)
        )

    def _abandon(self, error: RunFailed) -> None:
        """End everything that still waits for the engine."""
        for awaited in self._awaited.values():
            awaited.fail(error)
        for job in itertools.chain.from_iterable(self._jobs.values()):
            job._end(error)
        self._jobs.clear()


def _error(reason: str, details: str, exit_status: int) -> EngineError:
    kinds = {kind.exit_status: kind for kind in (BadInput, RunCancelled, RunFailed)}
    return kinds.get(exit_status, RunFailed)(reason, details)


def _listed(
    callback: Callable[[_Heard], None], place: list[Callable[[_Heard], None]]
) -> Callable[[], None]:
    place.append(callback)
    return lambda: place.remove(callback)
