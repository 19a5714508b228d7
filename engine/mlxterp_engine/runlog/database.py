"""The log's database: opened, brought up to date, and judged when it can't be read."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.runlog import schema

PATIENCE = 5.0  # seconds that a writer waits for another to finish
_BESIDE = ("", "-wal", "-shm")


class Unreadable(Exception):
    """This is no database of ours, or none any more."""


def connect(path: Path, migrations: Sequence[str] = schema.MIGRATIONS) -> sqlite3.Connection:
    """Usable from any thread, one at a time. Raises BadInput for a newer file, or Unreadable.

    In write-ahead mode a reader never waits for a writer, and every commit is on disk when it
    returns: a hypothesis stands there before its run begins.
    """
    connection = sqlite3.connect(
        path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        _prepare(connection, path, migrations)
    except sqlite3.DatabaseError as error:
        connection.close()
        if _is_damage(error):
            raise Unreadable(str(error)) from error
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    seen = schema.version(connection)
    if seen > len(migrations):
        raise BadInput(
            f"{path} was written by a newer mlxterp-tui (version {seen}; this one reads up to "
            f"{len(migrations)}): update mlxterp-tui, or name another place in MLXTERP_HOME"
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    schema.migrate(connection, migrations)
    connection.execute("SELECT id, state FROM runs LIMIT 1").fetchone()


def put_aside(path: Path) -> Path:
    """Rename a database that can't be read, with what lies beside it. Never deletes anything."""
    moment = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    target = path.with_name(f"{path.name}.unreadable-{moment}")
    for ending in _BESIDE:
        source = path.with_name(path.name + ending)
        if source.exists():
            source.replace(target.with_name(target.name + ending))
    return target


@contextlib.contextmanager
def in_words(path: Path) -> Iterator[None]:
    """What SQLite or the disk has to say, as BadInput with the remedy."""
    try:
        yield
    except sqlite3.Error as error:
        raise BadInput(f"the research log {path} {_wrong(error)}") from error
    except OSError as error:
        where = error.filename or path
        raise BadInput(f"the research log: {where} {_wrong_with_disk(error)}") from error


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # a full disk has rolled it back already
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextlib.contextmanager
def without_waiting(connection: sqlite3.Connection) -> Iterator[None]:
    """Give up at once where another program writes."""
    (patience,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {patience}")


def wait(condition: Callable[[], bool]) -> bool:
    """Poll until the condition holds; false when it did not for as long as we have patience."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.005)
    return True


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def _wrong(error: sqlite3.Error) -> str:
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    known = {
        sqlite3.SQLITE_BUSY: f"is locked by another program since {PATIENCE:.0f} s; end that one",
        sqlite3.SQLITE_FULL: "finds no room on its disk; make some",
        sqlite3.SQLITE_READONLY: "can't be written; check its rights, or set MLXTERP_HOME",
        sqlite3.SQLITE_CANTOPEN: "can't be opened; check its rights, or set MLXTERP_HOME",
        sqlite3.SQLITE_CORRUPT: "is damaged; copy what can be read with: sqlite3 FILE .recover",
    }
    return known.get(code, f"can't be used: {error}")


def _wrong_with_disk(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"finds no room on its disk ({error.strerror}); make some"
    return f"can't be written ({error.strerror or error}); check its rights, or set MLXTERP_HOME"
