"""What an older, newer, foreign, empty, locked or full database comes to."""

import contextlib
import shutil
import sqlite3

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.runlog import database, schema
from mlxterp_engine.runlog.log import RunLog

import pytest
from logged import done, request, result

# {"request": {"name": "logit-lens", "prompt": "Alice was"}, "folder": "/"} in msgpack
BEGAN_IN_VERSION_1 = bytes.fromhex(
    "82a77265717565737482a46e616d65aa6c6f6769742d6c656e73"
    "a670726f6d7074a9416c69636520776173a6666f6c646572a12f"
)


def first_version(path):
    """A database as version 1 wrote it, with one run: never to be changed."""
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript("""
            CREATE TABLE runs (id INTEGER PRIMARY KEY AUTOINCREMENT, created REAL NOT NULL,
                ended REAL, experiment TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL,
                headline TEXT NOT NULL DEFAULT '', prompt TEXT NOT NULL DEFAULT '',
                tags TEXT NOT NULL DEFAULT '', note TEXT NOT NULL DEFAULT '', parent INTEGER,
                broken INTEGER NOT NULL DEFAULT 0, hypothesis TEXT NOT NULL DEFAULT '',
                outcome TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',
                kept TEXT NOT NULL DEFAULT '', result_sha256 TEXT NOT NULL DEFAULT '',
                result_bytes INTEGER NOT NULL DEFAULT 0, writer TEXT NOT NULL, deleted REAL,
                words TEXT NOT NULL);
            CREATE TABLE details (run INTEGER PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
                began BLOB NOT NULL, meta BLOB);
            CREATE TABLE figures (run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
                name TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY (name, run)) WITHOUT ROWID;
            INSERT INTO runs (id, created, ended, experiment, model, state, prompt, tags, writer,
                words, reason) VALUES (7, 1700000000, 1700000001, 'logit-lens', 'glass-tiny',
                'failed', 'Alice was', 'old', '1-aa', 'alice was', 'no luck');
            INSERT INTO figures VALUES (7, 'kl_middle', 2.5);
            PRAGMA user_version = 1;
        """)
        old.execute("INSERT INTO details (run, began) VALUES (7, ?)", (BEGAN_IN_VERSION_1,))
        old.commit()


def test_a_log_of_version_1_is_read(folder):
    folder.mkdir()
    first_version(folder / "runs.db")
    with RunLog.open(folder) as log:
        [line] = log.lines(search="alice kl_middle>2", tag="old")
        assert (line.id, line.state, line.prompt) == (7, "failed", "Alice was")
        record = log.record(7)
        assert record.request == {"name": "logit-lens", "prompt": "Alice was"}
        assert (record.reason, record.folder) == ("no luck", "/")
        assert done(log) == 8


def test_migrations_are_applied_in_order_and_once(tmp_path):
    path = tmp_path / "runs.db"
    first_version(path)
    more = [
        *schema.MIGRATIONS,
        "ALTER TABLE runs ADD COLUMN place TEXT NOT NULL DEFAULT 'here'",
        "UPDATE runs SET place = place || ', and there'",
    ]
    for _ in range(2):
        with contextlib.closing(database.connect(path, more)) as connection:
            assert schema.version(connection) == 3
            assert connection.execute("SELECT place FROM runs").fetchall() == [("here, and there",)]


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "runs.db"
    first_version(path)
    bad = [*schema.MIGRATIONS, "ALTER TABLE runs ADD COLUMN place TEXT; SELECT nonsense"]
    with pytest.raises(sqlite3.OperationalError):
        database.connect(path, bad)
    with contextlib.closing(database.connect(path)) as connection:
        assert schema.version(connection) == 1
        columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
        assert "place" not in columns


def test_a_newer_log_is_refused_and_left_as_it_is(folder):
    with RunLog.open(folder) as log:
        done(log)
    with contextlib.closing(sqlite3.connect(folder / "runs.db")) as newer:
        newer.execute("PRAGMA user_version = 99")
    before = (folder / "runs.db").read_bytes()
    with pytest.raises(BadInput, match=r"newer mlxterp-tui \(version 99; .* up to 1\): update"):
        RunLog.open(folder)
    assert (folder / "runs.db").read_bytes() == before


def test_a_database_that_can_not_be_read_is_put_aside_and_made_anew_from_the_results(folder):
    with RunLog.open(folder) as log:
        run = done(log, hypothesis="kept in the file", tags=("t",), headline="found")
        cut = log.begin(request())
        log.cancelled(cut, [])
    (folder / "runs.db").write_bytes(b"this is no database, " * 400)
    with RunLog.open(folder) as log:
        assert "can't be read (file is not a database)" in log.notice
        assert "2 runs were read in" in log.notice
        assert [(line.id, line.state) for line in log.lines()] == [
            (cut, "cancelled"),
            (run, "done"),
        ]
        record = log.record(run)
        assert (record.hypothesis, record.tags, record.headline) == (
            "kept in the file",
            ("t",),
            "found",
        )
        assert log.result(run) == result(request(), headline="found")
        assert done(log) > cut
    [aside] = folder.glob("runs.db.unreadable-*[0-9]")
    assert aside.read_bytes().startswith(b"this is no database")
    with RunLog.open(folder) as log:
        assert log.notice == ""


@pytest.mark.parametrize("left", [b"", None])
def test_an_empty_or_missing_database_beside_results_is_made_from_them(folder, left):
    with RunLog.open(folder) as log:
        run = done(log)
    (folder / "runs.db").unlink()
    if left is not None:
        (folder / "runs.db").write_bytes(left)
    with RunLog.open(folder) as log:
        assert [line.id for line in log.lines()] == [run]
        assert ("was empty" in log.notice) is (left is not None)


def test_a_damaged_result_does_not_keep_the_others_from_being_read_in(folder):
    with RunLog.open(folder) as log:
        first, second = done(log), done(log)
    (folder / "results" / f"{first}.safetensors").write_bytes(b"broken")
    (folder / "results" / "notes.safetensors").write_bytes(b"not ours")
    (folder / "runs.db").unlink()
    with RunLog.open(folder) as log:
        assert [line.id for line in log.lines()] == [second]


def test_a_locked_database_is_said_and_works_again_afterwards(log, monkeypatch):
    monkeypatch.setattr(database, "PATIENCE", 0.05)
    log._connection.execute("PRAGMA busy_timeout = 50")
    with contextlib.closing(sqlite3.connect(log.folder / "runs.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BadInput, match="is locked by another program"):
            log.begin(request())
        assert log.lines() == []  # reading waits for nobody
        other.rollback()
    assert done(log)


def test_a_lock_while_a_run_ends_loses_nothing(log):
    asked = request()
    run = log.begin(asked)
    log._connection.execute("PRAGMA busy_timeout = 50")
    with contextlib.closing(sqlite3.connect(log.folder / "runs.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BadInput, match="is locked"):
            log.finish(run, result(asked, 3.0))
        assert log.record(run).state == "running"
        other.rollback()
    assert log.record(run).state == "done"
    assert log.result(run) == result(asked, 3.0)


def test_a_full_disk_is_said_and_what_was_there_stays(log):
    run = done(log)
    pages = log._connection.execute("PRAGMA page_count").fetchone()[0]
    log._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(BadInput, match="finds no room on its disk; make some"):
        log.begin(request("x" * 100_000))
    assert log.result(run)
    log._connection.execute("PRAGMA max_page_count = 100000")
    assert done(log) > run


def test_a_result_that_finds_no_room_leaves_the_record_and_its_figures(log, monkeypatch):
    asked = request()
    run = log.begin(asked)

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(BadInput, match="no room on its disk"):
            log.finish(run, result(asked, figures={"kl_middle": 1.0}))
    record = log.record(run)
    assert (record.state, record.figures, record.result_bytes) == ("done", {"kl_middle": 1.0}, 0)
    assert "no room on its disk" in record.kept
    with pytest.raises(BadInput, match="is missing"):
        log.result(run)


def records(log, runs):
    return [log.record(run) for run in runs]


def test_pages_that_went_bad_are_said_and_nothing_is_moved(folder):
    with RunLog.open(folder) as log:
        for number in range(60):
            done(log, f"{number} " * 200)
    path = folder / "runs.db"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size // 2))
    with pytest.raises(BadInput, match=r"is damaged; .*recover"), RunLog.open(folder) as log:
        records(log, range(1, 61))
    assert path.stat().st_size == size
    assert not list(folder.glob("*.unreadable*"))


def test_a_folder_that_can_not_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match=r"file/runs can't be made.*MLXTERP_HOME"):
        RunLog.open(tmp_path / "file" / "runs")


def test_results_without_a_database_are_read_in_and_it_is_said(log, folder):
    run = done(log)
    for path in folder.glob("runs.db*"):
        path.unlink()
    with RunLog.open(folder) as again:
        assert "it was gone; 1 run was read in" in again.notice
        assert again.result(run)


def test_a_writer_whose_presence_was_taken_away_makes_it_anew(log, folder):
    log.begin(request())
    shutil.rmtree(folder / "alive")
    run = log.begin(request())
    assert log.record(run).state == "running"
