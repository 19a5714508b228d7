"""Attribution patching (Nanda 2023; Syed et al. 2023, arXiv 2310.10348): to first order."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlxterp_engine.experiments.patching import Patching
from mlxterp_engine.experiments.request import check_range

DISAGREES = 0.5


class AttributionPatching(Patching, frozen=True, kw_only=True, tag="attribution-patching"):
    """Estimate every cell of the denoising maps from one backward pass on the corrupt run.

    steps: 1, the gradient at the corrupt run; more, its mean at so many points between both
    prompts' embeddings (integrated gradients). top: how many cells of each map, the largest by
    the estimate, are patched too, and as many of the others, drawn by the seed: to see how good
    the estimate is, and what it misses. Of pairs the means are estimated, and the same cells are
    patched in each.
    """

    steps: int = 1
    top: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("steps", self.steps, 1, 1000)
        check_range("top", self.top, 2, 1000)


def disagree(rank_correlation: float, slope: float, miss: float) -> bool:
    """Whether estimates are not to be trusted: their rank correlation with the exact values is
    below a half, the slope of these on them beyond a factor of two, or one cell is missed by more
    than half of the largest exact effect. NaN, where nothing can be compared, disagrees."""
    within = DISAGREES <= slope <= 1 / DISAGREES
    return not (rank_correlation >= DISAGREES and within and miss <= DISAGREES)


def largest_miss(estimates: Sequence[float], effects: Sequence[float]) -> float:
    """max|effect − estimate| / max|effect|, of cells whose values are known; NaN where none is."""
    known = [
        (estimate, effect)
        for estimate, effect in zip(estimates, effects, strict=True)
        if math.isfinite(estimate) and math.isfinite(effect)
    ]
    largest = max((abs(effect) for _, effect in known), default=0.0)
    if not largest:
        return math.nan
    return max(abs(effect - estimate) for estimate, effect in known) / largest
