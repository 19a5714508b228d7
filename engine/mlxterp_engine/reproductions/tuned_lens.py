"""The tuned lens's card: what is run, and how its figures come out of it.

A ridge lens and a tuned lens are fitted to the same tokens of the built-in corpus, each by its own
experiment, as anybody would fit it; they stay on the shelf. Both, and the logit lens, are then
measured on held-out passages (`lens_quality`), on each other's layers (`lens_transfer`), and
against the model's own directions (`causal_fidelity`). Neither a passage's first token, an
attention sink, nor its last, which nothing follows, counts.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, NamedTuple

from mlxterp_engine.corpora.builtin import builtin
from mlxterp_engine.corpora.passages import fitting, passages
from mlxterp_engine.corpora.sequences import SKIPPED, Order, Reader, Sequences, per_step, sequences
from mlxterp_engine.experiments import (
    AnyRequest,
    BadInput,
    LogitLens,
    Price,
    Result,
    Step,
    TrainRidgeLens,
    TrainTunedLens,
    TunedLens,
)
from mlxterp_engine.experiments.train_lens import LensStep
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.lenses import folder, shelf
from mlxterp_engine.lenses.capture import check_lens
from mlxterp_engine.lenses.description import DESCRIPTION, LensKind
from mlxterp_engine.lenses.evaluation import smoothed_unigram
from mlxterp_engine.lenses.translators import Translators
from mlxterp_engine.reproductions.claiming import Setting
from mlxterp_engine.reproductions.frame import (
    Perform,
    Reproduced,
    Tally,
    blocked_by,
    driven,
    faults,
)
from mlxterp_engine.reproductions.lens_quality import NOT_COUNTED
from mlxterp_engine.reproductions.logit_lens import FACTS, answer_stays_from
from mlxterp_engine.reproductions.tuned_lens_arrays import arrays
from mlxterp_engine.reproductions.tuned_lens_claims import PAPER_TOKENS, SENTENCES, claims, curves
from mlxterp_engine.reproductions.tuned_lens_figures import Figures, LensFigures
from mlxterp_engine.reproductions.tuned_lens_measures import (
    BIAS_DRAWS,
    Fitted,
    Measures,
    Texts,
    measure,
    units,
)
from mlxterp_engine.techniques.npz import to_numpy
from mlxterp_engine.worker.tasks import Reproduce

import msgspec
import numpy as np

LENGTH = 128  # of a training sequence
MEASURED = 1  # held-out sequences that a training looks at on its way; the card measures more
BACKWARD = 3  # what a training step costs beside its unembeddings: there, back, and the target's


class Size(NamedTuple):
    """texts, tokens: of held-out passages, each so long. few: of them, for what costs more a
    text. steps: of training, each on one sequence. transfer_rows, directions, facts: how many."""

    texts: int
    tokens: int
    few: int
    steps: int
    transfer_rows: int
    directions: int
    facts: int


FULL = Size(texts=20, tokens=64, few=6, steps=40, transfer_rows=8, directions=16, facts=8)
FAST = Size(texts=6, tokens=24, few=3, steps=2, transfer_rows=5, directions=8, facts=3)


@dataclass(frozen=True)
class Plan:
    """held_out: passages as the model reads them."""

    size: Size
    length: int
    held_out: list[list[int]]
    ridge: TrainRidgeLens
    tuned: TrainTunedLens
    facts: list[str]
    task: Reproduce

    @property
    def training_tokens(self) -> int:
        return (
            self.size.steps
            * per_step(self.tuned.tokens_per_step, self.length)
            * (self.length - SKIPPED)
        )


def expected() -> list[str]:
    """The claims, as the paper makes them."""
    return list(SENTENCES.values())


def plan(model: InterpretableModel, task: Reproduce) -> Plan:
    """Which texts, cut to the model's own tokens, and which trainings."""
    check_lens(model.anatomy, model.card.reference)
    size = FAST if task.fast else FULL
    context = model.card.context or LENGTH
    length, tokens = min(LENGTH, context), min(size.tokens, context)
    cut = [
        model.tokens.encode(fitting(found.text, tokens, lambda t: len(model.tokens.encode(t))))
        for found in passages(builtin().held_out, size.texts, task.seed)
    ]
    held_out = [ids for ids in cut if len(ids) > NOT_COUNTED + 1]
    if len(held_out) < 2:
        raise BadInput(
            f"{model.card.reference} reads {tokens} tokens at most, too few for the passages; a "
            "model with a longer context is needed"
        )
    same: dict[str, Any] = {
        "corpus": ["builtin"],
        "steps": size.steps,
        "tokens_per_step": length - SKIPPED,
        "sequence_length": length,
        "held_out_tokens": MEASURED * (length - SKIPPED),
        "model": task.model,
        "seed": task.seed,
        "device": task.device,
        "dtype": task.dtype,
    }
    ridge, tuned = TrainRidgeLens(**same), TrainTunedLens(**same)
    return Plan(size, length, held_out, ridge, tuned, list(FACTS[: size.facts]), task)


def price(model: InterpretableModel, plan: Plan) -> Price:
    """Mostly unembeddings: of each token by each layer and each lens, and back in the training."""
    rows, vocab = model.card.layers, model.card.vocab_size
    training = BACKWARD * rows * plan.training_tokens
    measuring = units(plan.size, rows, plan.held_out)
    passes = 2 * plan.size.steps + len(plan.held_out) + plan.size.few * (4 * plan.size.directions)
    forward = model.pace.seconds(plan.size.tokens) * passes
    kept = 3 * len(plan.held_out) * rows * vocab * 4
    logarithms = 2e-8 * BIAS_DRAWS * 2 * rows * vocab
    each = model.pace.per_unembedding * 1.6
    share = vocab * model.card.d_model / model.card.parameters
    return Price(
        passes + (training + measuring) * share / plan.size.tokens,
        (training + measuring) * each + forward + logarithms,
        kept + 8 * plan.size.tokens * vocab * 4 + 3 * rows * model.card.d_model**2 * 4,
    )


def make(
    model: InterpretableModel, plan: Plan, perform: Perform
) -> Generator[Step, None, Reproduced]:
    """The trainings, the runs, the measures, and then the claims."""
    rows = model.card.layers
    tally = Tally(
        (BACKWARD + 1) * rows * plan.training_tokens + units(plan.size, rows, plan.held_out)
    )
    ridge = yield from _fitted(model, plan.ridge, "ridge", perform, tally)
    tuned = yield from _fitted(model, plan.tuned, "tuned", perform, tally)
    facts = yield from _facts(plan, {"ridge": ridge, "tuned": tuned}, perform, tally)
    read = yield from _training_sequences(model, plan, tally)
    texts = Texts(
        plan.held_out,
        [row[: plan.size.tokens].tolist() for row in read.ids[: plan.size.few]],
        smoothed_unigram(read.counts(model.card.vocab_size)),
    )
    fitted = Fitted(ridge.translators, tuned.translators)
    measures = yield from measure(model, plan.size, texts, fitted, plan.task.seed, tally)
    results = [ridge.result, tuned.result, *(one for each in facts.values() for one in each)]
    setting = Setting(
        model.card.reference, model.card.tied, plan.task.seed, blocked_by(faults(results))
    )
    figures = _figures(measures, facts, plan, tuned.result)
    return Reproduced(
        claims(figures, setting),
        arrays(figures),
        curves(figures),
        _data(plan),
        len(plan.held_out),
        int(figures.tokens.sum()),
        _notes(model, plan),
    )


class _Lens(NamedTuple):
    name: str
    result: Result
    translators: Translators


def _fitted(
    model: InterpretableModel,
    request: TrainRidgeLens | TrainTunedLens,
    kind: LensKind,
    perform: Perform,
    tally: Tally,
) -> Generator[Step, None, _Lens]:
    """Into a folder of its own on the shelf, which goes again where nothing came of it."""
    place = shelf.new_folder(model.card.reference, kind)
    weight = (BACKWARD if kind == "tuned" else 1) * model.card.layers * request.tokens_per_step

    def counts(part: object) -> float:
        return weight if isinstance(part, LensStep) else 0.0

    steps = perform(_in_folder(request, str(place)))
    try:
        result = yield from driven(steps, tally, f"training the {kind} lens", counts)
    finally:
        if not (place / DESCRIPTION).exists():  # stopped, with a checkpoint that no card goes on
            shutil.rmtree(place, ignore_errors=True)
    return _Lens(place.name, result, folder.read(place)[1])


def _in_folder(
    request: TrainRidgeLens | TrainTunedLens, place: str
) -> TrainRidgeLens | TrainTunedLens:
    return msgspec.structs.replace(request, out_dir=place)


def _facts(
    plan: Plan, lenses: dict[str, _Lens], perform: Perform, tally: Tally
) -> Generator[Step, None, dict[str, list[Result]]]:
    """Each factual prompt through each lens, recorded: prediction trajectories to look at."""
    common: dict[str, Any] = {
        "top_k": 1,
        "model": plan.task.model,
        "seed": plan.task.seed,
        "device": plan.task.device,
        "dtype": plan.task.dtype,
    }
    requests: dict[str, list[AnyRequest]] = {
        "logit": [LogitLens(prompt=text, **common) for text in plan.facts]
    }
    for kind, lens in lenses.items():
        requests[kind] = [TunedLens(prompt=text, lens=lens.name, **common) for text in plan.facts]
    found: dict[str, list[Result]] = {kind: [] for kind in requests}
    for kind, asked in requests.items():
        for request in asked:
            what = f"the {kind} lens of {len(asked)} factual prompts"
            result = yield from driven(perform(request), tally, what, lambda part: 0.0)
            found[kind].append(result)
    return found


def _training_sequences(
    model: InterpretableModel, plan: Plan, tally: Tally
) -> Generator[Step, None, Sequences]:
    """Those that both lenses were fitted to, in the order in which they were read."""
    reader = Reader.of(model.tokens)
    steps = sequences(builtin().training, reader, plan.length)
    whole = yield from driven(steps, tally, "reading the training text", lambda part: 0.0)
    count = plan.size.steps * per_step(plan.tuned.tokens_per_step, plan.length)
    order = Order(len(whole), plan.task.seed)
    return Sequences(whole.ids[order.at(0, count)])


def _figures(
    measures: Measures, facts: dict[str, list[Result]], plan: Plan, trained: Result
) -> Figures:
    lenses = {
        kind: LensFigures(
            **vars(measures.lenses[kind]),
            bias=measures.bias[kind],
            kl_training=measures.kl_training[kind],
            facts_from=np.array([answer_stays_from(result) for result in facts[kind]]),
        )
        for kind in ("logit", "ridge", "tuned")
    }
    return Figures(
        tokens=measures.tokens,
        **lenses,
        model_loss=measures.model_loss,
        model_entropy=measures.model_entropy,
        unigram_kl=measures.unigram_kl,
        unigram_loss=measures.unigram_loss,
        bias_ratio_drawn=measures.bias_ratio_drawn,
        floor=measures.floor,
        transfer=measures.transfer,
        fidelity=measures.fidelity,
        training_tokens=plan.training_tokens,
        train_loss=to_numpy(trained.arrays["train_loss"]),
    )


def _data(plan: Plan) -> str:
    corpus = builtin()
    return (
        f"{len(plan.held_out)} held-out passages of up to {plan.size.tokens} tokens, no two "
        f"overlapping, from {corpus.description}; sha256 {corpus.sha256[:12]}; the lenses were "
        f"fitted to {plan.training_tokens} tokens of the rest, "
        f"{plan.training_tokens / PAPER_TOKENS:.3%} of the paper's 65.5 million, in sequences of "
        f"{plan.length}"
    )


def _notes(model: InterpretableModel, plan: Plan) -> list[str]:
    card = model.card
    parameters = card.layers * card.d_model * (card.d_model + 1)
    return [
        f"the tuned lens is trained as published (KL(final ‖ lens), SGD with Nesterov momentum, "
        f"from zeros) but for its budget: {plan.size.steps} steps of {plan.tuned.tokens_per_step} "
        f"tokens, where the paper takes 250 of 262 144; it has {parameters / 1e6:.1f} million "
        "parameters, so look at training and held-out text together",
        "the ridge lens is least squares to the final state on the same tokens, in closed form: a "
        "baseline that is not the paper's",
        "the unigram is the frequency of the training tokens, smoothed after Witten and Bell; it "
        "is the same at every layer",
        "causal fidelity is measured in a simpler way than the paper's: its figure and ours are of "
        "the same kind and not of the same making",
        "block l is `resid_post` of block l; the paper's layer i, the input of a block, is block "
        "i - 1 here, and its layer 0 the embeddings",
        "intervals are percentile bootstraps over whole passages; passages of one topic resemble "
        "each other, so they are if anything too narrow; training is not repeated in them",
        f"the bias's interval is from {BIAS_DRAWS} draws, the others' from 10000",
        f"transfer and fidelity are measured on {plan.size.few} of the passages",
    ]
