"""Records the real engine on the default model, for tests that show true numbers quickly.

    python tests/tui/record.py

Run it again when the protocol or the lens has changed; then the snapshots are due, too.
"""

from __future__ import annotations

import asyncio

from mlxterp_engine.experiments import LogitLens, Result
from mlxterp_engine.worker.client import Engine
from mlxterp_engine.worker.protocol import Finished
from mlxterp_engine.worker.tasks import ModelOpened, OpenModel, Task

from recorded_engine import RecordedRun, Recording

CAPITAL = "The capital of France is"
STORE = "When Mary and John went to the store, John gave a drink to"
TASKS = (
    LogitLens(prompt=CAPITAL, top_k=10),
    LogitLens(prompt=CAPITAL, top_k=10, target=" Paris"),
    LogitLens(prompt=STORE, top_k=10),
)


async def record(engine: Engine, task: Task) -> RecordedRun:
    job = await engine.submit(task)
    events = [event async for event in job.events()]
    outcome = await job.outcome()
    if isinstance(outcome, Result):
        outcome = Result(meta=outcome.meta, arrays=outcome.arrays, strings=outcome.strings)
    return RecordedRun(task, job.price, [*events, Finished(outcome)])  # type: ignore[list-item]


async def main() -> None:
    async with await Engine.private() as engine:
        opened = await (await engine.submit(OpenModel())).outcome()
        assert isinstance(opened, ModelOpened)
        runs = [await record(engine, task) for task in TASKS]
        tokens = {text: await engine.tokenize(text) for text in (CAPITAL, STORE)}
    Recording(opened.card, runs, tokens).save("smollm2")


if __name__ == "__main__":
    asyncio.run(main())
