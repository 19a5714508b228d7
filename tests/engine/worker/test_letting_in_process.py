"""Two jobs at once, as clients see them: a long one that waits, and a short one that runs."""

import os
import signal

from mlxterp_engine.experiments import BadInput, EngineError, LogitLens, RunCancelled, Started, Step
from mlxterp_engine.worker.archive import LOST
from mlxterp_engine.worker.client import Engine
from mlxterp_engine.worker.protocol import JobChanged
from mlxterp_engine.worker.tasks import ModelsListed, Reproduce

import pytest
from processes import until


async def begun(engine, folder):
    """A card that is being made until the file `go` lies in this folder."""
    job = await engine.submit(Reproduce(card="logit-lens", out=str(folder)))
    async for event in job.events():
        if isinstance(event, Started):
            return job


async def held(engine, folder):
    """A lens that runs until `lens` lies in this folder."""
    job = await engine.submit(LogitLens(prompt=f"hold {folder / 'lens'}"))
    async for event in job.events():
        if isinstance(event, Step):
            return job


async def test_a_lens_is_answered_while_a_card_is_made(engine, tmp_path):
    card = await begun(engine, tmp_path)
    lens = await engine.submit(LogitLens(prompt="rows 2"))
    assert (await lens.outcome()).arrays
    assert not card.ended
    (tmp_path / "go").touch()
    assert await card.outcome() == ModelsListed([])
    assert lens.run == 1  # in the log, as ever


async def test_the_one_that_waits_says_so_and_both_are_running(engine, tmp_path):
    said = {}

    def hear(notice):
        if isinstance(notice, JobChanged):
            said.setdefault(notice.info.id, set()).add((notice.info.state, notice.info.what))

    engine.on_notice(hear)
    card = await begun(engine, tmp_path)
    lens = await held(engine, tmp_path)
    jobs = {info.id: info for info in (await engine.status()).jobs}
    assert (jobs[card.id].state, jobs[card.id].what) == ("running", "waiting for logit-lens")
    assert (jobs[lens.id].state, jobs[lens.id].what) == ("running", "holding")
    (tmp_path / "lens").touch()
    await lens.outcome()
    said[card.id].clear()
    await until(lambda: ("running", "making") in said[card.id])
    await engine.cancel(card.id)
    with pytest.raises(RunCancelled):
        await card.outcome()
    await until(lambda: (tmp_path / "closed").exists())
    assert ("done", "holding") in said[lens.id]


async def test_an_engine_with_two_jobs_under_way_names_both_when_it_is_to_stop(engine, tmp_path):
    card = await begun(engine, tmp_path)
    lens = await held(engine, tmp_path)
    with pytest.raises(BadInput, match=f"unfinished jobs .{lens.id}, {card.id}."):
        await engine.shutdown()
    await engine.shutdown(force=True)
    for job in (card, lens):
        with pytest.raises(EngineError):
            await job.outcome()


async def test_an_engine_that_dies_loses_both_and_says_so_of_both(engine, tmp_path):
    card = await begun(engine, tmp_path)
    lens = await held(engine, tmp_path)
    os.kill((await engine.status()).pid, signal.SIGKILL)
    await engine.lost
    async with await Engine.attach() as later:
        jobs = {info.id: info for info in await later.jobs()}
        await later.shutdown()
    for job in (card, lens):
        assert (jobs[job.id].state, jobs[job.id].reason) == ("failed", LOST)


async def test_who_comes_later_can_follow_both(engine, tmp_path):
    card = await begun(engine, tmp_path)
    lens = await held(engine, tmp_path)
    async with await Engine.attach() as second:
        followed = [await second.watch(job.id) for job in (card, lens)]
        (tmp_path / "lens").touch()
        (tmp_path / "go").touch()
        outcomes = [await job.outcome() for job in followed]
    assert outcomes == [await card.outcome(), await lens.outcome()]
