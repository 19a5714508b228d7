"""Files that are whole or not there, whatever ends the process or fills the disk meanwhile.

What is new is written beside the target under a name that no other writer has, flushed to disk,
and given the target's name in one step; then the folder is flushed too. A reader sees the old
file or the new one. A write that fails leaves what was there and nothing beside it.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

# Folders that may not be opened, or file systems that cannot flush one.
_NO_FLUSH = {errno.EACCES, errno.EBADF, errno.EINVAL}
_LONGEST_NAME = 40  # characters of the target's name in the temporary one: both fit in 255 bytes


@contextmanager
def put_in_place(target: Path, permissions: int | None = None) -> Iterator[Path]:
    """A free path in the target's folder for the block to write; then it becomes the target.

    A link is followed. permissions: such as 0o600; else those of what is replaced. Raises OSError.
    """
    target = Path(os.path.realpath(target))
    writer = f"{os.getpid()}-{secrets.token_hex(4)}"
    temporary = target.with_name(f"{_prefix(target)}{writer}.tmp")
    try:
        yield temporary
        if (kept := permissions or _permissions(target)) is not None:
            temporary.chmod(kept)
        _flush(temporary)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush_folder(target.parent)


def write_whole(
    target: Path, data: bytes | Iterable[bytes | memoryview], permissions: int | None = None
) -> None:
    """`put_in_place` of these bytes, or of these pieces one behind another."""
    pieces = [data] if isinstance(data, bytes) else data
    with put_in_place(target, permissions) as temporary:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, permissions or 0o666)
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)


def sweep(target: Path) -> None:
    """Remove what writers of this file left that were killed. For who knows that none writes."""
    target = Path(os.path.realpath(target))
    for path in target.parent.glob(f"{escape(_prefix(target))}*.tmp"):
        path.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Have the names in a folder on disk: what was renamed or made there stays so."""
    try:
        _flush(folder)
    except OSError as error:
        if error.errno not in _NO_FLUSH:
            raise


def _prefix(target: Path) -> str:
    return f".{target.name[:_LONGEST_NAME]}."


def _permissions(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
