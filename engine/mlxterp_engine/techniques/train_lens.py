"""What both trainings share: their texts, their folder, their price, and what they find."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.corpora import reading
from mlxterp_engine.corpora.corpus import Corpus
from mlxterp_engine.corpora.reading import Enough, Wanted
from mlxterp_engine.corpora.sequences import (
    SKIPPED,
    Reader,
    per_step,
)
from mlxterp_engine.experiments import BadInput, Contract, Price, Step
from mlxterp_engine.experiments.train_lens import (
    PAPER_STEPS,
    PAPER_TOKENS_PER_STEP,
    TrainLens,
)
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.lenses import checkpoint, folder, shelf
from mlxterp_engine.lenses.capture import AT_ONCE, capture, check_lens
from mlxterp_engine.lenses.description import (
    LensDescription,
    LensFit,
    LensHeldOut,
    LensKind,
)
from mlxterp_engine.lenses.evaluation import Evaluation, Means
from mlxterp_engine.lenses.identity import identity
from mlxterp_engine.lenses.kl import CHUNK_BYTES, gradient, measure, target
from mlxterp_engine.lenses.lesson import lesson_of
from mlxterp_engine.lenses.steps import finished, told
from mlxterp_engine.lenses.training import Lesson
from mlxterp_engine.lenses.translators import Translators
from mlxterp_engine.techniques.findings import Findings
from mlxterp_engine.tracing.sampled_texts import sampled_texts

import mlx.core as mx
import numpy as np

BESIDE_THE_PRODUCT = 1.2  # softmax and what else a product brings with it, measured
PAPER_TOKENS = PAPER_STEPS * PAPER_TOKENS_PER_STEP
GRADIENT_TOLERANCE = 1e-2  # a central difference is itself good to about 1e-3 in float32
LOW_GRADIENT_TOLERANCE = 3e-1  # in 16-bit floats
PACKAGES = ("mlxterp-tui", "mlx", "mlx-lm", "numpy")


@dataclass(frozen=True, eq=False)
class Text:
    """A corpus as this model reads it."""

    corpus: Corpus
    lesson: Lesson


def check(model: InterpretableModel, request: TrainLens) -> None:
    """BadInput for what can be seen to be wrong before a text is read."""
    check_lens(model.anatomy, model.card.reference)
    most = model.card.context
    if most and request.sequence_length > most:
        raise BadInput(
            f"sequence_length is {request.sequence_length} and {model.card.reference} reads "
            f"{most} tokens at most; give {most} or less"
        )
    reading.check(_wanted(request))
    Reader.of(model.tokens, request.bos)
    if request.chat:
        raise BadInput("chat is for prompts; a training reads its texts as they are")
    if request.out_dir is not None:
        _check_folder(Path(request.out_dir).expanduser(), request.resume)


def read_text(model: InterpretableModel, request: TrainLens) -> Generator[Step, None, Text]:
    """BadInput for a corpus that can't be read, or is too small."""
    tokens = model.tokens
    needed = request.steps * per_step(request.tokens_per_step, request.sequence_length)
    enough = Enough(
        needed * request.sequence_length,
        request.held_out_tokens + request.sequence_length,
        lambda text: len(tokens.encode(text, "off")),
    )
    own = sampled_texts(model.net, tokens, model.card.sha256, request.seed)
    corpus = yield from reading.read(_wanted(request), enough, own)
    steps = lesson_of(
        corpus,
        Reader.of(tokens, request.bos),
        model.card.vocab_size,
        request.sequence_length,
        needed,
        request.held_out_tokens,
    )
    lesson = yield from told(steps, _tokens_read)
    return Text(corpus, lesson)


def sequences_of_a_step(request: TrainLens) -> int:
    return per_step(request.tokens_per_step, request.sequence_length)


def tokens_of_a_step(request: TrainLens) -> int:
    """Those that count: without the first of each sequence."""
    return sequences_of_a_step(request) * (request.sequence_length - SKIPPED)


def price(
    model: InterpretableModel,
    request: TrainLens,
    read: int,
    unembeddings: int,
    measured: int,
    copies: int,
) -> Price:
    """read: tokens trained on, each with so many unembedding products a layer. measured: how
    often lenses are measured on held-out text. copies: of all translators that are held.

    In seconds a pass over many tokens is as fast as the model's pace a token.
    """
    card, pace = model.card, model.pace
    on_held_out = measured * request.held_out_tokens
    tokens = read + on_held_out
    products = card.layers * (read * unembeddings + on_held_out) + tokens
    seconds = tokens * pace.per_token + products * pace.per_unembedding * BESIDE_THE_PRODUCT
    passes = tokens / request.sequence_length
    translators = 4 * card.layers * card.d_model * (card.d_model + 1)
    states = 4 * (card.layers + 1) * max(AT_ONCE, request.sequence_length) * card.d_model
    return Price(passes, seconds, copies * translators + 2 * states + 6 * CHUNK_BYTES)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A lens and what is known of it. loss: [step, layer]."""

    kind: LensKind
    translators: Translators
    fit: LensFit
    evaluation: Evaluation
    means: Means
    loss: np.ndarray
    arrays: dict[str, np.ndarray]


def findings(
    model: InterpretableModel, text: Text, fitted: Fitted, where: Path
) -> Generator[Step, None, Findings]:
    """Puts the lens into its folder; what was measured, and whether it is there as it was."""
    folder.write(where, fitted.translators, _description(model, text, fitted))
    checkpoint.remove(where)
    yield Step(1, 1, "checking")
    contracts = {
        "zero_lens": _zero_lens(model, text.lesson.held_out),
        "lens_gradient": _gradient_contract(model, text.lesson.held_out, fitted.translators),
        "lens_reads_back": _reads_back(where, fitted.translators),
    }
    figures = _figures(fitted)
    return Findings(
        _arrays(fitted),
        contracts,
        {"lens": {"name": where.name, "folder": str(where), "corpus": text.corpus.description}},
        _headline(fitted, figures, where),
        figures,
    )


def lens_folder(model: InterpretableModel, request: TrainLens, kind: LensKind) -> Path:
    """The folder asked for, made; or a new one on the shelf."""
    if request.out_dir is None:
        return shelf.new_folder(model.card.reference, kind)
    where = Path(request.out_dir).expanduser().absolute()
    try:
        where.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{where} can't be made ({error.strerror}); name another folder") from None
    return where


def leave_no_empty_folder(where: Path) -> None:
    with suppress(OSError):
        where.rmdir()  # only if nothing is in it


def held_out_of(text: Text, fitted_means: Means, evaluation: Evaluation) -> LensHeldOut:
    return LensHeldOut(
        text=text.corpus.name,
        tokens=evaluation.tokens,
        kl=fitted_means.kl.tolist(),
        kl_logit_lens=evaluation.by_lens["logit"].kl.tolist(),
        kl_unigram=evaluation.kl_unigram,
    )


def _wanted(request: TrainLens) -> Wanted:
    return Wanted(request.corpus, request.dataset, request.held_out)


def _check_folder(where: Path, resume: bool) -> None:
    if where.exists() and not where.is_dir():
        raise BadInput(f"out_dir is {where}, which is a file; name a folder")
    there = checkpoint.path_in(where).exists()
    if there and not resume:
        raise BadInput(
            f"{where} holds a training that is not finished; give --resume to go on with it, or "
            "name another folder"
        )
    if resume and not there:
        raise BadInput(
            f"there is nothing to resume in {where}: it holds no {checkpoint.FILE}; a lens that "
            "is finished has none any more"
        )


def _tokens_read(count: int) -> Step:
    return Step(0, 1, f"reading the corpus: {count} tokens")


def _description(model: InterpretableModel, text: Text, fitted: Fitted) -> LensDescription:
    return LensDescription(
        kind=fitted.kind,
        model=identity(model.card, model.net, model.anatomy),
        fit=fitted.fit,
        held_out=held_out_of(text, fitted.means, fitted.evaluation),
        versions={name: metadata.version(name) for name in PACKAGES},
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def _arrays(fitted: Fitted) -> dict[str, np.ndarray]:
    logit, layers = fitted.evaluation.by_lens["logit"], len(fitted.means.kl)
    found = {
        "kl_logit_lens": logit.kl,
        f"kl_{fitted.kind}_lens": fitted.means.kl,
        "kl_unigram": np.full(layers, fitted.evaluation.kl_unigram),
        "next_loss_logit_lens": logit.loss,
        f"next_loss_{fitted.kind}_lens": fitted.means.loss,
        "agreement_logit_lens": logit.agreement,
        f"agreement_{fitted.kind}_lens": fitted.means.agreement,
        "train_loss": fitted.loss,
        **fitted.arrays,
    }
    arrays = {name: values.astype(np.float32) for name, values in found.items()}
    return {"layer": np.arange(-1, layers - 1, dtype=np.int32), **arrays}


def _figures(fitted: Fitted) -> dict[str, float]:
    logit, kl = fitted.evaluation.by_lens["logit"].kl, fitted.means.kl
    middle = len(kl) // 2
    return {
        "kl_middle": float(kl[middle]),
        "kl_last": float(kl[-1]),
        "kl_logit_lens_middle": float(logit[middle]),
        "kl_logit_lens_last": float(logit[-1]),
        "kl_unigram": fitted.evaluation.kl_unigram,
        "next_loss_model": fitted.evaluation.model_loss,
        "layers_better": float((kl < logit).sum()),
        "tokens": float(fitted.fit.tokens),
        "of_the_papers_tokens": fitted.fit.tokens / PAPER_TOKENS,
    }


def _headline(fitted: Fitted, figures: dict[str, float], where: Path) -> str:
    """Held-out KL in the middle, nats, and how much was read; the paper's is 65.5 million."""
    return (
        f"{where.name}: middle KL {figures['kl_middle']:.2f}, logit lens "
        f"{figures['kl_logit_lens_middle']:.2f}; less at {figures['layers_better']:.0f} of "
        f"{len(fitted.means.kl)} layers; {fitted.fit.tokens} tokens, paper "
        f"{PAPER_TOKENS / 1e6:.1f} M"
    )


def _zero_lens(model: InterpretableModel, held_out: np.ndarray) -> Contract:
    """A lens of zeros gives the logit lens's logits, bit for bit, at every layer."""
    captured = finished(capture(model.net, model.anatomy, held_out[:1, :4]))
    zero = Translators.zero(model.card.layers, model.card.d_model)
    error = 0.0
    for row, states in enumerate(captured.hidden):
        plain, through = (model.unembed(x) for x in (states, zero.translate(states, row - 1)))
        error = max(error, float(as_numpy(mx.abs(plain - through).max())))
    return Contract.of(error, 0.0)


def _gradient_contract(
    model: InterpretableModel, held_out: np.ndarray, translators: Translators
) -> Contract:
    """The KL's gradient against a central difference along it, at the middle layer."""
    captured = finished(capture(model.net, model.anatomy, held_out[:1, :8]))
    row = len(captured.hidden) // 2
    unembed = model.anatomy.unembed
    final = target(unembed, captured.final)
    states = translators.translate(captured.hidden[row], row - 1).astype(mx.float32)
    _, back = gradient(unembed, states, final)
    back = back.astype(mx.float32)
    low = model.card.dtype != "float32"
    step = (3e-2 if low else 3e-3) * mx.linalg.norm(states) / mx.linalg.norm(back)
    ends = [
        measure(unembed, states + sign * step * back, final, captured.next_ids).kl.sum(dtype=float)
        for sign in (1.0, -1.0)
    ]
    slope = (ends[0] - ends[1]) / (2 * step.item())
    expected = float(as_numpy((back * back).sum()))
    tolerance = LOW_GRADIENT_TOLERANCE if low else GRADIENT_TOLERANCE
    return Contract.of(abs(slope - expected) / expected, tolerance)


def _reads_back(where: Path, translators: Translators) -> Contract:
    """The lens on disk is the one that was measured."""
    _, found = folder.read(where)
    pairs = ((found.weight, translators.weight), (found.bias, translators.bias))
    return Contract.of(max(float(as_numpy(mx.abs(a - b).max())) for a, b in pairs), 0.0)
