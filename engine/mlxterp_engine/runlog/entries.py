"""A run's rows: entered when it begins, completed when it ends. Within somebody's transaction."""

from __future__ import annotations

import math
import sqlite3
import time
from typing import Any

from mlxterp_engine.experiments import BadInput, Meta
from mlxterp_engine.runlog import rows
from mlxterp_engine.runlog.record import Recording, RunState

LARGEST_ID = 2**63 - 1
ENGINE_DIED = "the engine died before this run ended; run it again"


def enter(
    connection: sqlite3.Connection, told: rows.Told, writer: str, run: int | None = None
) -> int:
    """A run that begins; its id, never given before."""
    began, recording = told.began, told.recording
    columns = {
        "id": run,
        "created": told.created,
        "experiment": began.request["name"],
        "model": str(began.request.get("model", "")),
        "state": "running",
        "prompt": _subject(began),
        "tags": rows.tags_column(recording.tags),
        "note": recording.note,
        "parent": recording.parent,
        "hypothesis": recording.hypothesis,
        "writer": writer,
        "words": rows.words(began, recording, "", "", ""),
    }
    entered = connection.execute(
        f"INSERT INTO runs ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
        tuple(columns.values()),
    )
    assert entered.lastrowid is not None
    connection.execute(
        "INSERT INTO details (run, began) VALUES (?, ?)", (entered.lastrowid, rows.encode(began))
    )
    return entered.lastrowid


def end(
    connection: sqlite3.Connection,
    run: int,
    state: RunState,
    *,
    ended: float | None = None,
    meta: Meta | None = None,
    reason: str = "",
    kept: str = "",
    sha256: str = "",
    size: int = 0,
) -> None:
    """How a run ended. Does nothing to one that has ended already.

    But one that was given up for dead may still come back: its writer may be on another machine,
    where its lock is not seen.
    """
    changed = connection.execute(
        "UPDATE runs SET state = ?, ended = ?, headline = ?, broken = ?, reason = ?, kept = ?, "
        "result_sha256 = ?, result_bytes = ? "
        "WHERE id = ? AND (state = 'running' OR state = 'failed' AND reason = ?)",
        (
            state,
            time.time() if ended is None else ended,
            meta.headline if meta else "",
            meta is not None and _is_broken(meta),
            reason,
            kept,
            sha256,
            size,
            run,
            ENGINE_DIED,
        ),
    )
    if changed.rowcount and meta is not None:
        connection.execute("UPDATE details SET meta = ? WHERE run = ?", (rows.encode(meta), run))
        _enter_figures(connection, run, meta)
    index(connection, run)


def change(connection: sqlite3.Connection, run: int, column: str, value: Any) -> None:
    """Set a column of a run. BadInput when there is none of that id."""
    changed = connection.execute(f"UPDATE runs SET {column} = ? WHERE id = ?", (value, known(run)))
    if changed.rowcount == 0:
        raise no_run(run)


def index(connection: sqlite3.Connection, run: int) -> None:
    """Bring what a search looks through up to date."""
    sql = (
        "SELECT began, hypothesis, note, tags, outcome, headline, reason "
        "FROM runs JOIN details ON run = id WHERE id = ?"
    )
    row = connection.execute(sql, (run,)).fetchone()
    if row is None:
        return
    recording = Recording(
        hypothesis=row["hypothesis"], note=row["note"], tags=rows.tags_of(row["tags"])
    )
    words = rows.words(
        rows.began_of(row["began"]), recording, row["outcome"], row["headline"], row["reason"]
    )
    connection.execute("UPDATE runs SET words = ? WHERE id = ?", (words, run))


def told(connection: sqlite3.Connection, run: int) -> rows.Told:
    """What was known of a run before it began."""
    sql = (
        "SELECT created, began, hypothesis, note, tags, parent "
        "FROM runs JOIN details ON run = id WHERE id = ?"
    )
    row = connection.execute(sql, (known(run),)).fetchone()
    if row is None:
        raise no_run(run)
    recording = Recording(
        hypothesis=row["hypothesis"],
        note=row["note"],
        tags=rows.tags_of(row["tags"]),
        parent=row["parent"],
    )
    return rows.Told(created=row["created"], began=rows.began_of(row["began"]), recording=recording)


def known(run: int) -> int:
    """The id, if SQLite can hold it."""
    if not 0 < run <= LARGEST_ID:
        raise no_run(run)
    return run


def no_run(run: int) -> BadInput:
    return BadInput(f"there is no run {run}; list them: mlxterp-tui runs list")


def _subject(began: rows.Began) -> str:
    """Runs of before had one prompt each, and no subject."""
    return str(began.request.get("prompt", "")) if began.subject is None else began.subject


def _is_broken(meta: Meta) -> bool:
    """Whether a contract or a cell failed."""
    return meta.failed_cells > 0 or not all(held.ok for held in meta.contracts.values())


def _enter_figures(connection: sqlite3.Connection, run: int, meta: Meta) -> None:
    """NaN is no figure to search by: SQLite has none."""
    figures = [(run, name, value) for name, value in meta.figures.items() if not math.isnan(value)]
    connection.executemany("INSERT OR REPLACE INTO figures VALUES (?, ?, ?)", figures)
