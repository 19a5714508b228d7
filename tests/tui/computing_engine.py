"""An engine that computes with the tiny model, in this process: what a recording can't foresee."""

from __future__ import annotations

from mlxterp_engine.experiments import Price
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.techniques.execute import execute, price
from mlxterp_engine.worker.protocol import AnyEvent, Finished, Tokenized
from mlxterp_engine.worker.tasks import Task

from recorded_engine import RecordedEngine, RecordedRun


class Computed:
    """Answers like a recording in which everything is found."""

    runs = ()

    def __init__(self, model: InterpretableModel) -> None:
        self.model, self.card = model, model.card

    def run_of(self, task: Task) -> RecordedRun:
        steps, events = execute(self.model, task), list[AnyEvent]()  # type: ignore[arg-type]
        while True:
            try:
                events.append(next(steps))
            except StopIteration as end:
                return RecordedRun(task, price(self.model, task), [*events, Finished(end.value)])  # type: ignore[arg-type]


class ComputingEngine(RecordedEngine):
    """seconds: what it says that a run takes."""

    def __init__(self, model: InterpretableModel, log: RunLog | None = None) -> None:
        super().__init__(Computed(model), log=log)  # type: ignore[arg-type]
        self.model = model
        self.seconds = 0.01

    async def estimate(self, task: Task) -> Price | None:
        price(self.model, task)  # type: ignore[arg-type]  # refuses what can't be asked
        return Price(1, self.seconds, 0)

    async def tokenize(self, text: str, bos: str = "auto", chat: bool = False) -> Tokenized:
        ids = self.model.encode(text, bos, chat) if text or chat else []  # type: ignore[arg-type]
        return Tokenized(ids, self.model.tokens.strings(ids))

    async def pieces(self, text: str) -> Tokenized:
        ids = self.model.tokens.pieces(text)
        return Tokenized(ids, self.model.tokens.strings(ids))
