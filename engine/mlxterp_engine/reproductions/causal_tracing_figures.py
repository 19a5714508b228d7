"""What the card of causal tracing measures of each fact, and the statistics of its claims.

All statistics take means over the facts drawn, [draw, column], and give one figure a draw. Where a
statistic needs several maps, their blocks stand behind one another in the columns.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlxterp_engine.techniques.causal_facts_buckets import LAST, LAST_SUBJECT

import numpy as np


@dataclass(frozen=True, eq=False)
class Figures:
    """Effects are p(answer) with a state restored minus p(answer) under noise, means over draws.

    p_clean, p_corrupt [fact]. hidden, mlp, attn [fact, layer, bucket]: effects of single states
    and of windows. severed_mlp, severed_attn [fact, layer]: of hidden states at the last subject
    token, the later MLPs (attention) of that token held as they are under noise. mismatched
    [fact, layer]: of another fact's state there; fewer facts where the answers are the same.
    replaced [fact, layer]: of the clean state there
    where another subject of as many tokens stands instead of noise; fewer facts. elsewhere [fact]:
    the total effect of the same noise on as many tokens beside the subject; fewer facts. levels
    [level], by_level [level]: other noises in sigmas, mean total effect under them. argmax
    [fact, 2]: layer and bucket of the largest hidden effect before the last token. several
    [fact]: the subject has several tokens. later [fact]: the subject is not the prompt's
    beginning. window: blocks.
    """

    p_clean: np.ndarray
    p_corrupt: np.ndarray
    hidden: np.ndarray
    mlp: np.ndarray
    attn: np.ndarray
    severed_mlp: np.ndarray
    severed_attn: np.ndarray
    mismatched: np.ndarray
    replaced: np.ndarray
    elsewhere: np.ndarray
    levels: np.ndarray
    by_level: np.ndarray
    argmax: np.ndarray
    several: np.ndarray
    later: np.ndarray
    sigma: float
    window: int

    @property
    def facts(self) -> int:
        return len(self.p_clean)

    @property
    def blocks(self) -> int:
        return self.hidden.shape[1]

    @property
    def total(self) -> np.ndarray:
        """[fact]: what the noise takes from p(answer)."""
        return self.p_clean - self.p_corrupt

    def at_last_subject(self, name: str) -> np.ndarray:
        """[fact, layer]."""
        return getattr(self, name)[:, :, LAST_SUBJECT]

    def at_last(self, name: str) -> np.ndarray:
        """[fact, layer]."""
        return getattr(self, name)[:, :, LAST]


def peak(means: np.ndarray) -> np.ndarray:
    """[draw, layer] -> the largest effect of a block."""
    return means.max(axis=-1)


def peak_depth(means: np.ndarray) -> np.ndarray:
    """[draw, layer] -> the depth (l + 1) / L of the block with the largest effect."""
    return (means.argmax(axis=-1) + 1) / means.shape[-1]


def between_peaks(means: np.ndarray) -> np.ndarray:
    """[draw, two maps of layers] -> by how much the first map's largest effect is the larger."""
    first, second = np.split(means, 2, axis=-1)
    return peak(first) - peak(second)


def lost_with_mlps(means: np.ndarray) -> np.ndarray:
    """How much more of the largest effect goes with the MLPs than with attention.

    (whole − MLPs severed) − (whole − attention severed), of [draw, these three maps of layers].
    """
    whole, no_mlp, no_attn = np.split(means, 3, axis=-1)
    at = whole.argmax(axis=-1)[:, None]
    return np.take_along_axis(no_attn - no_mlp, at, axis=-1)[:, 0]


def share_at(argmax: np.ndarray, bucket: int, before: int | None = None) -> float:
    """Of [fact, (layer, bucket)] the share in a bucket, and in layers before `before`."""
    there = argmax[:, 1] == bucket
    if before is not None:
        there &= argmax[:, 0] < before
    return float(there.mean())
