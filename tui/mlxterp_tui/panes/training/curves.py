"""What is known of a lens's training: its curves, out of the parts that stream or of a result."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from mlxterp_engine.experiments import Result
from mlxterp_engine.experiments.train_lens import LensEvaluation, LensStep

EMBEDDINGS = -1
RISEN = 1.01  # held-out KL counts as risen once it is 1 % above its least: means wander by less


class Row(NamedTuple):
    """A step, and a number for each layer: nats."""

    step: int
    values: Sequence[float]


Points = list[tuple[float, float]]


class Curves:
    """Grows while a training runs. Layers as in `logit-lens`; they are addressed by index.

    train: the losses of each step, taken before it. held_out: KL(final ‖ lens) on held-out text,
    step 0 first. logit, unigram: on the same text, of the logit lens and of the corpus's token
    frequencies; empty and NaN while unknown. over_fitted: layers, as of the last evaluation.
    """

    def __init__(self) -> None:
        self.layers: Sequence[int] = ()
        self.steps = 0
        self.train: list[Row] = []
        self.held_out: list[Row] = []
        self.logit: Sequence[float] = ()
        self.unigram = math.nan
        self.held_out_tokens = 0
        self.over_fitted: list[int] = []
        self.latest: LensStep | None = None

    def take(self, parts: Iterable[object]) -> bool:
        """Add what these tell; whether any of them told something."""
        told = False
        for part in parts:
            if isinstance(part, LensStep):
                self._take_step(part)
            elif isinstance(part, LensEvaluation):
                self._take_evaluation(part)
            else:
                continue
            told = True
        return told

    @classmethod
    def of_result(cls, result: Result) -> Curves:
        """A ridge lens is fitted to squares and has no losses in nats: none are shown."""
        arrays = {name: array.tolist() for name, array in result.arrays.items()}
        curves = cls()
        curves.layers = arrays["layer"]
        losses = arrays["train_loss"] if "kl_tuned_lens" in arrays else []
        curves.steps = len(losses)
        curves.train = [Row(step, row) for step, row in enumerate(losses, 1)]
        curves.logit = arrays["kl_logit_lens"]
        curves.unigram = _one(arrays.get("kl_unigram", math.nan))
        curves.held_out = _history(arrays) or [Row(max(curves.steps, 1), final_kl(arrays))]
        curves.over_fitted = curves._over_fitted()
        return curves

    def train_of(self, layer: int) -> Points:
        return [(row.step, row.values[layer]) for row in self.train]

    def held_out_of(self, layer: int) -> Points:
        return [(row.step, row.values[layer]) for row in self.held_out]

    def now(self, layer: int) -> float:
        """The last step's training loss; NaN before the first."""
        return self.train[-1].values[layer] if self.train else math.nan

    def held_out_now(self, layer: int) -> float:
        return self.held_out[-1].values[layer] if self.held_out else math.nan

    def ratio(self, layer: int) -> float:
        """Held-out KL of the lens over that of the logit lens; NaN where it can't be said."""
        logit = self.logit[layer] if self.logit else math.nan
        return self.held_out_now(layer) / logit if logit > 0 else math.nan

    @property
    def has_history(self) -> bool:
        """Whether it was made in steps; a closed form is there at once."""
        return len(self.train) > 1

    @property
    def evaluated(self) -> bool:
        """Whether the lens was measured on held-out text after some training."""
        return bool(self.held_out) and self.held_out[-1].step > 0

    @property
    def worse(self) -> list[int]:
        """Where the lens is no better than the logit lens on held-out text."""
        if not self.evaluated:
            return []
        return [layer for layer in range(len(self.layers)) if self.ratio(layer) >= 1]

    def _over_fitted(self) -> list[int]:
        """Where held-out KL rises while training KL falls.

        The last held-out mean is 1 % or more above the least one, and the training loss, as the
        mean over the steps before each of the two, went down between them.
        """
        if len(self.held_out) < 2:
            return []
        return [layer for layer in range(len(self.layers)) if self._is_over_fitted(layer)]

    def _is_over_fitted(self, layer: int) -> bool:
        means = [row.values[layer] for row in self.held_out]
        least = min(range(len(means)), key=means.__getitem__)
        last = len(means) - 1
        if not means[last] > RISEN * means[least]:
            return False
        return self._train_before(last, layer) < self._train_before(least, layer)

    def _train_before(self, evaluation: int, layer: int) -> float:
        """The mean training loss of the steps between this evaluation and the one before it."""
        until = self.held_out[evaluation].step
        since = self.held_out[evaluation - 1].step if evaluation else 0
        losses = [row.values[layer] for row in self.train if since < row.step <= max(until, 1)]
        return math.fsum(losses) / len(losses) if losses else math.nan

    def _take_step(self, step: LensStep) -> None:
        self.layers, self.steps, self.latest = step.layers, step.steps, step
        self.train.append(Row(step.step, step.loss.tolist()))

    def _take_evaluation(self, found: LensEvaluation) -> None:
        self.layers, self.steps = found.layers, found.steps
        self.logit, self.unigram = found.kl_logit_lens.tolist(), found.kl_unigram
        self.held_out_tokens = found.held_out_tokens
        self.held_out.append(Row(found.step, found.kl.tolist()))
        self.over_fitted = self._over_fitted()


def final_kl(arrays: dict[str, Any]) -> Sequence[float]:
    """[layer]: the finished lens on held-out text, of whichever kind it is."""
    return arrays.get("kl_tuned_lens") or arrays["kl_ridge_lens"]


def spread(layers: int) -> list[int]:
    """Five layers over the depth: first, quarter, middle, three quarters, last."""
    return sorted({round(part * (layers - 1) / 4) for part in range(5)}) if layers else []


def layer_name(layer: int) -> str:
    return "embed" if layer == EMBEDDINGS else str(layer)


def _history(arrays: dict[str, Any]) -> list[Row]:
    return [
        Row(int(step), values)
        for step, values in zip(arrays.get("eval_step", []), arrays.get("eval_kl", []), strict=True)
    ]


def _one(found: Any) -> float:
    """The same number for each layer, or the number itself; NaN for none."""
    if isinstance(found, list):
        return float(found[0]) if found else math.nan
    return float(found)
