"""What opening a log puts right: runs whose process was killed, results without a row, old
deletions."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from mlxterp_engine.experiments import AnyPart, Started, Step
from mlxterp_engine.runlog import database, entries, presence, result_file, rows

logger = logging.getLogger(__name__)

RESULTS = "results"
PURGE_AFTER = 30 * 86400.0  # seconds for which a deleted run can still be brought back


def result_path(folder: Path, run: int) -> Path:
    """Where the run's file lies, if it has one."""
    return folder / RESULTS / f"{run}{result_file.SUFFIX}"


def settle(connection: sqlite3.Connection, folder: Path) -> None:
    """End the runs that can't end by themselves any more.

    One whose file is there has ended, whoever was killed before he could say so; one whose
    writer is dead and that has no file has failed.
    """
    running = connection.execute("SELECT id, writer FROM runs WHERE state = 'running'").fetchall()
    for run, writer in running:
        path = result_path(folder, run)
        alive = presence.is_alive(folder, writer)  # asked first: a writer may end in between
        if path.exists():
            with database.transaction(connection):
                _end_as_the_file_says(connection, run, path)
        elif not alive:
            with database.transaction(connection):
                entries.end(connection, run, "failed", reason=entries.ENGINE_DIED)


def purge(connection: sqlite3.Connection, folder: Path) -> None:
    """Let go of runs that were deleted long ago."""
    before = time.time() - PURGE_AFTER
    old = connection.execute("SELECT id FROM runs WHERE deleted < ?", (before,)).fetchall()
    for (run,) in old:
        with database.transaction(connection):
            connection.execute("DELETE FROM runs WHERE id = ?", (run,))
        result_path(folder, run).unlink(missing_ok=True)


def read_in_results(connection: sqlite3.Connection, folder: Path) -> int:
    """Enter every result that lies there into an empty database; how many there were."""
    found = list((folder / RESULTS).glob(f"*{result_file.SUFFIX}"))
    named = sorted((int(path.stem), path) for path in found if path.stem.isdecimal())
    return sum(_read_in(connection, run, path) for run, path in named)


def kept_in_words(parts: Sequence[Started | Step | AnyPart]) -> str:
    """What there is of a cancelled run."""
    count = sum(not isinstance(part, (Started, Step)) for part in parts)
    return f"{count} part{'' if count == 1 else 's'}" if count else "nothing but its tokens"


def _read_in(connection: sqlite3.Connection, run: int, path: Path) -> bool:
    try:
        told = rows.told_of(result_file.read(path).texts["__told__"])
    except (result_file.Damaged, KeyError) as error:
        logger.warning("%s could not be read in: %s", path, error)
        return False
    with database.transaction(connection):
        entries.enter(connection, told, writer="", run=run)
        _end_as_the_file_says(connection, run, path)
    return True


def _end_as_the_file_says(connection: sqlite3.Connection, run: int, path: Path) -> None:
    ended, size = path.stat().st_mtime, path.stat().st_size
    try:
        contents = result_file.read(path)
    except result_file.Damaged as error:
        entries.end(connection, run, "failed", reason=f"its result is damaged: {error}")
        return
    if "__meta__" in contents.texts:
        meta = rows.meta_of(contents.texts["__meta__"])
        entries.end(
            connection, run, "done", ended=ended, meta=meta, sha256=contents.sha256, size=size
        )
    else:
        kept = kept_in_words(rows.parts_of(contents.texts["__parts__"]))
        entries.end(connection, run, "cancelled", ended=ended, kept=kept, size=size)
