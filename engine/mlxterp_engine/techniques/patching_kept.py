"""A sweep that was stopped goes on: the cells of its groups are kept while it runs.

The same cells are computed in the same batches as in an unbroken sweep, so that the numbers are
the same to the bit: how much goes through the model at once is kept with them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib import metadata

from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.runlog.unfinished import Unfinished, name_of
from mlxterp_engine.techniques.patching import Pair, Session
from mlxterp_engine.techniques.patching_cells import Asked

import msgspec
import numpy as np

EVERY = 2.0  # seconds between two writes: so much is lost when a process is killed
SAME_ENDS = 1e-5  # of the larger one; other threads round otherwise
GROUPED = 2  # counts the ways in which cells were put together: others fit no more
COMPUTED_BY = ("mlxterp-tui", "mlx", "numpy")


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """at_once: rows times tokens of a group. groups: how many are done, in their order. effects:
    of the cells that were run, float32. cells: how many are known. live, unmoved: as the session
    counts them."""

    method: str
    ends: tuple[float, float]
    at_once: int
    groups: int
    effects: bytes
    cells: int
    live: int
    unmoved: int


class SweepKeeper:
    """Keeps one sweep's cells, or without a store nothing."""

    def __init__(self, store: Unfinished | None, name: str, goes_on: bool) -> None:
        self._store = store
        self._name = name
        self._goes_on = goes_on
        self._written = time.monotonic()

    def kept(self, session: Session) -> Kept | None:
        """What there is of a sweep that was stopped, if its two runs were these."""
        data = self._store.read(self._name) if self._store and self._goes_on else None
        try:
            found = None if data is None else msgspec.msgpack.decode(data, type=Kept)
        except msgspec.DecodeError:
            return None
        return found if found is not None and _fits(found, session) else None

    def note(self, now: Callable[[], Kept], at_last: bool = False) -> None:
        """Write down what is done, unless that was a moment ago."""
        if self._store is None or not (at_last or time.monotonic() - self._written > EVERY):
            return
        self._store.write(self._name, msgspec.msgpack.encode(now()))
        self._written = time.monotonic()


NOTHING_KEPT = SweepKeeper(None, "", False)


def keeper_of(
    store: Unfinished | None,
    model: InterpretableModel,
    pair: Pair,
    asked: Asked,
    metric: str,
    direction: str,
    goes_on: bool,
) -> SweepKeeper:
    """Of the sweep of one pair. Its name: the weights, where and by what they are computed with,
    the prompts' ids, and what is asked."""
    if store is None:
        return NOTHING_KEPT
    card, answers = model.card, pair.answers
    versions = [metadata.version(package) for package in COMPUTED_BY]
    computed = (GROUPED, card.sha256, card.device, card.dtype, versions)
    texts = (pair.clean.ids, pair.corrupt.ids, answers.answer, answers.wrong)
    return SweepKeeper(store, name_of(computed, texts, metric, direction, asked), goes_on)


def as_bytes(effects: Sequence[float]) -> bytes:
    return np.array(effects, dtype=np.float32).tobytes()


def as_effects(kept: Kept) -> list[float]:
    return np.frombuffer(kept.effects, dtype=np.float32).tolist()


def _fits(kept: Kept, session: Session) -> bool:
    own = (session.readout.clean, session.readout.corrupt)
    return kept.method == session.method and bool(np.allclose(kept.ends, own, rtol=SAME_ENDS))
