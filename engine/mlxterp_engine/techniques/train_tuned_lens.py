"""Train a tuned lens; how is in `lenses.training`."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from mlxterp_engine.experiments import Price, Step, TrainTunedLens
from mlxterp_engine.experiments.train_lens import LensEvaluation, LensStep
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.lenses import checkpoint, optimizers, training
from mlxterp_engine.lenses.description import LensFit
from mlxterp_engine.lenses.identity import identity
from mlxterp_engine.lenses.training import EVALUATIONS, Recipe, State
from mlxterp_engine.lenses.translators import Translators
from mlxterp_engine.techniques import train_lens
from mlxterp_engine.techniques.findings import Findings, Prompts
from mlxterp_engine.techniques.train_lens import Fitted, Text
from mlxterp_engine.techniques.train_ridge_lens import fitting

import numpy as np

Part = LensStep | LensEvaluation | Step


def check(model: InterpretableModel, request: TrainTunedLens) -> None:
    train_lens.check(model, request)


def price(model: InterpretableModel, request: TrainTunedLens, prompts: Prompts) -> Price:
    """Two products a token and layer to train on it, forward and back, one to measure on it."""
    return train_lens.price(
        model,
        request,
        read=request.steps * train_lens.tokens_of_a_step(request),
        unembeddings=2,
        measured=EVALUATIONS + 1,
        copies={"sgd": 6, "adam": 8}[request.optimizer],
    )


def run(
    model: InterpretableModel, request: TrainTunedLens, prompts: Prompts
) -> Generator[Part, None, Findings]:
    """Parts as they come; in the end the lens is in its folder."""
    where = train_lens.lens_folder(model, request, "tuned")
    try:
        yield Step(0, 1, f"the lens goes into {where}")
        text = yield from train_lens.read_text(model, request)
        recipe = Recipe(request.steps, request.tokens_per_step, request.optimizer, request.seed)
        settings = _settings(model, request, text)
        state = yield from _start(model, request, text, recipe, where, settings)
        state = yield from training.train(
            *(model.net, model.anatomy, text.lesson, recipe, state),
            keep=lambda kept: checkpoint.save(where, kept, settings),
        )
        return (yield from train_lens.findings(model, text, _fitted(request, text, state), where))
    finally:
        train_lens.leave_no_empty_folder(where)


def _start(
    model: InterpretableModel,
    request: TrainTunedLens,
    text: Text,
    recipe: Recipe,
    where: Path,
    settings: checkpoint.Settings,
) -> Generator[Part, None, State]:
    """A training that goes on first tells what it told before."""
    if request.resume:
        state = training.resumed(recipe, checkpoint.load(where, settings))
        yield from training.past(text.lesson, recipe, state)
        return state
    if request.init == "zero":
        return training.begin(recipe, Translators.zero(model.card.layers, model.card.d_model))
    ridge = yield from fitting(model, request, text)
    return training.begin(recipe, ridge.translators)


def _settings(
    model: InterpretableModel, request: TrainTunedLens, text: Text
) -> checkpoint.Settings:
    """All that the numbers depend on."""
    of = identity(model.card, model.net, model.anatomy)
    names = ("steps", "tokens_per_step", "sequence_length", "optimizer", "init", "ridge", "seed")
    return {
        "model": f"{of.reference} {of.sha256[:16]}",
        "unembedding": of.unembedding_sha256[:16],
        "device": model.card.device.split()[0],
        "dtype": of.dtype,
        "corpus": f"{text.corpus.name} {text.corpus.sha256[:16]}",
        "bos": request.bos,
        **{name: getattr(request, name) for name in names},
    }


def _fitted(request: TrainTunedLens, text: Text, state: State) -> Fitted:
    assert state.logit_lens is not None  # measured before the first step
    evaluated = state.evaluated
    fit = LensFit(
        corpus=text.corpus.description,
        corpus_sha256=text.corpus.sha256,
        tokens=request.steps * train_lens.tokens_of_a_step(request),
        seed=request.seed,
        steps=request.steps,
        tokens_per_step=train_lens.tokens_of_a_step(request),
        sequence_length=request.sequence_length,
        optimizer=optimizers.described(request.optimizer),
        init=request.init,
    )
    return Fitted(
        "tuned",
        state.translators,
        fit,
        state.logit_lens,
        evaluated[-1].means,
        state.loss,
        {
            "eval_step": np.array([e.step for e in evaluated]),
            "eval_kl": np.stack([e.means.kl for e in evaluated]),
        },
    )
