"""Records the real engine on the default model, for tests that show true numbers quickly.

    python tests/tui/record.py            # all recordings, or those that are named: patching

Run it again when the protocol or what it records has changed; then the snapshots are due, too.
"""

from __future__ import annotations

import asyncio
import sys

from mlxterp_engine.experiments import (
    ActivationPatching,
    Attention,
    AttributionPatching,
    CausalTracing,
    LogitLens,
    Result,
)
from mlxterp_engine.worker.client import Engine
from mlxterp_engine.worker.protocol import Finished
from mlxterp_engine.worker.tasks import ModelOpened, OpenModel, Task
from mlxterp_tui.panes.patch.words import IOI

from recorded_engine import RecordedRun, Recording

CAPITAL = "The capital of France is"
STORE = "When Mary and John went to the store, John gave a drink to"
TASKS = (
    LogitLens(prompt=CAPITAL, top_k=10),
    LogitLens(prompt=CAPITAL, top_k=10, target=" Paris"),
    LogitLens(prompt=STORE, top_k=10),
)
PAIR = IOI._asdict()
NAME_MOVERS = 23  # the block of the head that the example's answer comes through
PATCHINGS = (
    LogitLens(prompt=CAPITAL, top_k=10),
    ActivationPatching(**PAIR),
    AttributionPatching(**PAIR),
    Attention(prompt=IOI.clean, layers=[NAME_MOVERS]),
)
SETS = (
    LogitLens(prompt=CAPITAL, top_k=10),
    CausalTracing(
        prompt="Northern Nigeria Protectorate follows the religion of",
        subject="Northern Nigeria Protectorate",
        samples=3,
        sever="mlp",
        noise_levels=[1, 3, 6],
    ),
    CausalTracing(facts="known", count=3, samples=2),
    ActivationPatching(pairs="ioi", count=3, sites=["z", "k", "resid_pre"]),
)
RECORDINGS = {
    "smollm2": (TASKS, (CAPITAL, STORE)),
    "patching": (PATCHINGS, (CAPITAL, IOI.clean, IOI.corrupt)),
    "patching_sets": (SETS, (CAPITAL, SETS[1].prompt, IOI.clean, IOI.corrupt)),
}


async def record(engine: Engine, task: Task) -> RecordedRun:
    job = await engine.submit(task)
    events = [event async for event in job.events()]
    outcome = await job.outcome()
    if isinstance(outcome, Result):
        outcome = Result(meta=outcome.meta, arrays=outcome.arrays, strings=outcome.strings)
    return RecordedRun(task, job.price, [*events, Finished(outcome)])  # type: ignore[list-item]


async def main(names: list[str]) -> None:
    async with await Engine.private() as engine:
        opened = await (await engine.submit(OpenModel())).outcome()
        assert isinstance(opened, ModelOpened)
        for name in names:
            tasks, texts = RECORDINGS[name]
            runs = [await record(engine, task) for task in tasks]
            tokens = {text: await engine.tokenize(text) for text in texts}
            Recording(opened.card, runs, tokens).save(name)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or list(RECORDINGS)))
