"""The research log as the screen reads it: in a thread of its own, without the engine.

Everything here is awaited and raises `EngineError`s in words; nothing blocks the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Concatenate, NamedTuple, ParamSpec, TypeVar

from mlxterp_engine.experiments import Result
from mlxterp_engine.runlog.record import RunLine, RunRecord
from mlxterp_tui.session import Progress

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from mlxterp_engine.runlog.log import RunLog

T = TypeVar("T")
P = ParamSpec("P")


class Stored(NamedTuple):
    """A run taken from the log. parts: what a cancelled one had come to."""

    record: RunRecord
    result: Result | None = None
    parts: Sequence[Progress] = ()


class Known(NamedTuple):
    """A run and the runs that came from it."""

    record: RunRecord
    children: list[RunLine]


class Logbook:
    """Opens the log when it is first wanted, and again when that failed or its files are gone.

    tell: what had to be mended to open it, in words.
    """

    def __init__(self, open_log: Callable[[], RunLog] | None = None) -> None:
        self.tell: Callable[[str], None] = lambda notice: None
        self._open_log = open_log or _open_log
        self._log: RunLog | None = None

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        """Made when first wanted: the first frame needs nothing of the log."""
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(1, thread_name_prefix="logbook")

    async def ask(
        self, question: Callable[Concatenate[RunLog, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What a question comes to, asked in the log's own thread: `ask(RunLog.record, 42)`."""

        loop = asyncio.get_running_loop()

        def asked() -> T:
            log, notice = self._opened()
            if notice:
                loop.call_soon_threadsafe(self.tell, notice)
            return question(log, *args, **kwargs)

        return await loop.run_in_executor(self._thread, asked)

    async def known(self, run: int) -> Known:
        return await self.ask(lambda log: Known(log.record(run), log.children(run)))

    async def stored(self, run: int) -> Stored:
        """The run with its result, or with the parts that it had come to."""
        return await self.ask(_stored, run)

    async def annotate(self, run: int, **changes: object) -> None:
        """note, outcome or tags."""
        await self.ask(lambda log: log.annotate(run, **changes))  # type: ignore[arg-type]

    def close(self) -> None:
        """Let the thread end; what is being read may finish."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _opened(self) -> tuple[RunLog, str]:
        """(the log, what was mended just now). One whose files are gone would lose what is said."""
        if self._log is not None and self._log.is_there:
            return self._log, ""
        self._log = self._open_log()
        return self._log, self._log.notice


def _open_log() -> RunLog:
    from mlxterp_engine.runlog.log import RunLog

    return RunLog.open()


def _stored(log: RunLog, run: int) -> Stored:
    record = log.record(run)
    if record.state == "done":
        return Stored(record, log.result(run))
    return Stored(record, None, log.parts(run) if record.state == "cancelled" else ())
