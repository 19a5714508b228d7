"""The engine's log: everything it writes to standard error, in a file that can't grow large."""

from __future__ import annotations

import os
from pathlib import Path

LARGEST = 1 << 20
TAIL_LINES = 12
_TAIL_BYTES = 16 << 10


def rotate(path: Path, largest: int = LARGEST) -> None:
    """Put a large log aside as `NAME.1`, where it replaces the one before."""
    if path.exists() and path.stat().st_size > largest:
        path.replace(aside(path))


def aside(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def reopen_when_large(path: Path, largest: int = LARGEST) -> None:
    """The same for the log that this process writes to: its standard output and error."""
    if path.exists() and path.stat().st_size > largest:
        rotate(path, largest)
        fresh = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(fresh, 1)
        os.dup2(fresh, 2)
        os.close(fresh)


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def tail(path: Path, since: int = 0, lines: int = TAIL_LINES) -> list[str]:
    """The last lines written after the first `since` bytes."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(since if since <= end else 0, end - _TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()[-lines:]
