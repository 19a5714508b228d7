"""One client: its calls are answered in turn, its jobs' events sent as fast as it reads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.worker.protocol import (
    AnyCall,
    AnyNotice,
    AnyReply,
    JobChanged,
    Notice,
    Refused,
    Reply,
    decode_call,
    frame,
)
from mlxterp_engine.worker.watching import View
from mlxterp_engine.worker.wire import FrameTooLong, read_frame

import msgspec

LONGEST_CALL = 16 << 20
MOST_NOTICES = 256
NO_TICKET = -1
FLUSH_TIME = 1.0  # seconds that a client is given to read what is left


class Connection:
    """Reads calls and writes replies in one task, writes notices and events in another.

    Nothing is queued for a slow client but the latest notice on each thing: events are taken
    from the job when there is room for them.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: Callable[[AnyCall, Connection], Awaitable[AnyReply]],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._views: list[View] = []
        self._notices: dict[str, AnyNotice] = {}
        self._news = asyncio.Event()

    def watch(self, view: View) -> None:
        """Send the events of a job from now on; an earlier view of that job is given up."""
        self._views = [other for other in self._views if other.job_id != view.job_id]
        self._views.append(view)
        self.wake()

    def tell(self, notice: AnyNotice) -> None:
        """Send a notice; an older one on the same thing that still waits is dropped."""
        key = notice.info.id if isinstance(notice, JobChanged) else type(notice).__name__
        self._notices.pop(key, None)
        self._notices[key] = notice
        if len(self._notices) > MOST_NOTICES:
            del self._notices[next(iter(self._notices))]
        self.wake()

    def wake(self) -> None:
        """Something may have happened to a job that this client watches."""
        self._news.set()

    async def serve(self) -> None:
        """Until the client hangs up, or sends what can't be followed."""
        tasks = {asyncio.ensure_future(self._listen()), asyncio.ensure_future(self._speak())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._writer.close()

    async def close(self) -> None:
        """Send what there is to send, if the client reads it, and hang up."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(FLUSH_TIME):
                await self._send_news()
                self._writer.close()
                await self._writer.wait_closed()
        self._writer.transport.abort()

    async def _listen(self) -> None:
        while True:
            try:
                body = await read_frame(self._reader, LONGEST_CALL)
            except FrameTooLong as error:
                await self._reply(Reply(NO_TICKET, Refused(str(error))))
                return
            if body is None:
                return
            await self._reply(await self._answered(body))

    async def _answered(self, body: bytes) -> Reply:
        try:
            call = decode_call(body)
        except (msgspec.MsgspecError, UnicodeError) as error:
            return Reply(_ticket_of(body), Refused(_reason(error)))
        return Reply(call.ticket, await self._answer(call.body, self))

    async def _reply(self, reply: Reply) -> None:
        # Written before anything else can happen: a job's first event never overtakes the
        # reply that names the job.
        self._writer.write(frame(reply))
        await self._writer.drain()

    async def _speak(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._send_news()

    async def _send_news(self) -> None:
        await self._send_notices()
        waits = [wait for view in list(self._views) if (wait := await self._send_events(view))]
        self._views = [view for view in self._views if not view.over]
        if waits:
            asyncio.get_running_loop().call_later(min(waits), self.wake)

    async def _send_notices(self) -> None:
        while self._notices:
            notice = self._notices.pop(next(iter(self._notices)))
            await self._send(frame(Notice(notice)))

    async def _send_events(self, view: View) -> float | None:
        """Everything that is due; the seconds to wait when something is due later.

        What was told in the meantime goes before: who has heard a job's end may hang up.
        """
        clock = asyncio.get_running_loop().time
        while view in self._views and (found := view.next(clock())) is not None:
            if not isinstance(found, bytes):
                return found
            await self._send_notices()
            await self._send(found)
        return None

    async def _send(self, message: bytes) -> None:
        self._writer.write(message)
        await self._writer.drain()


class _Ticket(msgspec.Struct):
    ticket: int


def _ticket_of(body: bytes) -> int:
    """The ticket of a call whose rest makes no sense."""
    try:
        return msgspec.msgpack.decode(body, type=_Ticket).ticket
    except (msgspec.MsgspecError, UnicodeError):
        return NO_TICKET


def _reason(error: Exception) -> str:
    """A request's own words where it refused itself, else what is wrong with the message."""
    if isinstance(error.__cause__, BadInput):
        return str(error.__cause__)
    return f"the engine can't read this message: {error}"
