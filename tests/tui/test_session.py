"""The app's side of the engine: batches, waiting for a start, losing it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mlxterp_engine.experiments import BadInput, LogitLens, RunFailed
from mlxterp_engine.worker.client import Lost
from mlxterp_tui.session import Session, batches

import pytest
from recorded_engine import RecordedEngine, Recording


async def counted(upto: int):
    for number in range(upto):
        yield number


class TestBatches:
    async def test_everything_arrives_once_and_in_order(self):
        got = [batch async for batch in batches(counted(50), pause=0.001)]
        assert [number for batch in got for number in batch] == list(range(50))

    async def test_a_flood_becomes_few_lists(self):
        got = [batch async for batch in batches(counted(1000), pause=0.05)]
        assert len(got) <= 3

    async def test_the_first_does_not_wait_for_the_next(self):
        gate = asyncio.Event()

        async def slow():
            yield 1
            await gate.wait()
            yield 2

        got = batches(slow(), pause=60)
        assert await asyncio.wait_for(anext(got), 1) == [1]
        gate.set()
        assert await asyncio.wait_for(anext(got), 1) == [2]

    async def test_an_error_on_the_way_is_raised_after_what_came_before_it(self):
        async def broken():
            yield 1
            raise RunFailed("lost")

        got = batches(broken(), pause=0)
        assert await anext(got) == [1]
        with pytest.raises(RunFailed, match="lost"):
            await anext(got)


class OldEngine:
    """What can be asked of an engine of another version."""

    def __init__(self, jobs: list[str]) -> None:
        self.runs, self._jobs = True, jobs

    async def shutdown(self, force: bool = False) -> None:
        if self._jobs and not force:
            raise BadInput(f"{len(self._jobs)} job has not ended")
        self.runs = False

    async def close(self) -> None: ...


class TestSession:
    async def test_what_is_asked_during_the_start_waits_for_it(self, recording: Recording):
        engine, gate = RecordedEngine(recording), asyncio.Event()

        async def connect() -> RecordedEngine:
            await gate.wait()
            return engine

        session = Session(connect, lambda: None)  # type: ignore[arg-type]
        starting = asyncio.create_task(session.attach())
        asking = asyncio.create_task(session.submit(recording.runs[0].task))
        await asyncio.sleep(0)
        assert not asking.done()
        gate.set()
        await starting
        assert (await asking).id == "job1"

    async def test_after_a_loss_asking_says_what_to_do(self, recording: Recording):
        engine = RecordedEngine(recording)
        session = Session(engine.connect, lambda: None)  # type: ignore[arg-type]
        await session.attach()
        engine.lose(Lost("the engine died", Path("log"), []))
        assert session.state == "lost"
        with pytest.raises(RunFailed, match=":engine restart"):
            await session.submit(LogitLens(prompt="a"))

    @pytest.mark.parametrize("jobs", [[], ["a training"]])
    async def test_an_engine_of_another_version_makes_room_unless_jobs_run(
        self, recording: Recording, jobs: list[str]
    ):
        """As where the app was upgraded while an engine ran: R starts one of our own."""
        ours, old = RecordedEngine(recording), OldEngine(jobs)

        async def connect(start: bool = True, any_version: bool = False) -> object:
            if old.runs and not any_version:
                raise RunFailed("the running engine speaks protocol 1 and this program 2")
            return old if old.runs else ours

        session = Session(connect, lambda: None)  # type: ignore[arg-type]
        with pytest.raises(RunFailed, match="speaks protocol 1"):
            await session.attach()
        if jobs:
            with pytest.raises(BadInput, match="1 job has not ended"):
                await session.stop()
            assert old.runs
        else:
            await session.stop()
            await session.attach()
            assert session.engine is ours

    async def test_a_start_that_fails_is_told_to_all_who_wait(self):
        async def nobody() -> RecordedEngine:
            raise RunFailed("no room")

        session = Session(nobody, lambda: None)  # type: ignore[arg-type]
        with pytest.raises(RunFailed, match="no room"):
            await session.attach()
        with pytest.raises(RunFailed, match="there is no engine"):
            await session.status()
