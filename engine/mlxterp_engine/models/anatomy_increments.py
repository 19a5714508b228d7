"""What a block adds to the residual stream: the fewest outputs inside it that sum to it.

First with coefficients of 1, then fitted (residual multipliers); the stream itself may be
scaled, or normed on its way in. Sums are compared entry by entry, against what rounding
allows there: beside one huge entry a small wrong term would not show in a maximum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.models.anatomy_watch import Call

import mlx.core as mx
import numpy as np

DEPTH = 2  # terms are children and grandchildren of the block
MOST_TERMS = 5
ROUNDINGS = 4  # each at most this fraction of what is rounded: a few sums and products
ROUNDING = {mx.float32: 2.0**-24, mx.float16: 2.0**-11, mx.bfloat16: 2.0**-9}
LEAST_WEIGHT = 1e-2  # in 16-bit floats a fit gives what is not there a weight of 1e-3
SCREEN = 128  # entries looked at before all are


@dataclass(frozen=True, eq=False)
class Increments:
    """after = scale · (before + Σ coefficient · term), terms in the order of their ends.

    entry: the call whose output stands in for `before`, where a block norms the stream first.
    """

    terms: tuple[tuple[Call, float], ...]
    scale: float = 1.0
    entry: Call | None = None


def increments(block: Call, before: mx.array) -> Increments | None:
    """The terms of one block's call. before: the residual stream that it was given."""
    candidates = _candidates(block)
    fit = _Fit(block.array, candidates)
    found = fit.unit(before)
    if found is None and fit.possible(before):
        found = fit.fitted(before)
    return found or _after_entry(block, before, candidates)


def _after_entry(block: Call, before: mx.array, candidates: Sequence[Call]) -> Increments | None:
    """The terms of a block that norms the stream first and adds to what the norm puts out."""
    for entry in block.inside:
        if entry.input is before and entry.array is not None and entry in candidates:
            rest = [call for call in candidates if call.ended > entry.ended]
            found = _Fit(block.array, rest).unit(entry.array)
            if found is not None:
                return Increments(found.terms, found.scale, entry)
    return None


def _candidates(block: Call) -> list[Call]:
    """Calls of the right shape, each array once under the outermost module that put it out."""
    after = block.array
    assert after is not None
    seen: dict[int, Call] = {}
    for call in _down_to(block, DEPTH):
        array = call.array
        if array is not None and array.shape == after.shape and array is not after:
            seen.setdefault(id(array), call)
    return sorted(seen.values(), key=lambda call: call.ended)


def _down_to(call: Call, depth: int) -> Iterator[Call]:
    for child in call.inside:
        yield child
        if depth > 1:
            yield from _down_to(child, depth - 1)


class _Fit:
    """Finds which of some arrays add up."""

    def __init__(self, after: mx.array | None, candidates: Sequence[Call]) -> None:
        assert after is not None  # a block's call that put out a stream
        self.candidates = candidates
        self.after = _flat(after)
        self.columns = [_flat(call.array) for call in candidates if call.array is not None]
        self.tolerance = ROUNDINGS * ROUNDING.get(after.dtype, 2.0**-9)
        few = np.random.default_rng(0).permutation(self.after.size)[:SCREEN]
        self.few = np.sort(few)

    def possible(self, before: mx.array) -> bool:
        """Whether all candidates together, however weighted, give the block's output."""
        everything = range(len(self.columns))
        return self._solve(_flat(before), everything, self.few) is not None

    def unit(self, before: mx.array) -> Increments | None:
        """after = before + Σ terms."""
        start = _flat(before)
        for chosen in self._subsets():
            if self._adds_up(start, chosen, self.few) and self._adds_up(start, chosen):
                return Increments(tuple((self.candidates[i], 1.0) for i in chosen))
        return None

    def fitted(self, before: mx.array) -> Increments | None:
        """after = scale · (before + Σ coefficient · term), by least squares."""
        start = _flat(before)
        for chosen in self._subsets():
            weights = self._solve(start, chosen, self.few)
            if weights is None:
                continue
            weights = self._solve(start, chosen, slice(None))
            if weights is None or np.abs(weights).min() < LEAST_WEIGHT:
                continue
            scale, *coefficients = (float(w) for w in weights)
            terms = tuple(
                (self.candidates[i], _snapped(c / scale))
                for i, c in zip(chosen, coefficients, strict=True)
            )
            return Increments(terms, _snapped(scale))
        return None

    def _subsets(self) -> Iterator[tuple[int, ...]]:
        for size in range(1, min(MOST_TERMS, len(self.columns)) + 1):
            yield from combinations(range(len(self.columns)), size)

    def _adds_up(
        self, start: np.ndarray, chosen: Sequence[int], where: np.ndarray | slice = slice(None)
    ) -> bool:
        columns = [start[where], *(self.columns[i][where] for i in chosen)]
        return self._same(sum(columns), self.after[where], columns)

    def _solve(
        self, start: np.ndarray, chosen: Sequence[int], where: np.ndarray | slice
    ) -> np.ndarray | None:
        """Weights of the stream and the terms; each entry counts by what rounding allows it."""
        columns = [start[where], *(self.columns[i][where] for i in chosen)]
        after = self.after[where]
        size = np.maximum(self._size(after, columns), 1e-30)
        matrix = np.stack(columns, axis=1)
        weights = np.linalg.lstsq(matrix / size[:, None], after / size, rcond=None)[0]
        return weights if self._same(matrix @ weights, after, columns) else None

    def _same(self, found, after: np.ndarray, columns: Sequence[np.ndarray]) -> bool:
        return bool(np.all(np.abs(found - after) <= self.tolerance * self._size(after, columns)))

    @staticmethod
    def _size(after: np.ndarray, columns: Sequence[np.ndarray]) -> np.ndarray:
        return np.abs(after) + np.sum(np.abs(columns), axis=0)


def _flat(array: mx.array) -> np.ndarray:
    return as_numpy(array).astype(np.float64).reshape(-1)


def _snapped(weight: float) -> float:
    """Exactly 1 where the fit can't tell it from 1."""
    return 1.0 if abs(weight - 1) < 1e-5 else weight
