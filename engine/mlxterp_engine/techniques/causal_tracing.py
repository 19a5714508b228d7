"""Causal tracing: which states, given back, make the model know again what noise made it forget?

Meng et al. 2022 (arXiv 2202.05262, section 2 and appendix B.1). Clean run: p. Corrupted run: noise
of 3 σ on the embeddings of the subject's tokens, ten draws, p*. Restored runs: the corrupted one
with one state of the clean run. Total effect: p − p*; indirect effect of a place: p restored − p*,
absolute both. Where we differ: σ is by default that of the whole vocabulary; every map runs over
all blocks and over all tokens from the subject on; the model's own top token may be the answer.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments import (
    BadInput,
    CausalTracing,
    PatchCells,
    PatchEnds,
    Price,
    Step,
)
from mlxterp_engine.experiments.alignment import Span
from mlxterp_engine.experiments.causal_tracing import SAMPLES, default_window, window_blocks
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.runlog.unfinished import Unfinished
from mlxterp_engine.techniques import causal_facts
from mlxterp_engine.techniques.causal_tracing_cells import Options
from mlxterp_engine.techniques.causal_tracing_fact import (
    Traced,
    forgotten,
    traced,
)
from mlxterp_engine.techniques.causal_tracing_kept import draws_in, keeper_of
from mlxterp_engine.techniques.causal_tracing_noise import (
    read_noise,
    sigma_of,
    sigma_of_vocabulary,
    standard_noise,
)
from mlxterp_engine.techniques.causal_tracing_price import price_of_fact
from mlxterp_engine.techniques.causal_tracing_subject import Question, subject_span
from mlxterp_engine.techniques.findings import Findings, Prompted, Prompts
from mlxterp_engine.techniques.patching_metric import SMALLEST
from mlxterp_engine.tracing.resume import last_logits
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import numpy as np

Parts = Generator[PatchEnds | PatchCells | Step, None, Findings]


def check(model: InterpretableModel, request: CausalTracing) -> None:
    """The subject stands in the prompt, the answer is one token, a noise file fits."""
    if request.facts is not None:
        return causal_facts.check(model, request)
    model.sites.require([Site("embed")])
    if request.answer is not None:
        model.tokens.single(request.answer, "answer")
    span = span_of(model, request)
    if request.noise_file is not None:
        _read_noise(model, request, span)
    return None


def price(model: InterpretableModel, request: CausalTracing, prompts: Prompts) -> Price:
    if request.facts is not None:
        return causal_facts.price(model, request)
    (prompt,) = prompts
    span = span_of(model, request)
    samples = request.samples or SAMPLES
    if request.noise_file is not None:
        samples = len(_read_noise(model, request, span))
    ends = samples * len(request.noise_levels)
    return price_of_fact(model, len(prompt.ids), span, samples, options_of(model, request), ends)


def run(model: InterpretableModel, request: CausalTracing, prompts: Prompts) -> Parts:
    """The ends first, then cells as they are known, each the mean over the draws so far."""
    return (yield from go_on(model, request, prompts, None))


def go_on(
    model: InterpretableModel,
    request: CausalTracing,
    prompts: Prompts,
    store: Unfinished | None,
) -> Parts:
    """`run`, from where the same request was stopped before; store: what it had by then."""
    if request.facts is not None:
        return (yield from causal_facts.run(model, request, store))
    (prompt,) = prompts
    yield Step(0, 1, "σ and both runs")
    question = _question(model, request, prompt)
    noise = _noise(model, request, question)
    p_clean, p_corrupt = forgotten(model, question, noise.values)
    level = None if request.noise_file else request.noise
    check_ends(p_clean, float(p_corrupt.mean()), level)
    options = options_of(model, request)
    keeper = keeper_of(store, model, question, noise.values, options, request.resume)
    kept = draws_in(keeper, model)
    yield PatchEnds(
        clean_metric=p_clean,
        corrupt_metric=float(p_corrupt.mean()),
        first_different=question.subject[0],
        method=model.resumption.method,
        resumed=kept.cells if kept else 0,
    )
    levels = yield from _by_level(model, request, question, noise)
    found = yield from traced(model, question, noise.values, options, keeper)
    return Findings(
        _arrays(model, question, noise, found, options) | levels,
        found.contracts,
        _strings(model, request, question, found),
        _headline(model, question, found),
        _figures(noise, options, found),
    )


@dataclass(frozen=True, eq=False)
class Noise:
    """values: [sample, subject token, d_model], as it is added; drawn: of variance 1, if it was."""

    sigma: float
    values: np.ndarray
    drawn: np.ndarray | None


def span_of(model: InterpretableModel, request: CausalTracing) -> Span:
    assert request.prompt is not None
    assert request.subject is not None
    return subject_span(model.tokens, request.prompt, request.subject, request.bos, request.chat)


def options_of(model: InterpretableModel, request: CausalTracing) -> Options:
    window = request.window or default_window(model.sites.blocks)
    return Options(window, request.window_rule, request.sever)


def check_ends(p_clean: float, p_corrupt: float, noise: float | None) -> None:
    """BadInput where noise takes nothing away that could be given back. noise: None, of a file."""
    least = SMALLEST["prob"]
    if not np.isfinite([p_clean, p_corrupt]).all():
        raise BadInput(
            f"p(answer) is {p_clean} in the clean run and {p_corrupt} under noise; the logits of "
            "this prompt are not finite: take another dtype or a smaller noise"
        )
    if p_clean - p_corrupt < least:
        noised = "" if noise is None else f" of {noise:g} σ"
        raise BadInput(
            f"p(answer) is {p_clean:.4g} in the clean run and {p_corrupt:.4g} under noise{noised}: "
            f"it has to fall by {least} at least, or there is nothing to give back; "
            + _remedy(p_clean, noise)
        )


def _remedy(p_clean: float, noise: float | None) -> str:
    if p_clean < SMALLEST["prob"]:
        return "choose an answer, or a prompt, that the model knows"
    larger = "give larger noise in the file" if noise is None else "take a larger noise"
    return f"{larger}, or a prompt whose answer hangs on the subject"


def _question(model: InterpretableModel, request: CausalTracing, prompt: Prompted) -> Question:
    if request.answer is not None:
        answer = model.tokens.single(request.answer, "answer")
    else:
        logits = last_logits(model.net, model.anatomy, [prompt.ids])
        answer = int(as_numpy(logits.astype(mx.float32))[0].argmax())
    return Question(prompt, span_of(model, request), answer)


def _noise(model: InterpretableModel, request: CausalTracing, question: Question) -> Noise:
    start, end = question.subject
    if request.sigma_from == "subjects":
        sigma = sigma_of(model, question.prompt.ids[start:end])
    else:
        sigma = sigma_of_vocabulary(model)
    if request.noise_file is not None:
        return Noise(sigma, _read_noise(model, request, question.subject), None)
    samples, width = request.samples or SAMPLES, model.card.d_model
    drawn = standard_noise(request.seed, samples, end - start, width)
    return Noise(sigma, drawn * np.float32(request.noise * sigma), drawn)


def _read_noise(model: InterpretableModel, request: CausalTracing, span: Span) -> np.ndarray:
    assert request.noise_file is not None
    tokens, width = span[1] - span[0], model.card.d_model
    return read_noise(request.noise_file, tokens, width, request.samples)


def _by_level(
    model: InterpretableModel, request: CausalTracing, question: Question, noise: Noise
) -> Generator[Step, None, dict[str, np.ndarray]]:
    """p(answer) under the same draws at other scales; their maps would cost as much as this one."""
    levels = request.noise_levels
    found = []
    for number, level in enumerate(levels):
        yield Step(number, len(levels), "noise levels")
        assert noise.drawn is not None  # a file of noise has no levels
        values = noise.drawn * np.float32(level * noise.sigma)
        found.append(forgotten(model, question, values)[1].mean())
    if not levels:
        return {}
    return {
        "noise_level": np.array(levels, np.float32),
        "p_corrupt_by_level": np.array(found, np.float32),
    }


def _arrays(
    model: InterpretableModel, question: Question, noise: Noise, found: Traced, options: Options
) -> dict[str, np.ndarray]:
    blocks = model.sites.blocks
    windows = [window_blocks(b, blocks, options.window, options.rule) for b in range(blocks)]
    arrays = {
        "token_ids": np.array(question.prompt.ids, np.int32),
        "subject_span": np.array(question.subject, np.int32),
        "answer_id": np.array(question.answer, np.int32),
        "p_clean": np.array(found.p_clean, np.float32),
        "p_corrupt": np.array(found.p_corrupt.mean(), np.float32),
        "p_corrupt_samples": found.p_corrupt,
        "sigma": np.array(noise.sigma, np.float32),
        "windows": np.array([(w.start, w.stop) for w in windows], np.int32),
    }
    for name, samples in found.maps.items():
        arrays |= {name: found.mean(name), f"{name}_samples": samples}
    return arrays


def _strings(
    model: InterpretableModel, request: CausalTracing, question: Question, found: Traced
) -> dict[str, object]:
    assert request.prompt is not None
    assert request.subject is not None
    times = request.prompt.count(request.subject)
    which = "" if times < 2 else f", the first of {times} places where it stands"
    start, end = question.subject
    source = "the noise file" if request.noise_file else f"{request.noise:g} σ, seed {request.seed}"
    tensor = "the whole vocabulary" if request.sigma_from == "vocabulary" else "the subject"
    return {
        "tokens": found.tokens,
        "answer": model.tokens.strings([question.answer])[0],
        "subject": f"tokens {start} to {end - 1}{which}",
        "noise": f"{source}; σ over the embeddings of {tensor}; {len(found.p_corrupt)} draws",
        "method": found.method,
    }


def _figures(noise: Noise, options: Options, found: Traced) -> dict[str, float]:
    """p_clean, p_corrupt, the total effect, and each map's largest indirect effect."""
    p_corrupt = float(found.p_corrupt.mean())
    figures = {
        "p_clean": found.p_clean,
        "p_corrupt": p_corrupt,
        "total_effect": found.p_clean - p_corrupt,
        "sigma": noise.sigma,
        "samples": float(len(found.p_corrupt)),
        "window": float(options.window),
    }
    if found.resumed:
        figures["draws_from_before"] = float(found.resumed)
    for name in found.maps:
        if where := _most(found, name):
            figures[f"{name}_most"] = float(found.mean(name)[where]) - p_corrupt
    return figures


def _most(found: Traced, name: str) -> tuple[int, int] | None:
    """Where the mean is largest. Of states among the subject's tokens: the last token's last state
    is the clean run's answer itself."""
    mean = found.mean(name)
    start, end = found.subject
    if not name.startswith("hidden"):
        start, end = 0, mean.shape[1]
    if not np.isfinite(mean[:, start:end]).any():
        return None
    where = np.unravel_index(np.nanargmax(mean[:, start:end]), (len(mean), end - start))
    return int(where[0]), int(where[1]) + start


def _headline(model: InterpretableModel, question: Question, found: Traced) -> str:
    """Both ends, and the largest indirect effect of a state, in probability."""
    answer = model.tokens.strings([question.answer])[0]
    p_corrupt = float(found.p_corrupt.mean())
    ends = f"p({answer!r}) {found.p_clean:.2f} clean, {p_corrupt:.2f} under noise"
    before = f"; {found.resumed} draws from a stopped run" if found.resumed else ""
    return f"{ends}; {_strongest(found, p_corrupt)}{before}"


def _strongest(found: Traced, p_corrupt: float) -> str:
    for name in found.maps:
        if where := _most(found, name):
            effect = float(found.mean(name)[where]) - p_corrupt
            place = f"{name} of block {where[0]} at {where[1]} {found.tokens[where[1]]!r}"
            return f"most: {place}, {effect:+.2f}"
    return "no cell could be computed"
