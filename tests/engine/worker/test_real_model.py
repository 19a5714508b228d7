"""The engine process with its own workbench and the tiny model that comes along."""

from mlxterp_engine.experiments import BadInput, LogitLens, LogitLensRow, Result, RunCancelled, Step
from mlxterp_engine.worker.client import Engine
from mlxterp_engine.worker.protocol import ModelChanged
from mlxterp_engine.worker.tasks import ModelOpened, OpenModel

import pytest
from processes import until

LENS = LogitLens(prompt="Alice was beginning to", model="glass-tiny")


@pytest.fixture
async def engine(home, monkeypatch):
    """A private engine that computes."""
    monkeypatch.delenv("MLXTERP_WORKBENCH")
    async with await Engine.private() as private:
        yield private


async def test_a_lens_comes_row_by_row_and_then_whole(engine):
    job = await engine.submit(LENS)
    rows = [event async for event in job.events() if isinstance(event, LogitLensRow)]
    result = await job.outcome()
    assert isinstance(result, Result)
    assert sorted(row.layer for row in rows) == result.arrays["layer"].tolist() == [-1, 0, 1, 2, 3]
    by_layer = {row.layer: row for row in rows}
    assert by_layer[3].entropy.tolist() == result.arrays["entropy"].tolist()[-1]
    assert result.meta.contracts["lens_last_row"].ok


async def test_prices_and_tokens_are_known_once_a_model_is_open(engine):
    told = []
    engine.on_notice(told.append)
    assert await engine.estimate(LENS) is None
    opened = await (await engine.submit(OpenModel(model="glass-tiny"))).outcome()
    assert isinstance(opened, ModelOpened)
    await until(lambda: ModelChanged(opened.card) in told)
    price = await engine.estimate(LENS)
    assert price is not None
    assert price.passes > 0
    tokenized = await engine.tokenize(LENS.prompt)
    assert "".join(tokenized.tokens) == LENS.prompt
    assert (await engine.submit(LENS)).price == price


async def test_loading_can_be_cancelled_and_the_next_job_runs(engine):
    job = await engine.submit(LENS)
    async for event in job.events():
        assert isinstance(event, Step)
        break
    await engine.cancel(job.id)
    with pytest.raises(RunCancelled):
        await job.outcome()
    assert isinstance(await (await engine.submit(LENS)).outcome(), Result)


async def test_an_unknown_model_is_refused_in_words_and_the_engine_goes_on(engine):
    job = await engine.submit(LogitLens(prompt="a", model="glass-tyni"))
    with pytest.raises(BadInput, match="closest: glass-tiny"):
        await job.outcome()
    assert isinstance(await (await engine.submit(LENS)).outcome(), Result)
