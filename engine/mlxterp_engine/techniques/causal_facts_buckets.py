"""Prompts of different lengths on one scale: positions by what they are to the subject.

The six buckets of Meng et al. 2022 (arXiv 2202.05262, figure 2) as their notebook
average_causal_effects counts them: a subject of one token is first and last at once, and so is a
prompt's last token that follows the subject at once. There the middle and the further tokens of
all facts are pooled; here each fact's are averaged first, so that every fact weighs the same.
"""

from __future__ import annotations

from typing import NamedTuple

from mlxterp_engine.bootstrap import LEVEL, resamples
from mlxterp_engine.experiments.causal_tracing import BUCKETS

import numpy as np

FIRST, MIDDLE, LAST_SUBJECT, SUBSEQUENT, FURTHER, LAST = range(len(BUCKETS))

_FINEST = (LAST_SUBJECT, FIRST, SUBSEQUENT, MIDDLE, FURTHER, LAST)
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
    """Layer and bucket of the largest cell of [layer, pos] from the subject on.

    The prompt's last token is left out where it is not the subject's: there late states hold
    the answer itself, and are the largest by construction. Where a position is in two buckets the
    last subject token goes first, then the one that follows the subject.
    """
    end = span.tokens if span.stop == span.tokens else span.tokens - 1
    inside = np.full(values.shape, -np.inf)
    own = values[:, span.start : end]
    inside[:, span.start : end] = np.where(np.isfinite(own), own, -np.inf)
    layer, position = np.unravel_index(int(inside.argmax()), inside.shape)
    buckets = positions_of(span)
    return int(layer), next(bucket for bucket in _FINEST if position in buckets[bucket])


def peaks(bucketed: np.ndarray) -> list[int]:
    """[layer, bucket] -> the layer of the largest mean in each bucket; −1 where it has none."""
    known = np.isfinite(bucketed)
    layers = np.where(known, bucketed, -np.inf).argmax(axis=0)
    return np.where(known.any(axis=0), layers, -1).tolist()


def histogram(layers: np.ndarray, count: int) -> np.ndarray:
    """[fact, bucket], each a layer or −1 -> [layer, bucket]: how many facts peak there."""
    return (layers[:, None] == np.arange(count)[:, None]).sum(axis=0, dtype=np.int32)


def mean_of_facts(values: np.ndarray, having: np.ndarray) -> np.ndarray:
    """[fact, layer, bucket] -> [layer, bucket], over the facts that have such tokens.

    having: [fact, bucket]. NaN where none has, and where a cell of one that has is NaN.
    """
    counted = having[:, None]
    total = np.where(counted, values, 0).sum(axis=0, dtype=np.float64)
    return _divided(total, counted.sum(axis=0))


def spread_of_facts(values: np.ndarray, having: np.ndarray) -> np.ndarray:
    """The standard deviation, with n − 1; NaN where fewer than two facts have such tokens."""
    counted = having[:, None]
    around = np.where(counted, values - mean_of_facts(values, having), 0)
    squares = (around.astype(np.float64) ** 2).sum(axis=0)
    return np.sqrt(_divided(squares, np.maximum(counted.sum(axis=0) - 1, 0)))


def interval_of_facts(
    values: np.ndarray, having: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The ends of each cell's 95 % interval, bootstrapped over the facts; NaN as for the spread.

    Of the facts drawn, those count that have such tokens.
    """
    drawn = resamples(len(values), DRAWS, seed)
    tail = 100 * (1 - LEVEL) / 2
    ends = np.full((2, *values.shape[1:]), np.nan, np.float32)
    for bucket in np.flatnonzero(having.sum(axis=0) >= 2):
        weights = drawn * having[:, bucket]
        some = weights.sum(axis=1) > 0
        of_those = np.where(having[:, bucket, None], values[:, :, bucket], 0).astype(np.float64)
        means = weights[some] @ of_those / weights[some].sum(axis=1, keepdims=True)
        ends[:, :, bucket] = np.percentile(means, [tail, 100 - tail], axis=0)
    return ends[0], ends[1]


def _divided(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """float32; NaN where the count is 0."""
    count = np.broadcast_to(count, total.shape)
    nothing = np.full(total.shape, np.nan)
    return np.divide(total, count, out=nothing, where=count > 0).astype(np.float32)
