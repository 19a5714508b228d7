"""The client and a real engine process, over a real socket."""

import asyncio
import os
import signal
import zipfile

from mlxterp_engine.experiments import (
    BadInput,
    LogitLens,
    Result,
    RunCancelled,
    RunFailed,
    Started,
    Step,
)
from mlxterp_engine.worker import protocol
from mlxterp_engine.worker.client import Engine, NoEngine
from mlxterp_engine.worker.protocol import (
    EngineChanged,
    EngineStopping,
    Hello,
    JobChanged,
    ModelChanged,
)
from mlxterp_engine.worker.tasks import ModelOpened, OpenModel

import pytest
from processes import alive, until
from stand_in import PRICE, row


def lens(prompt):
    return LogitLens(prompt=prompt)


async def events_of(job):
    return [event async for event in job.events()]


def states_of(job, notices):
    changed = [notice.info for notice in notices if isinstance(notice, JobChanged)]
    return [info.state for info in changed if info.id == job.id]


async def first_part_of(job):
    """The job runs, when this comes."""
    async for event in job.events():
        return event


async def kinds_of(job):
    return [type(event).__name__ for event in await events_of(job) if not isinstance(event, Step)]


async def test_parts_come_in_order_and_the_result_at_the_end(engine):
    job = await engine.submit(lens("rows 3"))
    parts = [event for event in await events_of(job) if not isinstance(event, Step)]
    assert parts == [Started([[1]], [["a"]]), row(0), row(1), row(2)]
    outcome = await job.outcome()
    assert isinstance(outcome, Result)
    assert outcome.arrays["top_ids"].tolist() == [7]


async def test_a_job_waits_for_the_one_before(engine, tmp_path):
    first = await engine.submit(lens(f"hold {tmp_path / 'go'}"))
    second = await engine.submit(lens("rows 1"))
    states = {info.id: info.state for info in await engine.jobs()}
    assert states[second.id] == "queued"
    (tmp_path / "go").touch()
    await first.outcome()
    await second.outcome()
    assert [info.state for info in await engine.jobs()] == ["done", "done"]


async def test_the_engine_answers_while_a_job_runs(engine, tmp_path):
    await (await engine.submit(OpenModel())).outcome()
    job = await engine.submit(lens(f"hold {tmp_path / 'go'}"))
    await first_part_of(job)
    assert (await engine.tokenize("abc")).tokens == ["a", "b", "c"]
    assert (await engine.pieces("abc")).tokens == ["abc"]
    assert await engine.estimate(lens("rows 1")) == PRICE
    status = await engine.status()
    assert (status.state, status.memory, status.peak) == ("ready", 1000, 2000)
    assert [info.state for info in status.jobs] == ["running", "done"]
    assert job.price == PRICE
    (tmp_path / "go").touch()
    await job.outcome()


async def test_an_opened_model_is_told_to_everybody(engine):
    async with await Engine.attach(start=False) as other:
        told = []
        other.on_notice(told.append)
        outcome = await (await engine.submit(OpenModel())).outcome()
        assert isinstance(outcome, ModelOpened)
        await until(lambda: any(isinstance(notice, ModelChanged) for notice in told))
        assert (await other.status()).model == outcome.card


async def test_everybody_hears_of_a_job_s_states(engine):
    async with await Engine.attach(start=False) as other:
        told = []
        other.on_notice(told.append)
        job = await engine.submit(lens("rows 1"))
        await job.outcome()
        await until(lambda: "done" in states_of(job, told))
        assert states_of(job, told)[-1] == "done"


async def test_a_callback_can_be_taken_back(engine):
    told = []
    undo = engine.on_notice(told.append)
    undo()
    await (await engine.submit(lens("rows 1"))).outcome()
    await engine.status()
    assert told == []


async def test_who_attaches_later_gets_what_was_before(engine, tmp_path):
    job = await engine.submit(lens(f"hold {tmp_path / 'go'}"))
    async with await Engine.attach(start=False) as other:
        again = await other.watch(job.id)
        assert await first_part_of(again) == row(0)
        (tmp_path / "go").touch()
        assert await again.outcome() == await job.outcome()


async def test_a_second_look_at_one_s_own_job_starts_from_the_beginning(engine, tmp_path):
    job = await engine.submit(lens(f"hold {tmp_path / 'go'}"))
    await first_part_of(job)
    again = await engine.watch(job.id)
    (tmp_path / "go").touch()
    assert await kinds_of(again) == ["LogitLensRow"]
    assert await kinds_of(job) == []
    assert await again.outcome() == await job.outcome()


async def test_a_watcher_can_ask_for_the_rest_only(engine):
    job = await engine.submit(lens("rows 3"))
    await job.outcome()
    all_of_it = await engine.watch(job.id)
    await all_of_it.outcome()
    end_only = await engine.watch(job.id, seq=all_of_it.seq - 1)
    assert await events_of(end_only) == []
    assert await end_only.outcome() == await job.outcome()


async def test_cancelling_closes_the_work_and_is_told_to_all_who_watch(engine, tmp_path):
    job = await engine.submit(lens(f"hold {tmp_path / 'go'}"))
    await first_part_of(job)
    async with await Engine.attach(start=False) as other:
        watched = await other.watch(job.id)
        await other.cancel(job.id)
        for one in (job, watched):
            with pytest.raises(RunCancelled, match=job.id):
                await one.outcome()
    assert (tmp_path / "go.closed").exists()
    assert isinstance(await (await engine.submit(lens("rows 1"))).outcome(), Result)


async def test_cancelling_an_ended_job_does_no_harm_and_an_unknown_one_is_refused(engine):
    job = await engine.submit(lens("rows 1"))
    await job.outcome()
    await engine.cancel(job.id)
    with pytest.raises(BadInput, match="there is no job '00000000'"):
        await engine.cancel("00000000")
    with pytest.raises(BadInput, match="there is no job '00000000'"):
        await engine.watch("00000000")


@pytest.mark.parametrize(
    ("prompt", "error", "words", "details"),
    [
        ("bad", BadInput, "give one token", ""),
        ("fail", RunFailed, "try again", "line 1\nline 2"),
        ("fault", RunFailed, "ZeroDivisionError while running logit-lens: no number", "Traceback"),
    ],
)
async def test_each_failure_keeps_its_kind_and_its_words(engine, prompt, error, words, details):
    job = await engine.submit(lens(prompt))
    with pytest.raises(error, match=words) as caught:
        await job.outcome()
    assert caught.value.details.startswith(details)
    assert (await engine.jobs())[0].reason == str(caught.value)
    assert isinstance(await (await engine.submit(lens("rows 1"))).outcome(), Result)


async def test_a_result_is_written_where_it_was_asked_for(engine, tmp_path):
    out = tmp_path / "lens.npz"
    await (await engine.submit(lens("rows 1"), out=str(out))).outcome()
    assert {"meta.npy", "entropy.npy", "top_ids.npy"} <= set(zipfile.ZipFile(out).namelist())


async def test_what_can_not_be_written_is_refused_before_anything_runs(engine, tmp_path):
    with pytest.raises(BadInput, match="missing"):
        await engine.submit(lens("rows 1"), out=str(tmp_path / "missing" / "lens.npz"))
    with pytest.raises(BadInput, match="open-model has no arrays"):
        await engine.submit(OpenModel(), out=str(tmp_path / "lens.npz"))
    assert await engine.jobs() == []


async def test_a_failed_job_leaves_the_file_that_was_there(engine, tmp_path):
    out = tmp_path / "lens.npz"
    out.write_bytes(b"mine")
    with pytest.raises(BadInput):
        await (await engine.submit(lens("bad"), out=str(out))).outcome()
    assert out.read_bytes() == b"mine"
    assert list(tmp_path.glob("*.npz*")) == [out]


async def test_a_result_can_be_fetched_after_the_engine_has_stopped(engine, tmp_path):
    job = await engine.submit(lens("rows 1"))
    outcome = await job.outcome()
    await engine.shutdown()
    async with await Engine.private() as later:
        watched = await later.watch(job.id)
        assert await watched.outcome() == outcome
        await later.save(job.id, str(tmp_path / "lens.npz"))
    assert zipfile.is_zipfile(tmp_path / "lens.npz")


async def test_a_running_job_can_not_be_saved_yet(engine, tmp_path):
    job = await engine.submit(lens(f"hold {tmp_path / 'go'}"))
    with pytest.raises(BadInput, match=f"jobs wait {job.id}"):
        await engine.save(job.id, str(tmp_path / "lens.npz"))


async def test_a_job_without_a_result_can_not_be_saved(engine, tmp_path):
    job = await engine.submit(lens("fail"))
    with pytest.raises(RunFailed):
        await job.outcome()
    with pytest.raises(RunFailed, match="try again"):
        await engine.save(job.id, str(tmp_path / "lens.npz"))


async def test_a_private_engine_keeps_nothing(home):
    async with await Engine.private() as engine:
        await (await engine.submit(lens("rows 1"))).outcome()
    assert list((home / "state" / "jobs").iterdir()) == []


async def test_a_large_result_arrives_whole(engine):
    outcome = await (await engine.submit(lens("large 40"))).outcome()
    assert outcome.arrays["entropy"].data.nbytes == 40 << 20


async def test_a_killed_engine_is_told_to_all_who_wait(engine, tmp_path):
    told = []
    engine.on_lost(told.append)
    job = await engine.submit(lens(f"hold {tmp_path / 'go'}"))
    await first_part_of(job)
    os.kill((await engine.status()).pid, signal.SIGKILL)
    with pytest.raises(RunFailed, match=r"the engine died \(signal 9\); its log is .*engine.log"):
        await job.outcome()
    lost = await engine.lost
    await until(lambda: told == [lost])
    assert any(job.id in line for line in lost.tail)
    with pytest.raises(RunFailed, match="the engine died"):
        await engine.status()


async def test_after_a_killed_engine_a_new_one_starts_and_knows_of_the_lost_job(home, tmp_path):
    async with await Engine.attach() as first:
        job = await first.submit(lens(f"hold {tmp_path / 'go'}"))
        await first_part_of(job)
        os.kill((await first.status()).pid, signal.SIGKILL)
        with pytest.raises(RunFailed):
            await job.outcome()
    async with await Engine.attach() as second:
        [info] = await second.jobs()
        assert (info.id, info.state) == (job.id, "failed")
        with pytest.raises(RunFailed, match="the engine stopped before this job ended"):
            await (await second.watch(job.id)).outcome()
        assert isinstance(await (await second.submit(lens("rows 1"))).outcome(), Result)
        await second.shutdown()


async def test_jobs_outlive_the_client_that_asked(home, tmp_path):
    async with await Engine.attach() as first:
        job = await first.submit(lens(f"hold {tmp_path / 'go'}"))
    async with await Engine.attach(start=False) as second:
        (tmp_path / "go").touch()
        assert isinstance(await (await second.watch(job.id)).outcome(), Result)
        await second.shutdown()


async def test_an_engine_with_work_stops_only_by_force(engine, tmp_path):
    job = await engine.submit(lens(f"hold {tmp_path / 'go'}"))
    await first_part_of(job)
    with pytest.raises(BadInput, match=f"unfinished jobs \\({job.id}\\).*--force"):
        await engine.shutdown()
    async with await Engine.attach(start=False) as other:
        await other.shutdown(force=True)
    lost = await engine.lost
    assert "it was told to stop" in lost.reason
    assert "Traceback" not in lost.log.read_text()
    with pytest.raises(RunCancelled):
        await job.outcome()
    assert (tmp_path / "go.closed").exists()


async def test_a_stopping_engine_says_so(engine):
    told = []
    engine.on_notice(told.append)
    async with await Engine.attach(start=False) as other:
        await other.shutdown()
    await engine.lost
    await until(lambda: any(isinstance(notice, EngineStopping) for notice in told))


async def test_sigterm_stops_an_engine_in_order(engine, home, tmp_path):
    job = await engine.submit(lens(f"hold {tmp_path / 'go'}"))
    await first_part_of(job)
    os.kill((await engine.status()).pid, signal.SIGTERM)
    with pytest.raises(RunCancelled):
        await job.outcome()
    assert "SIGTERM" in (await engine.lost).reason
    assert not (home / "run" / "engine.sock").exists()


async def test_a_hang_up_of_the_terminal_does_not_stop_an_engine(engine):
    pid = (await engine.status()).pid
    os.kill(pid, signal.SIGHUP)
    os.kill(pid, signal.SIGINT)
    assert (await engine.status()).pid == pid


async def test_a_private_engine_ends_with_its_client(home):
    async with await Engine.private() as engine:
        pid = (await engine.status()).pid
        assert alive(pid)
    assert not alive(pid)


async def test_an_engine_that_can_not_import_mlx_says_why_and_makes_room(home, monkeypatch):
    monkeypatch.setenv("MLXTERP_WORKBENCH", "stand_in:broken")
    async with await Engine.attach() as engine:
        with pytest.raises(RunFailed, match=r"could not start: libmlx\.so: cannot open") as caught:
            await (await engine.submit(lens("rows 1"))).outcome()
        assert "ImportError" in caught.value.details
        await until_state(engine, "broken")
        pid = (await engine.status()).pid
    await until(lambda: not alive(pid))
    with pytest.raises(NoEngine):
        await Engine.attach(start=False)


async def until_state(engine, state):
    while (await engine.status()).state != state:
        await asyncio.sleep(0.005)


async def test_a_starting_engine_tells_when_it_is_ready(home):
    told = []
    async with await Engine.private() as engine:
        engine.on_notice(told.append)
        await until_state(engine, "ready")
        assert told in ([], [EngineChanged("ready")])


async def test_an_engine_of_another_version_is_refused_with_the_remedy(engine, monkeypatch):
    monkeypatch.setattr(protocol, "Hello", lambda: Hello(protocol=99))
    spoken = rf"protocol {protocol.VERSION} and this program 99.*engine restart"
    with pytest.raises(RunFailed, match=spoken):
        await Engine.attach(start=False)


async def test_an_engine_of_another_version_can_still_be_stopped(engine, monkeypatch):
    monkeypatch.setattr(protocol, "Hello", lambda: Hello(protocol=99))
    async with await Engine.attach(start=False, any_version=True) as other:
        await other.shutdown()
    await engine.lost
