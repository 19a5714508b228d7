"""Making a card: the plan, its runs in the log, the verdicts, the files.

The card is a run of the log itself, begun with the claims as its hypothesis before anything is
computed. Its experiments are its children, and its arrays are what the verdicts came from.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from mlxterp_engine.experiments import (
    AnyPart,
    AnyRequest,
    Array,
    BadInput,
    Contract,
    Meta,
    Price,
    Result,
    Started,
    Step,
    parameters_of,
)
from mlxterp_engine.experiments.card import Card
from mlxterp_engine.experiments.reproductions import TAG, entry
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.models.load import available_memory
from mlxterp_engine.reproductions import shelf, writing
from mlxterp_engine.reproductions.frame import Reproduced, Reproduction, Working
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.record import Recording
from mlxterp_engine.runlog.recording import Known, Recorder, is_wanted
from mlxterp_engine.techniques.execute import execute
from mlxterp_engine.worker.tasks import CardMade, Reproduce


def module_of(name: str) -> Reproduction:
    """BadInput for a name that there is not."""
    module = import_module(f"mlxterp_engine.reproductions.{entry(name).where}")
    return cast(Reproduction, module)


def price(model: InterpretableModel, task: Reproduce) -> Price:
    """Without MLX: may be asked from any thread."""
    reproduction = module_of(task.card)
    return reproduction.price(model, reproduction.plan(model, task))


def make_card(
    model: InterpretableModel, task: Reproduce, load_seconds: float = 0.0
) -> Generator[Started | Step | AnyPart, None, CardMade]:
    """Yields how far it is. Stopped on the way it leaves the runs that were done, and no card."""
    making = _Making(model, task, load_seconds)
    _check_memory(making.price)
    folder = Path(task.out) if task.out else shelf.new_folder(task.card, making.created)
    with writing.made_ready(folder), contextlib.closing(making):
        result = yield from making.recorded()
        card = making.card(result)
        writing.write_card(card, result, folder)
    return CardMade(card, str(folder))


class _Making:
    """One card on its way. run: its own in the log; runs: those of its experiments."""

    def __init__(self, model: InterpretableModel, task: Reproduce, load_seconds: float) -> None:
        self._model = model
        self._task = task
        self._load_seconds = load_seconds
        self._reproduction = module_of(task.card)
        self._plan = self._reproduction.plan(model, task)
        self.price = self._reproduction.price(model, self._plan)
        self.created = time.time()
        self._troubles: list[str] = []
        self._log: RunLog | None = None
        tell = self._troubles.append
        self._recorder = Recorder(self._open_log, tell) if is_wanted() else None
        self._run: int | None = None
        self._runs: list[int] = []
        self._metas: list[Meta] = []
        self._reproduced: Reproduced | None = None

    def _open_log(self) -> RunLog:
        self._log = RunLog.open()
        return self._log

    def close(self) -> None:
        """Let go of the log."""
        if self._log is not None:
            self._log.close()

    def recorded(self) -> Working:
        """The whole work, as a run of the log where there is one."""
        if self._recorder is None:
            return self._steps()
        expected = "; ".join(self._reproduction.expected())
        return self._recorder.follow(
            self._task,  # type: ignore[arg-type]  # it has a name and a model, as requests do
            self._steps(),
            Recording(hypothesis=expected, tags=(TAG,)),
            known=lambda: Known(self.price, self._model.card),
            noted=self._note_own,
        )

    def _steps(self) -> Working:
        yield Started([], [])  # the log begins the run here: its children need its number
        start = time.perf_counter()
        reproduced = yield from self._reproduction.make(self._model, self._plan, self._perform)
        self._reproduced = reproduced
        return self._result(reproduced, time.perf_counter() - start)

    def _perform(self, request: AnyRequest) -> Working:
        """An experiment through the one path, as a child of the card's run."""
        steps = execute(self._model, request, self._load_seconds)
        if self._recorder is not None:
            steps = self._recorder.follow(
                request,  # type: ignore[arg-type]
                steps,
                Recording(parent=self._run, tags=(TAG,)),
                known=lambda: Known(model=self._model.card),
                noted=self._note_child,
            )
        result = yield from steps
        self._metas.append(result.meta)
        return result

    def _note_own(self, run: int | None) -> None:
        self._run = run

    def _note_child(self, run: int | None) -> None:
        """None: the one noted last could not be kept."""
        if run is not None:
            self._runs.append(run)
        elif self._runs:
            self._runs.pop()

    def _result(self, reproduced: Reproduced, elapsed: float) -> Result:
        """What the log keeps of the card itself."""
        card = self._model.card
        verdicts = {claim.name: claim.ours.value for claim in reproduced.claims}
        meta = Meta(
            experiment=parameters_of(cast(Any, self._task)),
            model=card,
            tokens=[],
            versions=self._metas[0].versions,
            seed=self._task.seed,
            device=card.device,
            dtype=card.dtype,
            load_s=self._load_seconds,
            elapsed_s=elapsed,
            contracts=worst([meta.contracts for meta in self._metas]),
            failed_cells=sum(meta.failed_cells for meta in self._metas),
            headline=reproduced.headline,
            figures={name: value for name, value in verdicts.items() if value is not None},
        )
        arrays = {name: Array.of(values) for name, values in reproduced.arrays.items()}
        return Result(meta=meta, arrays=arrays)

    def card(self, result: Result) -> Card:
        assert self._reproduced is not None
        made, meta = self._reproduced, result.meta
        return Card(
            name=self._task.card,
            title=entry(self._task.card).title,
            claims=made.claims,
            runs=self._runs,
            elapsed_s=meta.elapsed_s,
            run=self._run,
            created=self.created,
            fast=self._task.fast,
            seed=self._task.seed,
            model=self._task.model,
            architecture=meta.model.architecture,
            sha256=meta.model.sha256,
            device=meta.device,
            dtype=meta.dtype,
            versions=meta.versions,
            data=made.data,
            texts=made.texts,
            tokens=made.tokens,
            contracts=meta.contracts,
            curves=made.curves,
            notes=made.notes,
            trouble="; ".join(self._troubles),
        )


def worst(contracts: Sequence[dict[str, Contract]]) -> dict[str, Contract]:
    """Of each contract the check that came out worst; one that failed is worse than any."""
    found: dict[str, Contract] = {}
    for one in contracts:
        for name, held in one.items():
            known = found.get(name)
            if known is None or _badness(held) > _badness(known):
                found[name] = held
    return found


def _badness(contract: Contract) -> tuple[bool, float]:
    return not contract.ok, contract.error


def _check_memory(price: Price) -> None:
    free = available_memory()
    if free is not None and price.bytes > free:
        raise BadInput(
            f"this card needs {price.bytes / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are "
            "free; make it with --fast, or of a smaller model"
        )
