"""Training a tuned lens (Belrose et al. 2023, arXiv 2303.08112), by the published recipe.

Every step reads some sequences once and every layer learns from them: its loss is the mean
KL(final ‖ lens) over their tokens, the first of each sequence left out (we differ there: a sink
makes a fit worse). The gradients are clipped together, and the optimiser is the package's
(`optimizers`). Layers have nothing to do with each other but for that clip, so that one that
diverges slows all others: its norm is told with every step, and a loss that is not finite ends the
training.

A training is a generator of parts. It can be stopped between any two, and keeps a checkpoint then,
every minute, and when it fails; resumed from there it gives the same numbers bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any

from mlxterp_engine.corpora.sequences import SKIPPED, Order, Sequences, per_step
from mlxterp_engine.experiments import Array, RunFailed, Step
from mlxterp_engine.experiments.train_lens import LensEvaluation, LensStep
from mlxterp_engine.experiments.train_lens import Optimizer as OptimizerName
from mlxterp_engine.lenses import optimizers
from mlxterp_engine.lenses.checkpoint import Checkpoint
from mlxterp_engine.lenses.evaluation import Evaluation, Means, evaluate
from mlxterp_engine.lenses.gradients import (
    Parameters,
    gradients,
    parameters_of,
    translators_of,
)
from mlxterp_engine.lenses.steps import told
from mlxterp_engine.lenses.translators import Translators
from mlxterp_engine.models.anatomy_parts import Anatomy

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np

EVALUATIONS = 5  # on held-out text, beside the one before the first step
CHECKPOINT_SECONDS = 60.0

Part = LensStep | LensEvaluation | Step
Keep = Callable[[Checkpoint], None]


@dataclass(frozen=True)
class Recipe:
    """steps of so many tokens each; the paper: 250 of 262 144."""

    steps: int
    tokens_per_step: int
    optimizer: OptimizerName = "sgd"
    seed: int = 0

    def evaluated_after(self, step: int) -> bool:
        """Whether the lens is measured after so many steps."""
        return step in {round(self.steps * n / EVALUATIONS) for n in range(EVALUATIONS + 1)}


@dataclass(frozen=True, eq=False)
class Lesson:
    """What is read. held_out: ids [sequence, pos]; unigram_logs: see `evaluation`."""

    training: Sequences
    held_out: np.ndarray
    unigram_logs: np.ndarray

    def of_step(self, recipe: Recipe, step: int) -> np.ndarray:
        """The sequences [sequence, pos] of a step, the first being 0."""
        count = per_step(recipe.tokens_per_step, self.training.length)
        order = Order(len(self.training), recipe.seed)
        return self.training.ids[order.at(step * count, count)]

    def epoch(self, recipe: Recipe, step: int) -> int:
        count = per_step(recipe.tokens_per_step, self.training.length)
        return Order(len(self.training), recipe.seed).epoch(step * count)


@dataclass(frozen=True, eq=False)
class Evaluated:
    """The lens after so many steps, on held-out text."""

    step: int
    means: Means


@dataclass(frozen=True, eq=False)
class State:
    """Between two steps. loss: [step, layer], of each step before it was taken. logit_lens: what
    the evaluations measured of the logit lens, once."""

    step: int
    parameters: Parameters
    optimizer: optim.Optimizer
    loss: np.ndarray
    evaluated: tuple[Evaluated, ...] = ()
    logit_lens: Evaluation | None = None

    @property
    def translators(self) -> Translators:
        return translators_of(self.parameters)


def begin(recipe: Recipe, start: Translators) -> State:
    """Before the first step. start: `Translators.zero` is the logit lens."""
    layers = start.weight.shape[0]
    return State(
        0, parameters_of(start), optimizers.optimizer(recipe.optimizer), np.empty((0, layers))
    )


def train(
    net: Any,
    anatomy: Anatomy,
    lesson: Lesson,
    recipe: Recipe,
    state: State,
    keep: Keep = lambda checkpoint: None,
) -> Generator[Part, None, State]:
    """From a state (`begin`, `resumed`) to the end of the recipe.

    keep: puts a checkpoint away: every minute, when the training is stopped, and when it fails.
    RunFailed for a loss or a gradient that is not finite; it names the step and the layer.
    """
    clock = _Clock(keep, recipe.steps, state.step)
    try:
        while True:
            if recipe.evaluated_after(state.step) and not _is_evaluated(state):
                state, part = yield from _evaluated(net, anatomy, lesson, recipe, state)
                yield part
            if state.step == recipe.steps:
                return state
            clock.keep_now_and_then(state)
            started = time.perf_counter()
            so_far = clock.so_far(state)
            state, said = yield from _step(net, anatomy, lesson, recipe, state, so_far)
            clock.took(time.perf_counter() - started, said.tokens)
            yield clock.part(said, state)
    except (GeneratorExit, KeyboardInterrupt, RunFailed):
        clock.keep(state)
        raise


def past(lesson: Lesson, recipe: Recipe, state: State) -> Iterator[LensStep | LensEvaluation]:
    """What a training told before it was stopped, for whoever sees it go on; NaN is not known."""
    tokens = per_step(recipe.tokens_per_step, lesson.training.length) * (
        lesson.training.length - SKIPPED
    )
    evaluated = {found.step: found.means for found in state.evaluated}
    for step in range(state.step + 1):
        if step:
            yield LensStep(
                step=step,
                steps=recipe.steps,
                layers=list(range(-1, state.loss.shape[1] - 1)),
                loss=_array(state.loss[step - 1]),
                gradient_norm=math.nan,
                clip=optimizers.CLIP,
                learning_rate=optimizers.rate(recipe.optimizer, step - 1, recipe.steps),
                tokens=step * tokens,
                tokens_per_second=math.nan,
                seconds_left=math.nan,
                epoch=lesson.epoch(recipe, step - 1),
                checkpoint=state.step,
            )
        if step in evaluated and state.logit_lens is not None:
            yield evaluation_part(step, recipe.steps, state.logit_lens, evaluated[step])


def checkpoint_of(state: State) -> Checkpoint:
    history = {"loss": state.loss}
    if state.logit_lens is not None:
        found = state.logit_lens
        history |= {
            "evaluated_step": np.array([e.step for e in state.evaluated]),
            "evaluated": np.array([_rows(e.means) for e in state.evaluated]),
            "logit_lens": _rows(found.by_lens["logit"]),
            "others": np.array([found.kl_unigram, found.model_loss, found.tokens]),
        }
    return Checkpoint(
        state.step, state.parameters, optimizers.state_of(state.optimizer), dict(history)
    )


def resumed(recipe: Recipe, kept: Checkpoint) -> State:
    """Where the checkpoint was made."""
    history = kept.history
    state = State(
        kept.step,
        kept.parameters,
        optimizers.restored(recipe.optimizer, kept.optimizer),
        history["loss"],
    )
    if "evaluated" not in history:
        return state
    steps = history["evaluated_step"].tolist()
    unigram, model_loss, tokens = history["others"].tolist()
    logit_lens = {"logit": Means(*history["logit_lens"])}
    return replace(
        state,
        evaluated=tuple(
            Evaluated(step, Means(*rows))
            for step, rows in zip(steps, history["evaluated"], strict=True)
        ),
        logit_lens=Evaluation(logit_lens, unigram, model_loss, int(tokens)),
    )


def _rows(means: Means) -> np.ndarray:
    return np.stack([means.kl, means.loss, means.agreement])


def _is_evaluated(state: State) -> bool:
    return bool(state.evaluated) and state.evaluated[-1].step == state.step


def _evaluated(
    net: Any, anatomy: Anatomy, lesson: Lesson, recipe: Recipe, state: State
) -> Generator[Step, None, tuple[State, LensEvaluation]]:
    """The logit lens is measured once, and a lens of zeros is not measured twice."""
    lenses: dict[str, Translators | None] = {}
    if state.logit_lens is None:
        lenses["logit"] = None
    if state.step or not _is_zero(state.parameters):
        lenses["tuned"] = state.translators
    found = None
    if lenses:
        steps = evaluate(net, anatomy, lesson.held_out, lenses, lesson.unigram_logs)
        step = Step(state.step, recipe.steps, "measuring on held-out text")
        found = yield from told(steps, lambda _: step)
    base = state.logit_lens or found
    assert base is not None
    means = found.by_lens["tuned"] if found and "tuned" in lenses else base.by_lens["logit"]
    evaluated = (*state.evaluated, Evaluated(state.step, means))
    part = evaluation_part(state.step, recipe.steps, base, means)
    return replace(state, evaluated=evaluated, logit_lens=base), part


def evaluation_part(step: int, steps: int, base: Evaluation, means: Means) -> LensEvaluation:
    """What is told of a lens's means, beside those of the logit lens in `base`."""
    return LensEvaluation(
        step=step,
        steps=steps,
        layers=list(range(-1, len(means.kl) - 1)),
        kl=_array(means.kl),
        kl_logit_lens=_array(base.by_lens["logit"].kl),
        kl_unigram=base.kl_unigram,
        held_out_tokens=base.tokens,
    )


def _is_zero(parameters: Parameters) -> bool:
    largest = [mx.abs(array).max() for array in (*parameters["weight"], *parameters["bias"])]
    return not mx.stack(largest).max().item()


@dataclass(frozen=True, eq=False)
class _Told:
    """Of a step: what its part says."""

    loss: np.ndarray
    norm: float
    norms: np.ndarray
    rate: float
    tokens: int
    epoch: int


def _step(
    net: Any, anatomy: Anatomy, lesson: Lesson, recipe: Recipe, state: State, so_far: str
) -> Generator[Step, None, tuple[State, _Told]]:
    """so_far: what a line of the jobs says behind the step's number."""
    ids = lesson.of_step(recipe, state.step)
    what = f"step {state.step + 1} of {recipe.steps}{so_far}"
    found = yield from told(
        gradients(net, anatomy, state.parameters, ids),
        lambda share: Step(state.step + share, recipe.steps, what),
    )
    norms = _norms(found.by_parameter)
    _check_finite(found.loss, norms, recipe, state)
    rate = optimizers.rate(recipe.optimizer, state.step, recipe.steps)
    norm, parameters = _updated(state, found.by_parameter, rate)
    said = _Told(*(found.loss, norm, norms, rate, found.tokens), lesson.epoch(recipe, state.step))
    after = replace(
        state,
        step=state.step + 1,
        parameters=parameters,
        loss=np.concatenate([state.loss, found.loss[None]]),
    )
    return after, said


def _updated(state: State, by_parameter: Parameters, rate: float) -> tuple[float, Parameters]:
    """The norm over all before clipping, and the parameters after the step."""
    clipped, norm = optimizers.clipped(by_parameter)
    state.optimizer.learning_rate = rate
    parameters: Any = state.optimizer.apply_gradients(clipped, dict(state.parameters))
    mx.eval(parameters, state.optimizer.state)
    return float(np.array(norm)), parameters


def _norms(by_parameter: Parameters) -> np.ndarray:
    """Of each layer's gradients: [layer]."""
    pairs = zip(by_parameter["weight"], by_parameter["bias"], strict=True)
    norms = mx.stack([mx.sqrt(w.square().sum() + b.square().sum()) for w, b in pairs])
    return np.array(norms)


def _check_finite(loss: np.ndarray, norms: np.ndarray, recipe: Recipe, state: State) -> None:
    bad = np.flatnonzero(~(np.isfinite(loss) & np.isfinite(norms)))
    if len(bad):
        layer = int(bad[0])
        what = "loss" if not np.isfinite(loss[layer]) else "gradient"
        kept = f"the checkpoint is of step {state.step}" if state.step else "no step was taken"
        raise RunFailed(
            f"the {what} of layer {layer - 1} is not finite at step {state.step + 1} of "
            f"{recipe.steps}, and nothing that follows would be; {kept}"
        )


class _Clock:
    """How long steps take, and when a checkpoint was kept. The numbers do not depend on it."""

    def __init__(self, keep: Keep, steps: int, step: int) -> None:
        self._keep, self._steps = keep, steps
        self._kept_step, self._kept_at = step, time.monotonic()
        self._saved: float | None = None
        self._seconds = 0.0
        self._count = self._tokens = 0

    def took(self, seconds: float, tokens: int) -> None:
        self._seconds += seconds
        self._count += 1
        self._tokens += tokens

    def keep_now_and_then(self, state: State) -> None:
        if time.monotonic() - self._kept_at >= CHECKPOINT_SECONDS:
            self.keep(state)

    def keep(self, state: State) -> None:
        """Nothing to do where the last one is of this step."""
        if state.step > self._kept_step:
            self._keep(checkpoint_of(state))
            self._kept_step, self._saved = state.step, time.time()
        self._kept_at = time.monotonic()

    def so_far(self, state: State) -> str:
        """`, KL 3.21, 74 s left`: the middle layer's loss; nothing before the first step."""
        if not self._count:
            return ""
        loss, left = state.loss[-1], self._seconds_left(state)
        time_left = f"{left:.0f} s" if left < 120 else f"{left / 60:.0f} min"
        return f", KL {loss[len(loss) // 2]:.2f}, {time_left} left"

    def _seconds_left(self, state: State) -> float:
        return (self._steps - state.step) * self._seconds / self._count

    def part(self, told: _Told, state: State) -> LensStep:
        return LensStep(
            step=state.step,
            steps=self._steps,
            layers=list(range(-1, len(told.loss) - 1)),
            loss=_array(told.loss),
            gradient_norm=told.norm,
            gradient_norms=_array(told.norms),
            clip=optimizers.CLIP,
            learning_rate=told.rate,
            tokens=state.step * told.tokens,
            tokens_per_second=self._tokens / max(self._seconds, 1e-9),
            seconds_left=self._seconds_left(state),
            epoch=told.epoch,
            checkpoint=self._kept_step,
            saved=self._saved,
        )


def _array(values: np.ndarray) -> Array:
    return Array.of(values.astype(np.float32))
