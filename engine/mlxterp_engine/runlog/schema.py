"""The database's tables, and how an older file is brought up to date.

`PRAGMA user_version` counts the migrations that a file has seen. A migration, once released, is
never changed: what is to be different is a new one at the end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

# Narrow rows for the list, wide ones aside: listing 10 000 runs reads no request and no card.
# `words` is what a search looks through, and last: nothing else has to read past it.
_FIRST = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created REAL NOT NULL,
    ended REAL,
    experiment TEXT NOT NULL,
    model TEXT NOT NULL,
    state TEXT NOT NULL,
    headline TEXT NOT NULL DEFAULT '',
    prompt TEXT NOT NULL DEFAULT '',
    tags TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '',
    parent INTEGER,
    broken INTEGER NOT NULL DEFAULT 0,
    hypothesis TEXT NOT NULL DEFAULT '',
    outcome TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    kept TEXT NOT NULL DEFAULT '',
    result_sha256 TEXT NOT NULL DEFAULT '',
    result_bytes INTEGER NOT NULL DEFAULT 0,
    writer TEXT NOT NULL,
    deleted REAL,
    words TEXT NOT NULL
);
CREATE INDEX runs_running ON runs (id) WHERE state = 'running';
CREATE INDEX runs_parent ON runs (parent) WHERE parent IS NOT NULL;
CREATE INDEX runs_deleted ON runs (deleted) WHERE deleted IS NOT NULL;
CREATE TABLE details (
    run INTEGER PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    began BLOB NOT NULL,
    meta BLOB
);
CREATE TABLE figures (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (name, run)
) WITHOUT ROWID;
CREATE INDEX figures_run ON figures (run);
"""

MIGRATIONS: Sequence[str] = (_FIRST,)


def version(connection: sqlite3.Connection) -> int:
    """How many migrations the file has seen; 0 for a new one."""
    return connection.execute("PRAGMA user_version").fetchone()[0]


def migrate(connection: sqlite3.Connection, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Apply what the file has not seen, each migration whole or not at all."""
    for number in range(version(connection), len(migrations)):
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{migrations[number]};\nPRAGMA user_version = {number + 1};\nCOMMIT;"
        )
