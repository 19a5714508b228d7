"""Causal tracing's card: what is run, and how its figures come out of it.

The first facts that the model knows are traced by the experiment `causal-tracing`, as anybody would
run it. What its arrays can't say, severed runs at the last subject token and the controls, comes
from `causal_tracing_measures`, under the same draws of noise.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mlxterp_engine.corpora.facts import read_facts
from mlxterp_engine.experiments import CausalTracing, Price, Result, Step
from mlxterp_engine.experiments.causal_tracing import KNOWN
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.reproductions.causal_tracing_claims import SENTENCES, claims, curves
from mlxterp_engine.reproductions.causal_tracing_figures import Figures
from mlxterp_engine.reproductions.causal_tracing_measures import Measured, Measuring
from mlxterp_engine.reproductions.claiming import Setting
from mlxterp_engine.reproductions.frame import (
    Perform,
    Reproduced,
    Tally,
    blocked_by,
    driven,
    faults,
)
from mlxterp_engine.techniques import causal_facts as technique
from mlxterp_engine.techniques.causal_facts_known import ReadFact
from mlxterp_engine.techniques.npz import to_numpy
from mlxterp_engine.worker.tasks import Reproduce

import numpy as np

FACTS = KNOWN
LEVELS = [1.0, 2.0, 5.0]  # noises beside the paper's 3 sigma
LEAST_FACTS = 5  # fewer say nothing of facts in general
TRACES = 0.85  # of the whole work, measured; the rest are severed runs and controls


class Size(NamedTuple):
    """samples: draws of noise for each fact; the paper has 10."""

    facts: int
    samples: int


FULL = Size(facts=30, samples=2)
FAST = Size(facts=6, samples=1)


@dataclass(frozen=True)
class Plan:
    request: CausalTracing


def expected() -> list[str]:
    """The claims, as the paper makes them."""
    return list(SENTENCES.values())


def plan(model: InterpretableModel, task: Reproduce) -> Plan:
    """What is traced. BadInput where no fact can be."""
    size = FAST if task.fast else FULL
    request = CausalTracing(
        facts=FACTS,
        count=size.facts,
        samples=size.samples,
        noise_levels=LEVELS,
        model=task.model,
        seed=task.seed,
        device=task.device,
        dtype=task.dtype,
    )
    technique.check(model, request)
    return Plan(request)


def price(model: InterpretableModel, plan: Plan) -> Price:
    traces = technique.price(model, plan.request)
    return Price(traces.passes / TRACES, traces.seconds / TRACES, traces.bytes)


def make(
    model: InterpretableModel, plan: Plan, perform: Perform
) -> Generator[Step, None, Reproduced]:
    """The traces, then what is measured beside them, and then the claims."""
    request = plan.request
    tally = Tally(1.0)
    what = f"tracing {request.count} facts"
    result = yield from driven(perform(request), tally, what, _Share(TRACES))
    facts = facts_of(model, request, result)
    noise = technique.noise_of(model, request, facts)
    measuring = Measuring(model, facts, noise, technique.options_of(model, request))
    each = (1 - TRACES) / measuring.evaluations
    measured = []
    for number in range(len(facts)):
        steps = measuring.of(number)
        what = f"severed runs and controls of {len(facts)} facts"
        measured.append((yield from driven(steps, tally, what, lambda part: each)))
    figures = figures_of(request, result, facts, measured)
    setting = Setting(model.card.reference, model.card.tied, request.seed, _blocked(result, facts))
    return Reproduced(
        claims(figures, setting),
        _arrays(figures),
        curves(figures),
        _data(request, result, facts),
        len(facts),
        sum(len(fact.question.prompt.ids) for fact in facts),
        _notes(request, figures, facts),
    )


class _Share:
    """How much further a trace is than when last asked, as a share of the card."""

    def __init__(self, whole: float) -> None:
        self._whole = whole
        self._done = 0.0

    def __call__(self, part: object) -> float:
        if not isinstance(part, Step) or part.what != "facts":
            return 0.0
        before, self._done = self._done, self._whole * part.done / part.total
        return self._done - before


def facts_of(model: InterpretableModel, request: CausalTracing, result: Result) -> list[ReadFact]:
    """The facts that were traced, in their order."""
    read = (one for one in technique.read(model, request) if isinstance(one, ReadFact))
    by_prompt = {fact.fact.prompt: fact for fact in read}
    return [by_prompt[prompt] for prompt in result.strings["fact_prompt"]]


def figures_of(
    request: CausalTracing, result: Result, facts: Sequence[ReadFact], measured: Sequence[Measured]
) -> Figures:
    arrays = {name: to_numpy(array) for name, array in result.arrays.items()}
    blocks = arrays["hidden_effect"].shape[0]
    p_clean = arrays["p_clean_facts"]
    return Figures(
        p_clean=p_clean,
        p_corrupt=arrays["p_corrupt_facts"],
        hidden=arrays["hidden_effect_facts"],
        mlp=arrays["mlp_effect_facts"],
        attn=arrays["attn_effect_facts"],
        severed_mlp=np.stack([one.severed_mlp for one in measured]),
        severed_attn=np.stack([one.severed_attn for one in measured]),
        mismatched=_stacked([one.mismatched for one in measured], blocks),
        replaced=_stacked([one.replaced for one in measured], blocks),
        elsewhere=np.array([one.elsewhere for one in measured if one.elsewhere is not None]),
        levels=arrays["noise_level"],
        by_level=p_clean.mean() - arrays["p_corrupt_by_level"],
        argmax=arrays["hidden_argmax_place"],
        several=np.diff(arrays["fact_subject_span"], axis=1)[:, 0] > 1,
        later=arrays["fact_subject_span"][:, 0] > 0,
        sigma=float(arrays["sigma"]),
        window=technique.window_of(request, blocks),
    )


def _stacked(found: Sequence[np.ndarray | None], blocks: int) -> np.ndarray:
    """[fact, layer], of the facts that have it."""
    known = [one for one in found if one is not None]
    return np.stack(known) if known else np.empty((0, blocks))


def _blocked(result: Result, facts: Sequence[ReadFact]) -> str:
    if len(facts) < LEAST_FACTS:
        return f"{len(facts)} facts are known, too few to say anything of facts ({LEAST_FACTS} do)"
    return blocked_by(faults([result]))


def _data(request: CausalTracing, result: Result, facts: Sequence[ReadFact]) -> str:
    left_out = len(result.strings["unknown"]) + len(result.strings["unsuitable"])
    return (
        f"the first {len(facts)} facts that the model knows by greedy continuation, {left_out} "
        f"left out on the way, of: {read_facts(str(request.facts)).source}"
    )


def _notes(request: CausalTracing, figures: Figures, facts: Sequence[ReadFact]) -> list[str]:
    subjects = len({fact.fact.relation for fact in facts})
    return [
        f"draws of noise a fact: {request.samples}, where the paper has 10; the same draws for all "
        "facts whose subjects have as many tokens, as in the authors' program",
        f"windows are {figures.window} of {figures.blocks} blocks, the share of depth of the "
        "paper's 10 of 48, in the program's rule (block l-w/2 to l+w/2-1), not the text's",
        "sigma is that of all entries of the embedding; the program takes the subjects' alone",
        "effects are differences of probabilities, never ratios, and averages hide where single "
        "facts peak: the last chart counts them",
        f"{int((~figures.later).sum())} of {figures.facts} subjects begin the prompt, where this "
        "kind of model has its attention sink: noise there reaches every later token",
        f"intervals are bootstrapped over whole facts; they are of {subjects} relations and "
        "resemble each other, so that the intervals are if anything too narrow",
        "the facts were chosen as known by SmolLM2-135M-Instruct with more than 0.3, the paper's "
        "as known by GPT-2 XL at all: total effects are the larger for it",
        "where a state is found that brings an answer back does not say where to edit the fact "
        "(Hase et al. 2023, quoted from memory)",
    ]


def _arrays(figures: Figures) -> dict[str, np.ndarray]:
    """Everything that the claims rest on, float32 or int32, under the names of `Figures`."""
    names = ("p_clean", "p_corrupt", "hidden", "mlp", "attn", "severed_mlp", "severed_attn",
             "mismatched", "replaced", "elsewhere", "levels", "by_level")  # fmt: skip
    arrays = {name: getattr(figures, name).astype(np.float32) for name in names}
    whole = {
        name: getattr(figures, name).astype(np.int32) for name in ("argmax", "several", "later")
    }
    return {"layer": np.arange(figures.blocks, dtype=np.int32)} | arrays | whole
