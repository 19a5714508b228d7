"""Causal tracing over a set of facts: how large is a place's effect on average, and how often?

Meng et al. 2022 (arXiv 2202.05262, sections 2.2 and B.1). Of each fact the indirect effects,
p(answer) with a state given back less p(answer) under noise, are put into the paper's six buckets
of positions and then averaged over facts. Beside the means stand their spread, an interval over
facts, and where each single fact's largest effect lies: a mean can peak where no fact does.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from mlxterp_engine.corpora.facts import read_facts
from mlxterp_engine.experiments import (
    Array,
    BadInput,
    CausalTracing,
    PatchCells,
    PatchEnds,
    Price,
    Step,
)
from mlxterp_engine.experiments.causal_tracing import SAMPLES, default_window
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.runlog.unfinished import Unfinished
from mlxterp_engine.techniques.causal_facts_arrays import EFFECT, Gathered, absent, span_of
from mlxterp_engine.techniques.causal_facts_buckets import BUCKETS, LAST_SUBJECT
from mlxterp_engine.techniques.causal_facts_known import (
    ReadFact,
    Sorted,
    Unsuitable,
    as_read,
    known_facts,
)
from mlxterp_engine.techniques.causal_tracing_cells import Options
from mlxterp_engine.techniques.causal_tracing_fact import (
    forgotten,
    traced,
)
from mlxterp_engine.techniques.causal_tracing_kept import keeper_of
from mlxterp_engine.techniques.causal_tracing_noise import (
    sigma_of,
    sigma_of_vocabulary,
    standard_noise,
)
from mlxterp_engine.techniques.causal_tracing_price import price_of_fact
from mlxterp_engine.techniques.findings import Findings
from mlxterp_engine.techniques.patching_pairs import worst
from mlxterp_engine.techniques.shares import as_a_share
from mlxterp_engine.tracing.sites import Site

import numpy as np

Parts = Generator[PatchEnds | PatchCells | Step, None, Findings]


def check(model: InterpretableModel, request: CausalTracing) -> None:
    """Whether any fact can be traced at all. What the model knows is found out in the run."""
    model.sites.require([Site("embed")])
    first = ""
    for fact in read(model, request):
        if isinstance(fact, ReadFact):
            return
        first = first or fact.why
    raise BadInput(f"none of the facts of {request.facts} can be traced, the first because {first}")


def price(model: InterpretableModel, request: CausalTracing) -> Price:
    """Of the first facts that can be traced, as if the model knew them all."""
    suitable = (fact for fact in read(model, request) if isinstance(fact, ReadFact))
    facts = islice(suitable, request.count)
    samples, options = request.samples or SAMPLES, options_of(model, request)
    ends = samples * len(request.noise_levels) + 1  # whether it is known
    each = [
        price_of_fact(model, span.tokens, span[:2], samples, options, ends)
        for span in map(span_of, facts)
    ]
    return Price(
        sum(price.passes for price in each),
        sum(price.seconds for price in each),
        max((price.bytes for price in each), default=0),
    )


def run(
    model: InterpretableModel, request: CausalTracing, store: Unfinished | None = None
) -> Parts:
    """Fact by fact; after each the means over those that are done.

    store: what the same request had when it was stopped.
    """
    options = options_of(model, request)
    chosen = yield from known_facts(model, read(model, request), request.count)
    noise = noise_of(model, request, chosen.known)
    done, levels = Gathered(), []
    for number, fact in enumerate(chosen.known):
        drawn = noise.of(fact)
        keeper = keeper_of(store, model, fact.question, drawn, options, request.resume)
        steps = traced(model, fact.question, drawn, options, keeper)
        done.add(fact, (yield from as_a_share(steps, number, len(chosen.known), "facts")))
        levels.append([noise.effect(model, fact, level) for level in request.noise_levels])
        yield from so_far(done)
    return _findings(model, request, chosen, done, noise, np.array(levels, np.float32))


def read(model: InterpretableModel, request: CausalTracing) -> Iterator[ReadFact | Unsuitable]:
    assert request.facts is not None
    return as_read(model, request, read_facts(request.facts).facts)


def options_of(model: InterpretableModel, request: CausalTracing) -> Options:
    return Options(window_of(request, model.sites.blocks), request.window_rule, request.sever)


def window_of(request: CausalTracing, blocks: int) -> int:
    return request.window or default_window(blocks)


@dataclass(frozen=True)
class Noise:
    """The same draws for every fact of as many subject tokens, as the authors' program has it."""

    sigma: float
    level: float
    samples: int
    seed: int
    width: int

    def of(self, fact: ReadFact, level: float | None = None) -> np.ndarray:
        """[sample, subject token, d_model]. level: in sigmas."""
        start, end = fact.question.subject
        scale = self.sigma * (self.level if level is None else level)
        return scale * standard_noise(self.seed, self.samples, end - start, self.width)

    def effect(self, model: InterpretableModel, fact: ReadFact, level: float) -> float:
        """Mean p(answer) under noise of another level."""
        return float(forgotten(model, fact.question, self.of(fact, level))[1].mean())


def noise_of(model: InterpretableModel, request: CausalTracing, facts: Sequence[ReadFact]) -> Noise:
    if request.sigma_from == "vocabulary":
        sigma = sigma_of_vocabulary(model)
    else:
        spans = [(fact.question.prompt.ids, *fact.question.subject) for fact in facts]
        sigma = sigma_of(model, [i for ids, start, end in spans for i in ids[start:end]])
    return Noise(sigma, request.noise, request.samples or SAMPLES, request.seed, model.card.d_model)


def so_far(done: Gathered) -> Iterator[PatchEnds | PatchCells]:
    """Mean p(answer) of both runs, and mean effects [layer, bucket]."""
    yield PatchEnds(
        clean_metric=float(done.p_clean.mean()),
        corrupt_metric=float(done.p_corrupt.mean()),
        first_different=0,
        method=done.traced[0].method,
    )
    for name in done.effects:
        mean = done.mean(name)
        at = [bucket for bucket in range(len(BUCKETS)) if done.having[:, bucket].any()]
        yield PatchCells(
            site=f"{name}{EFFECT}",
            layers=list(range(len(mean))),
            at=at,
            values=Array.of(np.ascontiguousarray(mean[:, at])),
        )


def _findings(
    model: InterpretableModel,
    request: CausalTracing,
    chosen: Sorted,
    done: Gathered,
    noise: Noise,
    by_level: np.ndarray,
) -> Findings:
    arrays = done.arrays(request.seed)
    arrays["sigma"] = np.array(noise.sigma, np.float32)
    if request.noise_levels:
        arrays["noise_level"] = np.array(request.noise_levels, np.float32)
        arrays["p_corrupt_by_level"] = by_level.mean(axis=0, dtype=np.float64).astype(np.float32)
        arrays["p_corrupt_by_level_facts"] = by_level
    return Findings(
        arrays,
        worst([found.contracts for found in done.traced]),
        _strings(request, chosen, done),
        _headline(request, chosen, done),
        _figures(request, chosen, done),
        tokens=[fact.question.prompt.tokens for fact in done.facts],
        absent=absent(arrays),
    )


def _strings(request: CausalTracing, chosen: Sorted, done: Gathered) -> dict[str, object]:
    facts = [known.fact for known in done.facts]
    return {
        "buckets": list(BUCKETS),
        "fact_prompt": [fact.prompt for fact in facts],
        "fact_subject": [fact.subject for fact in facts],
        "fact_answer": [fact.answer for fact in facts],
        "unknown": [fact.prompt for fact in chosen.unknown],
        "unsuitable": [f"{one.fact.prompt}: {one.why}" for one in chosen.unsuitable],
        "source": read_facts(str(request.facts)).source,
        "method": done.traced[0].method,
    }


def _headline(request: CausalTracing, chosen: Sorted, done: Gathered) -> str:
    """How many facts and which were left out, both ends, and the largest mean effects."""
    left_out = f" ({chosen.left_out})" if chosen.left_out else ""
    total = done.total_effect(request.seed)
    within = f" [{total.low:.2f}, {total.high:.2f}]" if len(done.facts) > 1 else ""
    return (
        f"{len(done.facts)} known facts{left_out}: p {done.p_clean.mean():.2f} clean, "
        f"{done.p_corrupt.mean():.2f} under noise, effect {total.value:.2f}{within}; {_most(done)}"
    )


def _most(done: Gathered) -> str:
    """Of each map the largest mean effect at the last subject token, which the paper is about."""
    found = {name: done.mean(name)[:, LAST_SUBJECT] for name in done.effects}
    words = [
        f"{name} {np.nanmax(mean):+.2f} (block {np.nanargmax(mean)})"
        for name, mean in found.items()
        if np.isfinite(mean).any()
    ]
    return f"last subject token: {', '.join(words) or 'nothing known'}"


def _figures(request: CausalTracing, chosen: Sorted, done: Gathered) -> dict[str, float]:
    found = {
        "facts": float(len(done.facts)),
        "not_known": float(len(chosen.unknown)),
        "unsuitable": float(len(chosen.unsuitable)),
        "p_clean": float(done.p_clean.mean()),
        "p_corrupt": float(done.p_corrupt.mean()),
        "total_effect": done.total_effect(request.seed).value,
    }
    for name in done.effects:
        mean = done.mean(name)[:, LAST_SUBJECT]
        if np.isfinite(mean).any():
            found[f"{name}{EFFECT}_last_subject"] = float(np.nanmax(mean))
    return found
