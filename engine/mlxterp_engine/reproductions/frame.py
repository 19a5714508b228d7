"""What a reproduction is made of, and what it hands back. Each has a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from mlxterp_engine.experiments import AnyPart, AnyRequest, Price, Result, Started, Step
from mlxterp_engine.experiments.card import Claim, Curve, verdicts_in_words
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.worker.tasks import Reproduce

import numpy as np

T = TypeVar("T")
Working = Generator[Started | Step | AnyPart, None, Result]
Perform = Callable[[AnyRequest], Working]
"""Runs an experiment through the one path, recorded in the log where there is one."""


@dataclass(frozen=True, eq=False)
class Reproduced:
    """The claims with their verdicts, and what they were computed from.

    data: the texts, in a sentence; texts, tokens: how many. arrays: float32 or int32.
    """

    claims: list[Claim]
    arrays: dict[str, np.ndarray]
    curves: list[Curve]
    data: str
    texts: int
    tokens: int
    notes: list[str] = field(default_factory=list)

    @property
    def headline(self) -> str:
        return verdicts_in_words(self.claims)


class Reproduction(Protocol):
    """A module that makes one card. What `plan` returns is its own affair."""

    def plan(self, model: InterpretableModel, task: Reproduce) -> Any:
        """What will be run. BadInput for what this model can't do. From any thread."""
        ...

    def price(self, model: InterpretableModel, plan: Any) -> Price: ...

    def expected(self) -> list[str]:
        """The claims as the papers make them, before anything is computed."""
        ...

    def make(
        self, model: InterpretableModel, plan: Any, perform: Perform
    ) -> Generator[Step, None, Reproduced]: ...


class Tally:
    """Counts work done over all experiments of a card, for one progress bar."""

    def __init__(self, total: float) -> None:
        self.total = total
        self.done = 0.0

    def step(self, what: str, amount: float = 1.0) -> Step:
        self.done += amount
        return Step(min(self.done, self.total), self.total, what)


def driven(
    steps: Generator[Any, None, T],
    tally: Tally,
    what: str,
    counts: Callable[[Any], float] = lambda part: 1.0,
) -> Generator[Step, None, T]:
    """Run work that is part of a card to its value, telling only how far the card is.

    counts: how much of the card a part of that work is. Closing this closes the work, so that
    whoever records it learns that it was stopped.
    """
    try:
        while True:
            try:
                part = next(steps)
            except StopIteration as end:
                return end.value
            yield tally.step(what, counts(part))
    finally:
        steps.close()


class Fault(NamedTuple):
    """Something in a run that no verdict may rest on."""

    run: str
    what: str


def faults(results: Sequence[Result]) -> list[Fault]:
    """Contracts that failed, and cells that could not be computed."""
    found = []
    for number, result in enumerate(results, 1):
        run = f"experiment {number} of {len(results)}"
        for name, contract in result.meta.contracts.items():
            if not contract.ok:
                said = f"contract {name} failed: {contract.error:.1e} > {contract.tolerance:.0e}"
                found.append(Fault(run, said))
        if result.meta.failed_cells:
            found.append(Fault(run, f"{result.meta.failed_cells} cells could not be computed"))
    return found


def blocked_by(found: Sequence[Fault]) -> str:
    """Why no verdict can be given, in words; "" when one can."""
    if not found:
        return ""
    more = f", and {len(found) - 1} more faults" if len(found) > 1 else ""
    return f"{found[0].run}: {found[0].what}{more}"
