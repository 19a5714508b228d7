"""Frames off a stream: the same reading on both ends of the socket."""

from __future__ import annotations

import asyncio

from mlxterp_engine.worker.protocol import LENGTH, MAX_FRAME

READ_AHEAD = 1 << 22  # bytes that a stream may buffer; large results come in few pieces


class FrameTooLong(Exception):
    """The stream can't be followed any further."""

    def __init__(self, length: int, most: int) -> None:
        super().__init__(f"a message of {length} bytes came; the most is {most}")


async def read_frame(reader: asyncio.StreamReader, most: int = MAX_FRAME) -> bytes | None:
    """The next message's bytes; None at the end of the stream, clean or not."""
    try:
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        if length > most:
            raise FrameTooLong(length, most)
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
