"""`RunLog`: the runs of this user, one database and one result file a run.

A run is noted before anything is computed, so that what was expected of it stands on disk first.
When it ends, its result is written, synced and renamed, and only then its row changes: the file
is the promise, the row follows. Whoever opens the log next makes good what a killed process left:
a row still running whose file is there has ended as the file says, one whose writer is dead and
that has no file has failed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlxterp_engine import folders
from mlxterp_engine.experiments import (
    AnyPart,
    Array,
    BadInput,
    ModelCard,
    Price,
    Request,
    Result,
    Started,
    Step,
)
from mlxterp_engine.runlog import database, entries, presence, result_file, rows, search, upkeep
from mlxterp_engine.runlog.record import (
    NOTHING_SAID,
    Recording,
    RunLine,
    RunRecord,
    RunState,
    checked_tags,
)

DATABASE = "runs.db"

Part = Started | Step | AnyPart


class RunLog:
    """May be used from any thread, and by several processes at once.

    notice: what had to be done to open it, in words; empty when nothing had to.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        """Use `open`."""
        self.folder = folder
        self.notice = ""
        self._connection = connection
        self._connection.row_factory = sqlite3.Row
        self._process = os.getpid()
        self._inode = os.stat(folder / DATABASE).st_ino
        self._lock = threading.RLock()

    @classmethod
    def open(cls, folder: Path | None = None) -> RunLog:
        """The log of this folder, by default the user's own, made when there is none.

        BadInput when it comes from a newer version or can't be used. A database that can't be
        read at all is put aside, and a new one is made from the results that lie beside it.
        """
        folder = folders.private_folder(folder or folders.data_folder() / "runs")
        folders.private_folder(folder / upkeep.RESULTS)
        path = folder / DATABASE
        with database.in_words(path), _turn(folder):
            return cls._opened(folder, path)

    @classmethod
    def _opened(cls, folder: Path, path: Path) -> RunLog:
        was_there, wrong = path.exists(), ""
        try:
            connection = database.connect(path)
        except database.Unreadable as error:
            wrong = f"it can't be read ({error}) and was put aside as {database.put_aside(path)}"
            connection = database.connect(path)
        log = cls(folder, connection)
        if wrong or _is_empty(connection):
            found = upkeep.read_in_results(connection, folder)
            if wrong or found:
                why = wrong or ("it was empty" if was_there else "it was gone")
                log.notice = _notice(path, why, found)
        presence.sweep(folder)
        upkeep.settle(connection, folder)
        upkeep.purge(connection, folder)
        return log

    @property
    def is_there(self) -> bool:
        """Whether the database that was opened lies there still, and this process opened it.

        SQLite's connections do not survive a fork.
        """
        if os.getpid() != self._process:
            return False
        try:
            return os.stat(self._path).st_ino == self._inode
        except OSError:
            return False

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # A run's life.

    def begin(
        self,
        request: Request,
        recording: Recording = NOTHING_SAID,
        price: Price | None = None,
        *,
        model: ModelCard | None = None,
        tokens: Sequence[Sequence[str]] = (),
        folder: str | None = None,
    ) -> int:
        """Note a run that is about to be computed; its id.

        model, tokens: as far as they are known. folder: where relative paths in the request
        begin, by default the working folder.
        """
        place = os.getcwd() if folder is None else folder
        before = rows.began(request, place, price, model, [list(text) for text in tokens])
        told = rows.Told(created=time.time(), began=before, recording=recording)
        with self._writing():
            return entries.enter(self._connection, told, presence.presence(self.folder))

    def finish(self, run: int, result: Result) -> None:
        """Keep a result. When this returns it is on disk."""
        texts = {"__meta__": rows.encode(result.meta), "__strings__": rows.encode(result.strings)}
        try:
            sha256, size = self._keep(run, result.arrays, texts)
        except BadInput as error:
            self._end(
                run,
                "done",
                meta=result.meta,
                kept=f"not the result: {error}",
                sha256=result_file.digest(result.arrays),
            )
            raise
        self._end(run, "done", meta=result.meta, sha256=sha256, size=size)

    def cancelled(self, run: int, parts: Sequence[Part]) -> None:
        """Keep what came before somebody stopped the run."""
        kept = upkeep.kept_in_words(parts)
        try:
            size = self._keep(run, {}, {"__parts__": rows.encode(list(parts))})[1]
        except BadInput as error:
            self._end(run, "cancelled", kept=f"nothing: {error}")
            raise
        self._end(run, "cancelled", kept=kept, size=size)

    def failed(self, run: int, reason: str, details: str = "") -> None:
        """Note why there is no result. details: for whoever looks into it, e.g. a traceback."""
        self._end(run, "failed", reason="\n".join(filter(None, [reason, details])))

    def refused(self, run: int) -> None:
        """Take it out again: its request was wrong, and nothing was computed."""
        with self._writing() as connection:
            connection.execute("DELETE FROM runs WHERE id = ?", (entries.known(run),))

    # Looking at runs.

    def version(self) -> tuple[int, int]:
        """Another one whenever somebody else has changed the log; cheap to ask."""
        [(changes,)] = self._ask("PRAGMA data_version")
        return self._inode, changes

    def lines(
        self,
        *,
        limit: int | None = None,
        experiment: str | None = None,
        search: str = "",
        tag: str | None = None,
        since: float | None = None,
        until: float | None = None,
        deleted: bool = False,
    ) -> list[RunLine]:
        """Newest first. since, until: seconds since the epoch. deleted: those that are hidden.

        search: words that all have to occur in the request, model, tags, note, hypothesis,
        outcome or headline; also `tag:NAME`, `model:PART`, `experiment:NAME`, `state:STATE`,
        `since:DATE`, `until:DATE` and figures such as `kl_middle>5`.
        """
        wanted = _conditions(experiment, search, tag, since, until)
        where = [f"deleted IS {'NOT ' if deleted else ''}NULL", *(c.sql for c in wanted)]
        sql = f"SELECT {rows.LINE} FROM runs WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?"
        values = [value for condition in wanted for value in condition.values]
        found = self._read(sql, *values, -1 if limit is None else max(0, limit))
        return [rows.line(row) for row in found]

    def children(self, run: int) -> list[RunLine]:
        """The runs that came from this one, newest first."""
        sql = f"SELECT {rows.LINE} FROM runs WHERE parent = ? AND deleted IS NULL ORDER BY id DESC"
        return [rows.line(row) for row in self._read(sql, entries.known(run))]

    def record(self, run: int) -> RunRecord:
        """All that is known of a run. BadInput when there is none of that id."""
        sql = f"SELECT {rows.RECORD} FROM runs JOIN details ON run = runs.id WHERE runs.id = ?"
        found = self._read(sql, entries.known(run))
        if not found:
            raise entries.no_run(run)
        return rows.record(found[0])

    def result(self, run: int) -> Result:
        """The result as it was, its arrays views of the file. BadInput when there is none."""
        known = self.record(run)
        if known.state != "done":
            raise BadInput(_why_no_result(known))
        contents = self._contents(run)
        if contents.sha256 != known.result_sha256:
            raise BadInput(
                f"the result of run {run} is not the one that it had; "
                f"run it again: mlxterp-tui runs replay {run}"
            )
        return Result(
            meta=rows.meta_of(contents.texts["__meta__"]),
            arrays=contents.arrays,
            strings=rows.strings_of(contents.texts["__strings__"]),
        )

    def parts(self, run: int) -> list[Part]:
        """What a cancelled run had computed. BadInput for any other."""
        known = self.record(run)
        if known.state != "cancelled":
            raise BadInput(f"run {run} was not cancelled, it is {known.state}; it has no parts")
        return rows.parts_of(self._contents(run).texts["__parts__"])

    # Saying something about a run.

    def annotate(
        self,
        run: int,
        *,
        note: str | None = None,
        outcome: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> None:
        """Replace what is given. What was expected can't be changed once the run has begun."""
        column = None if tags is None else rows.tags_column(checked_tags(tags))
        new = {"note": note, "outcome": outcome, "tags": column}
        with self._writing() as connection:
            for name, value in new.items():
                if value is not None:
                    entries.change(connection, run, name, value)
            entries.index(connection, run)

    def delete(self, run: int) -> None:
        """Hide a run. `restore` brings it back, until it is purged a month later."""
        with self._writing() as connection:
            entries.change(connection, run, "deleted", time.time())

    def restore(self, run: int) -> None:
        """Undo `delete`."""
        with self._writing() as connection:
            entries.change(connection, run, "deleted", None)

    # How it is done.

    @property
    def _path(self) -> Path:
        return self.folder / DATABASE

    def _keep(
        self, run: int, arrays: Mapping[str, Array], texts: Mapping[str, bytes]
    ) -> tuple[str, int]:
        """Write the run's file. (SHA-256 of the arrays, bytes)."""
        with database.in_words(self._path):
            with self._lock:
                told = entries.told(self._connection, run)
            path = upkeep.result_path(self.folder, run)
            return result_file.write(path, arrays, {**texts, "__told__": rows.encode(told)})

    def _end(self, run: int, state: RunState, **how: Any) -> None:
        with self._writing() as connection:
            entries.end(connection, run, state, **how)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with database.in_words(self._path), self._lock, database.transaction(self._connection):
            yield self._connection

    def _read(self, sql: str, *values: Any) -> list[Any]:
        with self._lock:
            with database.in_words(self._path):
                self._settle_unless_locked()
            return self._ask(sql, *values)

    def _ask(self, sql: str, *values: Any) -> list[Any]:
        with database.in_words(self._path), self._lock:
            return self._connection.execute(sql, values).fetchall()

    def _settle_unless_locked(self) -> None:
        """Who reads does not wait: what can't be settled now reads as running, for now."""
        with (
            database.without_waiting(self._connection),
            contextlib.suppress(sqlite3.OperationalError),
        ):
            upkeep.settle(self._connection, self.folder)

    def _contents(self, run: int) -> result_file.Contents:
        path = upkeep.result_path(self.folder, run)
        again = f"run it again: mlxterp-tui runs replay {run}"
        try:
            return result_file.read(path)
        except FileNotFoundError:
            raise BadInput(
                f"the result of run {run} is missing: there is no {path}; {again}"
            ) from None
        except result_file.Damaged as error:
            raise BadInput(
                f"the result of run {run} is damaged: {path}: {error}; {again}"
            ) from None
        except OSError as error:
            raise BadInput(f"{path} can't be read ({error.strerror}); check its rights") from None


def _conditions(
    experiment: str | None,
    words: str,
    tag: str | None,
    since: float | None,
    until: float | None,
) -> list[search.Condition]:
    given = [search.named("experiment", experiment)] if experiment else []
    given += [search.named("tag", tag)] if tag else []
    given += [search.Condition("created >= ?", (since,))] if since is not None else []
    given += [search.Condition("created < ?", (until,))] if until is not None else []
    return [*given, *search.conditions(words)]


def _why_no_result(known: RunRecord) -> str:
    match known.state:
        case "running":
            return f"run {known.id} has not ended yet"
        case "cancelled":
            return f"run {known.id} was cancelled and has no result; kept: {known.kept}"
        case _:
            return f"run {known.id} failed and has no result: {known.reason.splitlines()[0]}"


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM runs LIMIT 1").fetchone() is None


def _notice(path: Path, wrong: str, found: int) -> str:
    runs = "1 run was" if found == 1 else f"{found} runs were"
    return f"the research log {path}: {wrong}; {runs} read in from the results beside it"


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """One process opens at a time: two must not put the same file aside, or migrate it."""
    with (folder / "open.lock").open("a") as turn:
        if not database.wait(lambda: _locked(turn.fileno())):
            raise BadInput(
                f"another program has been opening {folder} for {database.PATIENCE:.0f} s; end it"
            )
        yield


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
