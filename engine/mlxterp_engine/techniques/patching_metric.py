"""What a patched run is measured by, at its last position, and the two ends of the scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments import BadInput
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.tracing.linear_readout import Difference, linear_difference
from mlxterp_engine.tracing.resume import Patched, TwoRuns

import mlx.core as mx
import numpy as np

# Ends that lie closer than this leave nothing to divide by: logits, probability, nats.
SMALLEST = {"logit-diff": 0.05, "prob": 0.005, "kl": 0.001}
ROWS_AT_ONCE = 16  # of logits in float64: of all rows of a batch they would take more than it
WORDS = {"logit-diff": "logit difference", "prob": "probability", "kl": "KL(clean ‖ run)"}


@dataclass(frozen=True, eq=False)
class Readout:
    """clean, corrupt: the metric of the two runs. by_logits: logits [row, vocab] -> [row], float64.

    linear: the same of states [row, d_model], where the head allows it.
    """

    clean: float
    corrupt: float
    by_logits: Callable[[np.ndarray], np.ndarray]
    linear: Difference | None = None

    def lazily(self, found: Patched) -> mx.array:
        """What of patched runs has to be computed: the metric itself, [row], or logits."""
        if self.linear is None or found.state is None:
            return found.logits
        return self.linear(found.state)

    def of(self, measured: mx.array) -> np.ndarray:
        """The metric of each row, float64, of what `lazily` gave."""
        values = as_numpy(measured)
        if values.ndim == 1:
            return values.astype(np.float64)
        rows = range(0, len(values), ROWS_AT_ONCE)
        return np.concatenate([self.by_logits(values[i : i + ROWS_AT_ONCE]) for i in rows])


@dataclass(frozen=True)
class Answers:
    """Ids of the tokens that the metric is about; None where it needs none."""

    answer: int | None
    wrong: int | None


def answers_of(model: InterpretableModel, answer: str | None, wrong: str | None) -> Answers:
    """BadInput unless each is one token of the model, and they differ."""
    first = None if answer is None else model.tokens.single(answer, "answer")
    second = None if wrong is None else model.tokens.single(wrong, "wrong")
    return Answers(first, second)


def readout(
    model: InterpretableModel, metric: str, answers: Answers, runs: TwoRuns, clean: int
) -> Readout:
    """clean: which of the two runs is the clean one. BadInput where both ends are the same."""
    of_logits = _of_logits(metric, answers, as_numpy(runs.logits[clean]))
    ends = of_logits(as_numpy(runs.logits))
    _check_ends(metric, float(ends[clean]), float(ends[1 - clean]))
    linear = None
    if metric == "logit-diff" and runs.ends is not None:
        assert answers.answer is not None
        assert answers.wrong is not None
        tokens = answers.answer, answers.wrong
        linear = linear_difference(model.anatomy, *tokens, runs.ends[:, -1], runs.logits)
    return Readout(float(ends[clean]), float(ends[1 - clean]), of_logits, linear)


def _of_logits(
    metric: str, answers: Answers, clean: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """logits [row, vocab] -> [row]. clean: the clean run's own logits [vocab]."""
    if metric == "logit-diff":
        return lambda logits: (
            logits[:, answers.answer].astype(np.float64) - logits[:, answers.wrong]
        )
    if metric == "prob":
        return lambda logits: np.exp(_log_probs(logits)[:, answers.answer])
    log_p = _log_probs(clean[None])
    p = np.exp(log_p)
    return lambda logits: (p * (log_p - _log_probs(logits))).sum(axis=-1)


def _log_probs(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _check_ends(metric: str, clean: float, corrupt: float) -> None:
    if not np.isfinite([clean, corrupt]).all():
        raise BadInput(
            f"the {WORDS[metric]} is {clean} in the clean run and {corrupt} in the corrupt one; "
            "nothing can be normalised by that: the logits of this prompt are not finite"
        )
    if abs(clean - corrupt) < SMALLEST[metric]:
        raise BadInput(
            f"the {WORDS[metric]} is {clean:.4g} in the clean run and {corrupt:.4g} in the corrupt "
            f"one, less than {SMALLEST[metric]} apart, too little to divide by; choose prompts "
            "that the model answers differently, or another metric or answers"
        )
