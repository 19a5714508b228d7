"""A trace that was stopped goes on: the draws of noise that are done are kept while it runs.

The rest is computed in the same batches as in an unbroken trace, so that the numbers are the same
to the bit: how much goes through the model at once is kept with them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from importlib import metadata

from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.runlog.unfinished import Unfinished, name_of
from mlxterp_engine.techniques.causal_tracing_cells import Options
from mlxterp_engine.techniques.causal_tracing_subject import Question
from mlxterp_engine.techniques.patching_kept import COMPUTED_BY, EVERY

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


class DrawKeeper:
    """Keeps one fact's draws, or without a store nothing."""

    def __init__(self, store: Unfinished | None, name: str, goes_on: bool) -> None:
        self._store = store
        self._name = name
        self._goes_on = goes_on
        self._written = time.monotonic()

    def kept(self, method: str) -> KeptDraws | None:
        """What there is of a trace that was stopped."""
        data = self._store.read(self._name) if self._store and self._goes_on else None
        try:
            found = None if data is None else msgspec.msgpack.decode(data, type=KeptDraws)
        except msgspec.DecodeError:
            return None
        return found if found is not None and found.method == method else None

    def note(self, now: Callable[[], KeptDraws], at_last: bool = False) -> None:
        """Write down what is done, unless that was a moment ago."""
        if self._store is None or not (at_last or time.monotonic() - self._written > EVERY):
            return
        self._store.write(self._name, msgspec.msgpack.encode(now()))
        self._written = time.monotonic()


NOTHING_KEPT = DrawKeeper(None, "", False)


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
    card = model.card
    versions = [metadata.version(package) for package in COMPUTED_BY]
    computed = (card.sha256, card.device, card.dtype, versions)
    read = (question.prompt.ids, question.subject, question.answer)
    drawn = hashlib.sha256(np.ascontiguousarray(noise).tobytes()).hexdigest()
    return DrawKeeper(store, name_of("causal-tracing", computed, read, drawn, options), goes_on)
