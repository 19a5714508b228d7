"""A sweep that was stopped goes on: the cells of its groups are kept while it runs.

The same cells are computed in the same batches as in an unbroken sweep, so that the numbers are
the same to the bit: how much goes through the model at once is kept with them.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.runlog.unfinished import Unfinished, name_of
from mlxterp_engine.techniques.keeping import Keeper, computed_by
from mlxterp_engine.techniques.patching import Pair, Session
from mlxterp_engine.techniques.patching_cells import Asked

import msgspec
import numpy as np

SAME_ENDS = 1e-5  # of the larger one; other threads round otherwise
GROUPED = 2  # counts the ways in which cells were put together: others fit no more


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


SweepKeeper = Keeper[Kept]
NOTHING_KEPT = SweepKeeper(Kept)


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
    answers, computed = pair.answers, (GROUPED, *computed_by(model))
    texts = (pair.clean.ids, pair.corrupt.ids, answers.answer, answers.wrong)
    return SweepKeeper(Kept, store, name_of(computed, texts, metric, direction, asked), goes_on)


def cells_in(keeper: SweepKeeper, session: Session) -> Kept | None:
    """What there is of a sweep that was stopped, if its two runs were these."""
    return keeper.kept(lambda kept: _fits(kept, session))


def as_bytes(effects: Sequence[float]) -> bytes:
    return np.array(effects, dtype=np.float32).tobytes()


def as_effects(kept: Kept) -> list[float]:
    return np.frombuffer(kept.effects, dtype=np.float32).tolist()


def _fits(kept: Kept, session: Session) -> bool:
    own = (session.readout.clean, session.readout.corrupt)
    return kept.method == session.method and bool(np.allclose(kept.ends, own, rtol=SAME_ENDS))
