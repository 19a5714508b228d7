"""A trace that was stopped goes on: the draws of noise that are done are kept while it runs.

The rest is computed in the same batches as in an unbroken trace, so that the numbers are the same
to the bit: how much goes through the model at once is kept with them.
"""

from __future__ import annotations

import hashlib

from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.runlog.unfinished import Unfinished, name_of
from mlxterp_engine.techniques.causal_tracing_cells import Options
from mlxterp_engine.techniques.causal_tracing_subject import Question
from mlxterp_engine.techniques.keeping import Keeper, computed_by

import msgspec
import numpy as np


class KeptDraws(msgspec.Struct, frozen=True, kw_only=True):
    """at_once: rows times tokens of a group. draws: how many are done. p_corrupt [draw] and maps
    [draw, layer, position], float32. live, unmoved, errors: what the checks have seen."""

    method: str
    at_once: int
    draws: int
    cells: int
    p_clean: float
    p_corrupt: bytes
    maps: dict[str, bytes]
    live: int
    unmoved: int
    errors: dict[str, float]

    def fill(self, p_corrupt: np.ndarray, maps: dict[str, np.ndarray]) -> None:
        """Into arrays whose first axis is the draw."""
        p_corrupt[: self.draws] = np.frombuffer(self.p_corrupt, np.float32)
        for name, values in maps.items():
            shape = (self.draws, *values.shape[1:])
            values[: self.draws] = np.frombuffer(self.maps[name], np.float32).reshape(shape)


DrawKeeper = Keeper[KeptDraws]
NOTHING_KEPT = DrawKeeper(KeptDraws)


def keeper_of(
    store: Unfinished | None,
    model: InterpretableModel,
    question: Question,
    noise: np.ndarray,
    options: Options,
    goes_on: bool = True,
) -> DrawKeeper:
    """Its name: the weights, where and by what they are computed with, what is read, noised and
    given back, and the noise itself."""
    if store is None:
        return NOTHING_KEPT
    read = (question.prompt.ids, question.subject, question.answer)
    drawn = hashlib.sha256(np.ascontiguousarray(noise).tobytes()).hexdigest()
    name = name_of("causal-tracing", computed_by(model), read, drawn, options)
    return DrawKeeper(KeptDraws, store, name, goes_on)


def draws_in(keeper: DrawKeeper, model: InterpretableModel) -> KeptDraws | None:
    """What there is of a trace that was stopped, if it went on from blocks in the same way."""
    return keeper.kept(lambda kept: kept.method == model.resumption.method)
