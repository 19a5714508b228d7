"""Rules: from a figure to a verdict. The words are made from the numbers that decide.

A rule names two ranges. In `direction` the whole interval must lie: the effect is there and
goes the paper's way. `shape` is the paper's own figure and how far from it counts as the same;
it must overlap the interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlxterp_engine.bootstrap import Estimate
from mlxterp_engine.experiments.card import Verdict

Range = tuple[float, float]


@dataclass(frozen=True)
class Rule:
    """direction: an open range, infinite on one side or on none. shape: a closed one.

    why_direction, why_shape: where the two ranges come from.
    """

    direction: Range
    why_direction: str
    shape: Range
    why_shape: str

    def verdict(self, found: Estimate) -> Verdict:
        """NaN compares with nothing."""
        if not found.known:
            return "not comparable"
        least, most = self.direction
        if not (least < found.low and found.high < most):
            return "not reproduced"
        overlaps = found.low <= self.shape[1] and self.shape[0] <= found.high
        return "same shape" if overlaps else "same direction"

    def reason(self, found: Estimate) -> str:
        """How the verdict came about, in the figures themselves."""
        here = f"[{found.low:.3g}, {found.high:.3g}]"
        match self.verdict(found):
            case "not comparable":
                return "the figure or its interval could not be computed"
            case "not reproduced":
                return f"{here} does not lie wholly {_between(self.direction)}"
            case "same direction":
                return f"{here} lies {_between(self.direction)} and off {_to(self.shape)}"
            case "same shape":
                return f"{here} lies {_between(self.direction)} and overlaps {_to(self.shape)}"

    @property
    def words(self) -> str:
        return (
            f"same direction when the whole 95 % interval lies {_between(self.direction)} "
            f"({self.why_direction}); same shape when it also overlaps {_to(self.shape)} "
            f"({self.why_shape}); else not reproduced; not comparable when a run's contract "
            "failed or a cell could not be computed"
        )


def _between(limits: Range) -> str:
    least, most = limits
    if math.isinf(most):
        return f"above {least:.3g}"
    if math.isinf(least):
        return f"below {most:.3g}"
    return f"above {least:.3g} and below {most:.3g}"


def _to(limits: Range) -> str:
    least, most = limits
    return f"{least:.3g}" if least == most else f"{least:.3g} to {most:.3g}"
