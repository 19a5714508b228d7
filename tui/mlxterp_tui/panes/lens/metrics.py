"""What the colour of a lens cell can mean: one line a metric.

A level is a value's place on the colour scale, 0..1; more colour is more of what the metric
names, but for ranks, where 0 (the top of the list) is the brightest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from mlxterp_engine.experiments import LogitLensRow

# KL below a tenth of a nat is the same distribution to the eye; raw lenses of small models stand
# at 20 to 30 nats in their middle blocks and at about 100 in the embeddings.
KL_LEAST, KL_MOST = 0.1, 100.0


@dataclass(frozen=True)
class Metric:
    """title: for the pane, with its unit; {target} is filled in. text: a value in digits.

    scale: what stands at the two ends of the colours. log: equal steps of colour are equal
    factors.
    """

    name: str
    title: str
    value: Callable[[LogitLensRow, int], float | None]
    level: Callable[[float, int], float]
    text: Callable[[float], str]
    scale: tuple[str, str]
    log: bool = False
    needs_target: bool = False


def linear(value: float, vocabulary: int) -> float:
    return min(1.0, max(0.0, value))


def share_of_most_entropy(value: float, vocabulary: int) -> float:
    """0 nats to ln(vocabulary), the entropy of knowing nothing."""
    return linear(value / math.log(max(2, vocabulary)), vocabulary)


def log_kl(value: float, vocabulary: int) -> float:
    if value <= KL_LEAST:
        return 0.0
    return linear(math.log(value / KL_LEAST) / math.log(KL_MOST / KL_LEAST), vocabulary)


def log_rank(value: float, vocabulary: int) -> float:
    """Rank 0 is 1, the last of the vocabulary is 0."""
    return 1.0 - linear(math.log1p(value) / math.log(max(2, vocabulary)), vocabulary)


def probability(value: float) -> str:
    """Three digits that mean something: .412, 1.00, .0031, 2.1e-6."""
    if value >= 0.9995:
        return "1.00"
    if value >= 0.001:
        return f"{value:.3f}".removeprefix("0")
    return f"{value:.1e}".replace("e-0", "e-") if value > 0 else "0"


def nats(value: float) -> str:
    return f"{value:.2f}"


def rank(value: float) -> str:
    return str(int(value))


def _of_next(row: LogitLensRow, pos: int) -> float | None:
    """None at the last position, which has no next token, and in runs of before it was measured."""
    losses = row.next_loss
    return losses.values[pos] if losses is not None and pos < losses.shape[0] else None


def _of_target(row: LogitLensRow, pos: int) -> float | None:
    return None if row.target_prob is None else row.target_prob.values[pos]


def _rank_of_target(row: LogitLensRow, pos: int) -> float | None:
    return None if row.target_rank is None else row.target_rank.values[pos]


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "kl",
            "KL(final ‖ row), nats",
            lambda row, pos: row.kl.values[pos],
            log_kl,
            nats,
            ("≤.1", "≥100"),
            log=True,
        ),
        Metric(
            "rank",
            "rank of the final token (0 = top)",
            lambda row, pos: row.final_rank.values[pos],
            log_rank,
            rank,
            ("last", "0"),
            log=True,
        ),
        Metric(
            "probability",
            "probability of the row's own top token",
            lambda row, pos: row.top_probs.values[pos, 0],
            linear,
            probability,
            ("0", "1"),
        ),
        Metric(
            "entropy",
            "entropy of the row, nats",
            lambda row, pos: row.entropy.values[pos],
            share_of_most_entropy,
            nats,
            ("0", "ln |V|"),
        ),
        Metric(
            "next-loss",
            "loss on the prompt's next token, nats",
            _of_next,
            share_of_most_entropy,
            nats,
            ("0", "ln |V|"),
        ),
        Metric(
            "target-probability",
            "probability of {target}",
            _of_target,
            linear,
            probability,
            ("0", "1"),
            needs_target=True,
        ),
        Metric(
            "target-rank",
            "rank of {target} (0 = top)",
            _rank_of_target,
            log_rank,
            rank,
            ("last", "0"),
            log=True,
            needs_target=True,
        ),
    )
}


def cycled(current: str, step: int, has_target: bool) -> str:
    """The metric `step` places on; those of the target only where there is one."""
    names = [name for name, metric in METRICS.items() if has_target or not metric.needs_target]
    at = names.index(current) if current in names else 0
    return names[(at + step) % len(names)]
