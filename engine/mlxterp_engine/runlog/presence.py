"""Who writes to the log, and whether they still live.

Each process holds a file locked for as long as it lives; the kernel lets go of it, however the
process ends. A run that began and whose writer's file is free, or gone, will never end.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

ALIVE = "alive"
SUFFIX = ".lock"

_held: dict[Path, tuple[int, str]] = {}  # folder -> (process, name); a fork is another process


def presence(folder: Path) -> str:
    """This process's name in the log of this folder, locked from now on until it ends."""
    process, name = _held.get(folder, (0, ""))
    if process != os.getpid() or not _file(folder, name).exists():  # somebody took it away
        name = _claim(folder / ALIVE)
        _held[folder] = os.getpid(), name
    return name


def is_alive(folder: Path, name: str) -> bool:
    """Whether the process of that name still lives."""
    try:
        handle = os.open(_file(folder, name), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def sweep(folder: Path) -> None:
    """Remove the files of processes that have ended."""
    for path in (folder / ALIVE).glob(f"*{SUFFIX}"):
        if not is_alive(folder, path.stem):
            path.unlink(missing_ok=True)


def _file(folder: Path, name: str) -> Path:
    return folder / ALIVE / f"{name}{SUFFIX}"


def _claim(folder: Path) -> str:
    """A new name. Again, should somebody's sweep take the file before it was locked."""
    folder.mkdir(mode=0o700, exist_ok=True)
    while True:
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        path = folder / f"{name}{SUFFIX}"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists():
                return name  # the handle stays open: that is the point
        except BlockingIOError:
            pass  # a sweep is looking at it
        os.close(handle)
