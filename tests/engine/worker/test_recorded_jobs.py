"""What the engine writes into the research log, and what it tells of that."""

import contextlib
import os
import signal
import sqlite3

from mlxterp_engine.experiments import BadInput, LogitLens, RunCancelled, RunFailed, Started
from mlxterp_engine.runlog.entries import ENGINE_DIED
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.record import Recording
from mlxterp_engine.worker.client import Engine
from mlxterp_engine.worker.protocol import JobChanged, LogTrouble
from mlxterp_engine.worker.tasks import OpenModel

import pytest
from processes import until
from stand_in import PRICE, row

SAID = Recording(hypothesis="it holds", tags=("t",), note="n", parent=None)


def lens(prompt):
    return LogitLens(prompt=prompt)


def logged(run):
    with RunLog.open() as log:
        return log.record(run)


def lines():
    with RunLog.open() as log:
        return log.lines()


async def first_part_of(job):
    async for event in job.events():
        return event


async def info_of(engine, job):
    [info] = [info for info in await engine.jobs() if info.id == job.id]
    return info


async def test_a_job_that_has_ended_is_in_the_log_when_its_end_is_told(engine):
    job = await engine.submit(lens("rows 2"), recording=SAID)
    outcome = await job.outcome()
    with RunLog.open() as log:
        assert log.result(job.run) == outcome
        record = log.record(job.run)
    assert (record.hypothesis, record.tags, record.note) == ("it holds", ("t",), "n")
    assert (record.state, record.tokens, record.folder) == ("done", [["a"]], os.getcwd())
    assert (await info_of(engine, job)).run == job.run


async def test_the_price_and_the_model_are_kept_where_they_are_known(engine):
    await (await engine.submit(OpenModel())).outcome()
    job = await engine.submit(lens("rows 1"))
    await job.outcome()
    assert logged(job.run).price == PRICE


async def test_a_running_job_has_its_number_already(engine, tmp_path):
    told = []
    engine.on_notice(told.append)
    job = await engine.submit(lens(f"hold {tmp_path / 'go'}"), recording=SAID)
    assert await first_part_of(job) == row(0)
    run = (await info_of(engine, job)).run
    assert (logged(run).state, logged(run).hypothesis) == ("running", "it holds")
    await until(lambda: any(n.info.run == run for n in told if isinstance(n, JobChanged)))
    (tmp_path / "go").touch()
    await job.outcome()
    assert (job.run, logged(run).state) == (run, "done")


async def test_a_job_without_a_recording_leaves_nothing_behind(engine, home):
    job = await engine.submit(lens("rows 1"), recording=None)
    await job.outcome()
    assert job.run is None
    assert (await info_of(engine, job)).run is None
    assert not (home / "data").exists()


@pytest.mark.parametrize("recording", [SAID, None], ids=["logged", "not logged"])
async def test_a_result_outlives_its_engine_in_one_copy(home, recording):
    async with await Engine.attach() as engine:
        job = await engine.submit(lens("large 1"), recording=recording)
        outcome = await job.outcome()
        await engine.shutdown()
    async with await Engine.private() as later:
        kept = await later.watch(job.id)
        assert await kept.outcome() == outcome
        assert kept.run == job.run
    large = [path for path in home.rglob("*") if path.is_file() and path.stat().st_size > 1 << 20]
    assert len(large) == 1


async def test_what_is_no_experiment_is_not_recorded(engine, home):
    await (await engine.submit(OpenModel(), recording=SAID)).outcome()
    assert not (home / "data").exists()


async def test_a_cancelled_job_keeps_what_it_had_come_to(engine, tmp_path):
    job = await engine.submit(lens(f"hold {tmp_path / 'go'}"))
    await first_part_of(job)
    await engine.cancel(job.id)
    with pytest.raises(RunCancelled):
        await job.outcome()
    with RunLog.open() as log:
        assert log.parts(job.run) == [row(0)]


async def test_a_job_that_is_cancelled_while_it_waits_was_never_a_run(engine, tmp_path):
    first = await engine.submit(lens(f"hold {tmp_path / 'go'}"))
    second = await engine.submit(lens("rows 1"))
    await engine.cancel(second.id)
    (tmp_path / "go").touch()
    await first.outcome()
    assert second.run is None
    assert [line.id for line in lines()] == [first.run]


@pytest.mark.parametrize(("prompt", "kind"), [("bad", BadInput), ("fail", RunFailed)])
async def test_what_never_began_leaves_nothing(engine, prompt, kind):
    job = await engine.submit(lens(prompt))
    with pytest.raises(kind):
        await job.outcome()
    assert job.run is None
    assert lines() == []


async def test_an_engine_that_dies_leaves_its_run_as_failed(engine, tmp_path):
    job = await engine.submit(lens(f"hold {tmp_path / 'go'}"))
    await first_part_of(job)
    run = (await info_of(engine, job)).run
    os.kill((await engine.status()).pid, signal.SIGKILL)
    await engine.lost
    await until(lambda: logged(run).state == "failed")
    assert logged(run).reason == ENGINE_DIED


async def test_two_runs_are_compared_while_a_job_runs(engine, tmp_path):
    first = await engine.submit(lens("rows 1"))
    await first.outcome()
    (tmp_path / "go").touch()
    second = await engine.submit(lens(f"hold {tmp_path / 'go'}"))
    await second.outcome()
    holding = await engine.submit(lens(f"hold {tmp_path / 'never'}"))
    comparison = await engine.compare(first.run, second.run)
    assert comparison.unlike == {"entropy": "the shapes differ: 2 and 1"}
    assert comparison.drift["top_ids"] == 0.0
    with pytest.raises(BadInput, match="there is no run 99"):
        await engine.compare(first.run, 99)
    await engine.cancel(holding.id)


async def test_two_engines_write_one_log(engine):
    async with await Engine.private() as private:
        jobs = [await one.submit(lens("rows 1")) for one in (engine, private) for _ in range(5)]
        for job in jobs:
            await job.outcome()
    assert sorted(job.run for job in jobs) == list(range(1, 11))
    assert {line.state for line in lines()} == {"done"}


async def test_a_run_again_begins_where_the_first_one_stood(engine, tmp_path):
    place = tmp_path / "elsewhere"
    place.mkdir()
    job = await engine.submit(lens("report facts"), folder=str(place))
    await job.outcome()
    assert (place / "facts").exists()
    assert logged(job.run).folder == str(place)


# Troubles.


def make_newer():
    with RunLog.open() as log:
        path = log.folder / "runs.db"
    with contextlib.closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 99")


async def test_a_log_of_a_newer_version_is_told_once_and_jobs_go_on(engine):
    make_newer()
    told = []
    engine.on_notice(told.append)
    for _ in range(2):
        job = await engine.submit(lens("rows 1"))
        assert await first_part_of(job) == Started([[1]], [["a"]])
        await job.outcome()
        assert job.run is None
    [trouble] = [notice for notice in told if isinstance(notice, LogTrouble)]
    assert trouble.reason.startswith("the run is not recorded: ")
    assert "newer mlxterp-tui" in trouble.reason
    assert (await engine.status()).log_trouble == trouble.reason


async def test_a_database_that_broke_is_put_aside_and_the_next_run_is_kept(engine, home):
    told = []
    engine.on_notice(told.append)
    first = await engine.submit(lens("rows 1"))
    await first.outcome()
    async with await Engine.private() as later:
        later.on_notice(told.append)
        path = home / "data" / "runs" / "runs.db"
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink()
        path.unlink()
        path.write_bytes(b"broken" * 1000)
        job = await later.submit(lens("rows 1"))
        await job.outcome()
    [trouble] = [notice for notice in told if isinstance(notice, LogTrouble)]
    assert "put aside" in trouble.reason
    assert [line.id for line in lines()] == [job.run, first.run]
