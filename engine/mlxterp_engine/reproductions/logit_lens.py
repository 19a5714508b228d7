"""The logit lens's card: what is run, and how its figures come out of it.

Held-out passages of the built-in corpus and a few factual prompts each go through the experiment
`logit-lens`, as anybody would run it. What its arrays can't say, each layer's mean distribution,
comes from one more pass over the same passages (`lens_marginals`). The first position of each
passage is left out of every mean: it is an attention sink.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mlxterp_engine.bootstrap import resamples
from mlxterp_engine.corpora.builtin import builtin
from mlxterp_engine.corpora.passages import fitting, passages
from mlxterp_engine.experiments import BadInput, LogitLens, LogitLensRow, Price, Result, Step
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.reproductions import lens_marginals
from mlxterp_engine.reproductions.claiming import Setting
from mlxterp_engine.reproductions.frame import (
    Perform,
    Reproduced,
    Tally,
    blocked_by,
    driven,
    faults,
)
from mlxterp_engine.reproductions.lens_marginals import SKIPPED, Marginals, marginals
from mlxterp_engine.reproductions.logit_lens_claims import SENTENCES, claims, curves
from mlxterp_engine.reproductions.logit_lens_figures import Figures
from mlxterp_engine.techniques import logit_lens as technique
from mlxterp_engine.techniques.findings import Prompted
from mlxterp_engine.techniques.npz import to_numpy
from mlxterp_engine.worker.tasks import Reproduce

import numpy as np

BIAS_DRAWS = 500  # each costs a logarithm of the whole vocabulary a layer; the others draw 10 000
DRAWS_AT_ONCE = 50
LEAST_POSITIONS = 4  # of a passage: fewer say nothing

FACTS = (
    "The capital of France is",
    "The capital of Japan is the city of",
    "The Eiffel Tower is in the city of",
    "The largest planet in the solar system is",
    "Water is made of hydrogen and",
    "The opposite of hot is",
    "The first president of the United States was George",
    "The days of the week are Monday, Tuesday,",
)


class Size(NamedTuple):
    texts: int
    tokens: int


FULL = Size(texts=32, tokens=64)
FAST = Size(texts=8, tokens=32)


@dataclass(frozen=True)
class Plan:
    """passages, facts: what is run, as requests and as the model reads them."""

    passages: list[LogitLens]
    passage_ids: list[list[int]]
    facts: list[LogitLens]
    fact_ids: list[list[int]]
    data: str
    seed: int


def expected() -> list[str]:
    """The claims, as the papers make them."""
    return list(SENTENCES.values())


def plan(model: InterpretableModel, task: Reproduce) -> Plan:
    """Which texts, cut to the model's own tokens."""
    size = FAST if task.fast else FULL
    tokens = min(size.tokens, model.card.context or size.tokens)
    corpus = builtin()
    cut = [
        fitting(found.text, tokens, lambda text: len(model.tokens.encode(text)))
        for found in passages(corpus.held_out, size.texts, task.seed)
    ]
    ids = [model.tokens.encode(text) for text in cut]
    long_enough = [place for place, one in enumerate(ids) if len(one) >= LEAST_POSITIONS]
    if len(long_enough) < 2:
        raise BadInput(
            f"{model.card.reference} reads {tokens} tokens at most and the passages need "
            f"{LEAST_POSITIONS}; a model with a longer context is needed"
        )
    return Plan(
        [_request(task, cut[place]) for place in long_enough],
        [ids[place] for place in long_enough],
        [_request(task, text) for text in FACTS],
        [model.tokens.encode(text) for text in FACTS],
        f"{len(long_enough)} passages of up to {tokens} tokens, no two overlapping, from "
        f"{corpus.description}; sha256 {corpus.sha256[:12]}; {len(FACTS)} factual prompts as a "
        "control. The first token of a passage is left out of all means",
        task.seed,
    )


def price(model: InterpretableModel, plan: Plan) -> Price:
    """The lens of each text, a second pass over each passage, and the bootstrap's logarithms."""
    prices = [
        technique.price(model, request, [Prompted(ids, [])])
        for request, ids in zip(_requests(plan), plan.passage_ids + plan.fact_ids, strict=True)
    ]
    again = prices[: len(plan.passages)]
    kept = 2 * len(again) * (model.card.layers + 1) * model.card.vocab_size * 4  # and stacked
    drawn = 6 * DRAWS_AT_ONCE * model.card.vocab_size * 8
    logarithms = 1e-8 * BIAS_DRAWS * (model.card.layers + 1) * model.card.vocab_size
    return Price(
        sum(one.passes for one in prices + again),
        sum(one.seconds for one in prices + again) + logarithms,
        max(one.bytes for one in prices) + kept + drawn,
    )


def make(
    model: InterpretableModel, plan: Plan, perform: Perform
) -> Generator[Step, None, Reproduced]:
    """The runs, the marginals, the bootstrap, and then the claims."""
    rows = model.card.layers + 1
    tally = Tally(rows * (2 * len(plan.passages) + len(plan.facts)) + BIAS_DRAWS + 1)
    results = yield from _lenses(_requests(plan), perform, tally)
    seen = yield from _marginals(model, plan, tally)
    log_means = np.stack([one.log_mean for one in seen])
    tokens = np.array([len(ids) - SKIPPED for ids in plan.passage_ids], dtype=np.float64)
    bias, drawn = yield from _bias(log_means, tokens, plan.seed, tally)
    passages, facts = results[: len(plan.passages)], results[len(plan.passages) :]
    figures = _figures(passages, facts, seen, log_means, tokens, bias, drawn)
    setting = Setting(model.card.reference, model.card.tied, plan.seed, blocked_by(faults(results)))
    return Reproduced(
        claims(figures, setting),
        _arrays(figures),
        curves(figures),
        plan.data,
        len(passages),
        int(tokens.sum()),
        [
            "block l is `resid_post` of block l, through the final norm, its statistics recomputed "
            "on each state, and the model's own unembedding",
            "intervals are percentile bootstraps over whole passages; passages of one topic "
            "resemble each other, so they are if anything too narrow",
            "a draw holds fewer different passages than there are, which by itself raises the "
            "bias: its interval lies rather high",
            f"the bias's interval is from {BIAS_DRAWS} draws, the others' from 10000",
        ],
    )


def _request(task: Reproduce, text: str) -> LogitLens:
    return LogitLens(
        prompt=text,
        top_k=1,
        model=task.model,
        seed=task.seed,
        device=task.device,
        dtype=task.dtype,
    )


def _requests(plan: Plan) -> list[LogitLens]:
    return [*plan.passages, *plan.facts]


def _lenses(
    requests: Sequence[LogitLens], perform: Perform, tally: Tally
) -> Generator[Step, None, list[Result]]:
    results = []
    what = f"the lens of {len(requests)} texts"
    for request in requests:
        results.append((yield from driven(perform(request), tally, what, _is_row)))
    return results


def _is_row(part: object) -> float:
    return float(isinstance(part, LogitLensRow))


def _marginals(
    model: InterpretableModel, plan: Plan, tally: Tally
) -> Generator[Step, None, list[Marginals]]:
    seen = []
    what = f"mean predictions over {len(plan.passage_ids)} texts"
    for ids in plan.passage_ids:
        seen.append((yield from driven(marginals(model, ids), tally, what)))
    return seen


def _bias(
    log_means: np.ndarray, tokens: np.ndarray, seed: int, tally: Tally
) -> Generator[Step, None, tuple[np.ndarray, np.ndarray]]:
    """[row] and [draw, row]: the marginal bias of each layer, in bits, as it is and resampled."""
    counts = np.vstack([np.ones(len(tokens)), resamples(len(tokens), BIAS_DRAWS, seed)]) * tokens
    weights = counts / counts.sum(axis=-1, keepdims=True)
    draws, rows = len(weights), log_means.shape[1]
    found = np.empty((draws, rows))
    for start in range(0, draws, DRAWS_AT_ONCE):
        here = slice(start, start + DRAWS_AT_ONCE)
        final = lens_marginals.log_of_mean(log_means[:, -1], weights[here])
        for row in range(rows):
            found[here, row] = lens_marginals.bias(final, log_means[:, row], weights[here])
            yield tally.step("the bootstrap of the bias", len(final) / rows)
    return found[0], found[1:]


def _figures(
    passages: Sequence[Result],
    facts: Sequence[Result],
    seen: Sequence[Marginals],
    log_means: np.ndarray,
    tokens: np.ndarray,
    bias: np.ndarray,
    bias_drawn: np.ndarray,
) -> Figures:
    measured = [_of_passage(result) for result in passages]
    together = {name: np.stack([one[name] for one in measured]) for name in measured[0]}
    negative_entropy = np.array([one.negative_entropy for one in seen])
    return Figures(
        tokens=tokens,
        mismatched=np.stack([one.mismatched for one in seen]),
        unigram_kl=lens_marginals.unigram_kl(log_means[:, -1], negative_entropy, tokens),
        bias=bias,
        bias_drawn=bias_drawn,
        floor=lens_marginals.between_halves(log_means[:, -1], tokens),
        facts_from=np.array([answer_stays_from(result) for result in facts]),
        last_row=max(r.meta.contracts["lens_last_row"].error for r in [*passages, *facts]),
        **together,
    )


def _of_passage(result: Result) -> dict[str, np.ndarray]:
    """Means over positions, the first left out: each [row]."""
    arrays = {name: to_numpy(array) for name, array in result.arrays.items()}
    ids, kl, rank = (arrays[name][..., SKIPPED:] for name in ("token_ids", "kl", "final_rank"))
    top = arrays["top_ids"][:, SKIPPED:, 0]
    elsewhere = np.roll(top[-1], top.shape[1] // 2)
    return {
        "kl": kl.mean(axis=-1, dtype=np.float64),
        "agreement": (rank == 0).mean(axis=-1),
        "chance": (top == elsewhere).mean(axis=-1),
        "echo": (top == ids).mean(axis=-1),
    }


def answer_stays_from(result: Result) -> float:
    """The depth from which on the last position's top token is the final one."""
    ranks = to_numpy(result.arrays["final_rank"])[:, -1]
    wrong = np.flatnonzero(ranks[:-1] != 0)
    return float((wrong[-1] + 1 if len(wrong) else 0) / (len(ranks) - 1))


def _arrays(figures: Figures) -> dict[str, np.ndarray]:
    """Everything that the claims rest on, float32, under the names of `Figures`."""
    names = ("tokens", "kl", "agreement", "chance", "echo", "mismatched", "unigram_kl", "bias",
             "bias_drawn", "facts_from")  # fmt: skip
    arrays = {name: getattr(figures, name).astype(np.float32) for name in names}
    return {"layer": np.arange(-1, figures.blocks, dtype=np.int32)} | arrays
