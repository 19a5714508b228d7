"""Fetch a file over HTTP so that a cut at any byte costs only what was not yet written."""

from __future__ import annotations

import errno
import hashlib
import re
import ssl
import time
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

CHUNK = 1 << 18
PATIENCE = 3  # connections in a row that bring nothing
DISK_TROUBLES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
TIMEOUT = 15  # seconds without a byte
PACE = 0.05  # seconds between two words of progress


class Unreachable(Exception):
    """This way to a file is closed; another may be open."""


def download(address: str, part: Path, size: int, tls: ssl.SSLContext | None) -> Iterator[int]:
    """Fetch into `part`, going on where it ends; yield the bytes that it holds.

    Stops quietly when the consumer does: `part` stays, and the next call goes on from it.
    """
    failures, held = 0, _held(part, size)
    yield held
    while held < size:
        before, reason = held, "the connection broke off"
        try:
            yield from _one_connection(address, part, before, tls)
        except (OSError, HTTPException) as error:
            if getattr(error, "errno", None) in DISK_TROUBLES:
                raise
            reason = _reason(error)
        held = _held(part, size)
        failures = 0 if held > before else failures + 1
        if failures == PATIENCE or (held < size and reason.startswith("HTTP 4")):
            raise Unreachable(reason)


def sha256_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yields (bytes read, hash so far): the last hash is the file's."""
    digest, read = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
            read += len(chunk)
            yield read, digest.hexdigest()


def _one_connection(
    address: str, part: Path, held: int, tls: ssl.SSLContext | None
) -> Iterator[int]:
    headers = {"Range": f"bytes={held}-"} if held else {}
    with urlopen(Request(address, headers=headers), timeout=TIMEOUT, context=tls) as response:
        start = _start(response)
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            file.truncate()
            told = time.monotonic()
            while chunk := response.read1(CHUNK):
                file.write(chunk)
                if time.monotonic() - told > PACE:
                    yield file.tell()
                    told = time.monotonic()
            yield file.tell()


def _start(response: HTTPResponse) -> int:
    """The byte at which the answer begins: 0 from a server that knows no ranges."""
    given = re.match(r"bytes (\d+)-", response.headers.get("Content-Range") or "")
    return int(given[1]) if response.status == 206 and given else 0


def _held(part: Path, size: int) -> int:
    """Bytes of the part; one that is too long is no part of this file."""
    if not part.exists():
        return 0
    if part.stat().st_size > size:
        part.unlink()
        return 0
    return part.stat().st_size


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"HTTP {error.code}"
    return str(getattr(error, "reason", error)) or type(error).__name__
