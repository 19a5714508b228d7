"""How well estimates of some cells agree with what patching them gave."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlxterp_engine.experiments.attribution_patching import disagree, largest_miss

import numpy as np


@dataclass(frozen=True)
class Agreement:
    """rank_correlation: Spearman's. slope: of exact on estimated, through the origin; 1: equal.
    miss: by how much the worst cell is missed, of the largest exact effect.
    """

    rank_correlation: float
    slope: float
    miss: float

    @property
    def disagrees(self) -> bool:
        return disagree(self.rank_correlation, self.slope, self.miss)


def agreement(estimated: np.ndarray, exact: np.ndarray) -> Agreement:
    """Of cells [n]; those whose exact value is NaN are left out."""
    there = np.isfinite(exact) & np.isfinite(estimated)
    x, y = (values[there].astype(np.float64) for values in (estimated, exact))
    square = float(x @ x)
    slope = float(x @ y) / square if square else math.nan
    return Agreement(spearman(x, y), slope, largest_miss(x.tolist(), y.tolist()))


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation, ties at their mean rank; NaN where one side is all the same."""
    if len(x) < 2:
        return math.nan
    a, b = (_ranks(values) for values in (x, y))
    a, b = a - a.mean(), b - b.mean()
    length = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / length if length else math.nan


def _ranks(values: np.ndarray) -> np.ndarray:
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[group]
