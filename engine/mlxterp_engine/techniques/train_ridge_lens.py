"""Fit a ridge lens; how is in `lenses.ridge`."""

from __future__ import annotations

from collections.abc import Generator

from mlxterp_engine.corpora.sequences import SKIPPED, Order
from mlxterp_engine.experiments import Price, Step, TrainRidgeLens
from mlxterp_engine.experiments.train_lens import LensEvaluation, TrainLens
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.lenses import ridge
from mlxterp_engine.lenses.description import LensFit
from mlxterp_engine.lenses.evaluation import Evaluation, evaluate
from mlxterp_engine.lenses.ridge import Ridge
from mlxterp_engine.lenses.steps import told
from mlxterp_engine.lenses.training import evaluation_part
from mlxterp_engine.techniques import train_lens
from mlxterp_engine.techniques.findings import Findings, Prompts
from mlxterp_engine.techniques.train_lens import Fitted, Text


def check(model: InterpretableModel, request: TrainRidgeLens) -> None:
    train_lens.check(model, request)


def price(model: InterpretableModel, request: TrainRidgeLens, prompts: Prompts) -> Price:
    """A pass over what is read, and the logit lens and the ridge lens measured once."""
    return train_lens.price(
        model,
        request,
        read=request.steps * train_lens.tokens_of_a_step(request),
        unembeddings=0,
        measured=2,
        copies=6,  # two covariances in float64, the translators, and a copy on their way
    )


def run(
    model: InterpretableModel, request: TrainRidgeLens, prompts: Prompts
) -> Generator[LensEvaluation | Step, None, Findings]:
    """In the end the lens is in its folder."""
    where = train_lens.lens_folder(model, request, "ridge")
    try:
        yield Step(0, 1, f"the lens goes into {where}")
        text = yield from train_lens.read_text(model, request)
        found = yield from fitting(model, request, text)
        evaluation = yield from _measured(model, text, found)
        fitted = _fitted(request, text, found, evaluation)
        yield evaluation_part(1, 1, evaluation, fitted.means)
        return (yield from train_lens.findings(model, text, fitted, where))
    finally:
        train_lens.leave_no_empty_folder(where)


def fitting(
    model: InterpretableModel, request: TrainLens, text: Text
) -> Generator[Step, None, Ridge]:
    """On the sequences that a training of this request reads first, none of them twice."""
    training = text.lesson.training
    wanted = request.steps * train_lens.sequences_of_a_step(request)
    order = Order(len(training), request.seed)
    ids = training.ids[order.at(0, min(wanted, len(training)))]
    total = ids[:, SKIPPED:].size
    return (
        yield from told(
            ridge.fit(model.net, model.anatomy, [ids], request.ridge),
            lambda done: Step(done, total, f"ridge lens: {done} of {total} tokens"),
        )
    )


def _measured(
    model: InterpretableModel, text: Text, found: Ridge
) -> Generator[Step, None, Evaluation]:
    lesson = text.lesson
    lenses = {"logit": None, "ridge": found.translators}
    steps = evaluate(model.net, model.anatomy, lesson.held_out, lenses, lesson.unigram_logs)
    return (yield from told(steps, lambda _: Step(1, 1, "measuring on held-out text")))


def _fitted(request: TrainRidgeLens, text: Text, found: Ridge, evaluation: Evaluation) -> Fitted:
    fit = LensFit(
        corpus=text.corpus.description,
        corpus_sha256=text.corpus.sha256,
        tokens=found.tokens,
        seed=request.seed,
        sequence_length=request.sequence_length,
        ridge=found.weight.tolist(),
    )
    return Fitted(
        "ridge",
        found.translators,
        fit,
        evaluation,
        evaluation.by_lens["ridge"],
        found.residual[None],
        {"ridge": found.weight, "degrees": found.degrees},
    )
