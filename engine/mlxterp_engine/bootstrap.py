"""Percentile bootstrap over texts (Efron 1979): how far would the figure move with other texts?

Whole texts are drawn, not tokens: tokens of one text resemble each other, and drawing them
alone would make the intervals far too narrow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

DRAWS = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure with its percentile interval, over n texts. NaN: it could not be computed."""

    value: float
    low: float
    high: float
    n: int
    draws: int

    @property
    def known(self) -> bool:
        return bool(np.isfinite([self.value, self.low, self.high]).all())


def resamples(texts: int, draws: int, seed: int) -> np.ndarray:
    """[draws, texts]: how often each text was drawn; each row sums to `texts`."""
    random = np.random.default_rng(seed)
    return random.multinomial(texts, np.full(texts, 1 / texts), size=draws).astype(np.float64)


def pooled_means(counts: np.ndarray, values: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Means over all tokens of the texts drawn, each text as often as it was drawn.

    counts [draw, text], values [text, layer] (each text's own means), tokens [text]
    -> [draw, layer].
    """
    weights = counts * tokens
    return (weights @ values) / weights.sum(axis=-1, keepdims=True)


def estimate(
    statistic: Callable[[np.ndarray], np.ndarray],
    values: np.ndarray,
    tokens: np.ndarray,
    seed: int,
    draws: int = DRAWS,
) -> Estimate:
    """A statistic of the pooled means, with its interval; NaN where a value is.

    values [text, layer], tokens [text]; statistic: [draw, layer] -> [draw].
    """
    texts = len(values)
    if not np.isfinite(values).all():
        return Estimate(np.nan, np.nan, np.nan, texts, draws)
    everything = statistic(pooled_means(np.ones((1, texts)), values, tokens))
    drawn = statistic(pooled_means(resamples(texts, draws, seed), values, tokens))
    return interval(float(everything[0]), drawn, texts)


def interval(value: float, drawn: np.ndarray, texts: int) -> Estimate:
    """The middle 95 % of what was drawn, around the figure itself."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return Estimate(value, float(low), float(high), texts, len(drawn))
