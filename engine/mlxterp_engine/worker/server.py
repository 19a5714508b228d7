"""The IO thread of the engine: lets clients in, tells them what changes, knows when to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlxterp_engine.experiments import Result
from mlxterp_engine.worker.answers import Answers
from mlxterp_engine.worker.archive import Archive
from mlxterp_engine.worker.connection import Connection
from mlxterp_engine.worker.job_ids import JobIds
from mlxterp_engine.worker.jobs import Job, JobQueue
from mlxterp_engine.worker.log_file import reopen_when_large
from mlxterp_engine.worker.peer import is_ours
from mlxterp_engine.worker.protocol import AnyNotice, EngineChanged, EngineStopping, JobChanged
from mlxterp_engine.worker.runner import Runner, Workbench
from mlxterp_engine.worker.wire import READ_AHEAD

logger = logging.getLogger(__name__)

IDLE_STOP = 30 * 60.0  # seconds without a client and without a job
BROKEN_LINGER = 1.0  # the same for an engine that could not import MLX: the next start may
FAREWELL = 0.1  # seconds to tell the clients, when no job can have begun
STOP_PATIENCE = 10.0  # seconds that a job gets to reach its next yield once we must stop
TELL_INTERVAL = 0.25  # seconds between two notices of one job's mere progress


class Server:
    """Serves one door: a listening socket, or (private) a line to one client."""

    def __init__(
        self,
        door: socket.socket,
        private: bool,
        kept: Archive,
        log: Path,
        check_writable: Callable[[str], None],
        write: Callable[[Result, str], None],
        idle: float = IDLE_STOP,
    ) -> None:
        self.private = private
        self._door = door
        self._idle = idle
        self._log = log
        self.queue = JobQueue(self._on_change, JobIds(after=kept.last_id()))
        keep = None if self.private else kept
        self.runner = Runner(self.queue, keep, self._tell_from_anywhere, write)
        self._answers = Answers(
            self.queue,
            self.runner,
            kept,
            keeps=not self.private,
            stop=self.stop,
            log_file=str(log),
            check_writable=check_writable,
            write=write,
        )
        self._connections: set[Connection] = set()
        self._attending: set[asyncio.Task[Any]] = set()
        self._told: dict[str, tuple[tuple[str, int | None], float]] = {}
        self._idle_timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._open = threading.Event()

    def work(self, open_workbench: Callable[[], Workbench]) -> None:
        """Serve until somebody or something stops us. Runs jobs on the calling thread."""
        self._signals = _signals_as_bytes()
        thread = threading.Thread(target=self._talk, name="io")
        thread.start()
        self._open.wait()
        try:
            self.runner.work(open_workbench)
        finally:
            if thread.is_alive():
                self._loop.call_soon_threadsafe(self._done.set)
            thread.join()

    def stop(self, why: str) -> None:
        """Begin the end: no new clients, no new jobs. Belongs to the IO thread."""
        if self._stopping:
            return
        self._stopping = True
        logger.info("the engine stops: %s", why)
        self._close_door()
        self._tell(EngineStopping(f"the engine stopped: {why}"))
        self.queue.stop()
        # Importing MLX takes a second and nothing is lost with it.
        starting = self.runner.state == "starting"
        _exit_at_the_latest_in(FAREWELL if starting else STOP_PATIENCE)

    def _talk(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:  # without this thread there is nobody to work for
            self._open.set()
            self.queue.stop()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self._loop.add_reader(self._signals, self._on_signal)
        self._welcoming = await self._open_door()
        self._reconsider_idleness()
        self._open.set()
        await self._done.wait()
        await asyncio.gather(*(connection.close() for connection in self._connections))
        if self._attending:
            await asyncio.wait(self._attending)

    async def _open_door(self) -> asyncio.Task[None] | asyncio.Server:
        if not self.private:
            return await asyncio.start_unix_server(self._welcome, sock=self._door, limit=READ_AHEAD)
        streams = await asyncio.open_unix_connection(sock=self._door, limit=READ_AHEAD)
        return asyncio.create_task(self._attend_only(*streams))

    def _close_door(self) -> None:
        if not self.private:
            Path(self._door.getsockname()).unlink(missing_ok=True)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected = writer.get_extra_info("socket")
        if self._stopping or not is_ours(connected):
            logger.warning("a connection was turned away")
            writer.close()
            return
        await self._attend(reader, writer)

    async def _attend_only(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await self._attend(reader, writer)
        self.stop("its only client hung up")

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, self._answers.answer)
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(connection)
        self._attending.add(task)
        self._reconsider_idleness()
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
            self._attending.discard(task)
            self._reconsider_idleness()

    def _on_signal(self) -> None:
        self._signals.recv(64)
        self.stop("it got SIGTERM")

    def _on_change(self, job: Job) -> None:
        """A job changed, on whichever thread. Its events are sent after the notices before them."""
        self._loop.call_soon_threadsafe(self._job_changed, job, job.appended)

    def _job_changed(self, job: Job, events: int) -> None:
        job.announce(events)
        for connection in self._connections:
            connection.wake()
        if self._worth_telling(job):
            if not job.passing:
                self._tell(JobChanged(job.info()))
            self._reconsider_idleness()
        if job.over:
            reopen_when_large(self._log)

    def _worth_telling(self, job: Job) -> bool:
        """Every change of state; mere progress a few times a second."""
        change, now = (job.state, job.run), self._loop.time()
        told, until = self._told.get(job.id, (None, 0.0))
        if change == told and now < until:
            return False
        self._told[job.id] = change, now + TELL_INTERVAL
        if job.over:
            del self._told[job.id]
        return True

    def _tell_from_anywhere(self, notice: AnyNotice) -> None:
        self._loop.call_soon_threadsafe(self._tell, notice)

    def _tell(self, notice: AnyNotice) -> None:
        for connection in self._connections:
            connection.tell(notice)
        if isinstance(notice, EngineChanged):
            self._reconsider_idleness()

    def _reconsider_idleness(self) -> None:
        """Start the clock when nobody is there and nothing runs; else stop it."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        if self.private or self._stopping or self._connections or self.queue.busy:
            return
        patience = BROKEN_LINGER if self.runner.state == "broken" else self._idle
        self._idle_timer = self._loop.call_later(
            patience, self.stop, f"no client and no job for {patience:.0f} s"
        )


def _signals_as_bytes() -> socket.socket:
    """A socket on which SIGTERM arrives as a byte, whatever the main thread is busy with."""
    heard, spoken = socket.socketpair()
    heard.setblocking(False)
    spoken.setblocking(False)
    signal.set_wakeup_fd(spoken.detach())
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return heard


def _exit_at_the_latest_in(seconds: float) -> None:
    """A job that does not come to its next yield must not keep the process alive."""
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()
