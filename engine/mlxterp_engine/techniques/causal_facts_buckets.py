"""Prompts of different lengths on one scale: positions by what they are to the subject.

The six buckets of Meng et al. 2022 (arXiv 2202.05262, figure 2) as their notebook
average_causal_effects counts them: a subject of one token is first and last at once, and so is a
prompt's last token that follows the subject at once. There the middle and the further tokens of
all facts are pooled; here each fact's are averaged first, so that every fact weighs the same.
"""

from __future__ import annotations

from typing import NamedTuple

from mlxterp_engine.bootstrap import LEVEL, resamples

import numpy as np

BUCKETS = ("first subject", "middle subject", "last subject", "first subsequent", "further", "last")
FIRST, MIDDLE, LAST_SUBJECT, SUBSEQUENT, FURTHER, LAST = range(len(BUCKETS))

_FINEST = (LAST_SUBJECT, LAST, FIRST, SUBSEQUENT, MIDDLE, FURTHER)
DRAWS = 2000  # an interval for each cell of each map


class Span(NamedTuple):
    """start, stop: of the subject's tokens. tokens: of the prompt."""

    start: int
    stop: int
    tokens: int


def positions_of(span: Span) -> list[range]:
    """The positions in each bucket; none in some. BOS and words before the subject are in none."""
    start, stop, tokens = span
    return [
        range(start, start + 1),
        range(start + 1, stop - 1),
        range(stop - 1, stop),
        range(stop, min(stop + 1, tokens)),
        range(stop + 1, tokens - 1),
        range(tokens - 1, tokens),
    ]


def bucketed(values: np.ndarray, span: Span) -> np.ndarray:
    """[layer, pos] -> [layer, bucket]: means over a bucket's positions; NaN where it has none."""
    found = np.full((len(values), len(BUCKETS)), np.nan, np.float32)
    for bucket, positions in enumerate(positions_of(span)):
        if positions:
            found[:, bucket] = values[:, positions].mean(axis=1, dtype=np.float64)
    return found


def counts_of(span: Span) -> list[int]:
    """How many positions are in each bucket."""
    return [len(positions) for positions in positions_of(span)]


def largest(values: np.ndarray, span: Span) -> tuple[int, int]:
    """Layer and bucket of the largest cell of [layer, pos] that lies in a bucket.

    Where a position is in two buckets the last subject token and the last token go first.
    """
    inside = np.full(values.shape, -np.inf)
    inside[:, span.start :] = np.nan_to_num(values[:, span.start :], nan=-np.inf)
    layer, position = np.unravel_index(int(inside.argmax()), inside.shape)
    buckets = positions_of(span)
    return int(layer), next(bucket for bucket in _FINEST if position in buckets[bucket])


def histogram(places: np.ndarray, layers: int) -> np.ndarray:
    """[fact, 2], each a layer and a bucket -> [layer, bucket]: how many facts are there."""
    counts = np.zeros((layers, len(BUCKETS)), np.int32)
    np.add.at(counts, (places[:, 0], places[:, 1]), 1)
    return counts


def mean_of_facts(values: np.ndarray) -> np.ndarray:
    """[fact, …] -> […]: over the facts that have such tokens; NaN where none has."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=0, dtype=np.float64)
    return _divided(total, known.sum(axis=0))


def spread_of_facts(values: np.ndarray) -> np.ndarray:
    """[fact, …] -> […]: the standard deviation, with n − 1; NaN where fewer than two facts are."""
    known = np.isfinite(values)
    around = np.where(known, values - mean_of_facts(values), 0)
    squares = (around.astype(np.float64) ** 2).sum(axis=0)
    return np.sqrt(_divided(squares, np.maximum(known.sum(axis=0) - 1, 0))).astype(np.float32)


def interval_of_facts(values: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """[fact, …] -> the ends […] of each cell's 95 % interval, bootstrapped over the facts.

    Of the facts drawn, those count that have such tokens; NaN where fewer than two facts are.
    """
    flat = values.reshape(len(values), -1).astype(np.float64)
    known = np.isfinite(flat)
    drawn = resamples(len(values), DRAWS, seed)
    means = _divided(drawn @ np.where(known, flat, 0), drawn @ known.astype(np.float64))
    ends = np.full((2, flat.shape[1]), np.nan, np.float32)
    enough = known.sum(axis=0) >= 2
    tail = 100 * (1 - LEVEL) / 2
    if enough.any():
        ends[:, enough] = np.nanpercentile(means[:, enough], [tail, 100 - tail], axis=0)
    return ends[0].reshape(values.shape[1:]), ends[1].reshape(values.shape[1:])


def _divided(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0).astype(
        np.float32
    )
