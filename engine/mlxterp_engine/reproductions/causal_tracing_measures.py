"""What the card of causal tracing measures beside the traces themselves, all at one place of each
fact: the last subject token.

Severed: figure 3 of Meng et al. 2022. Mismatched: the same states of a fact with another answer
given back, so that what any clean state brings is told from what this subject's brings.
Replaced: symmetric token replacement, another subject of as many tokens in place of noise, as Zhang
& Nanda 2024 (arXiv 2309.16042) advise; noise takes a model out of what it has ever read. Elsewhere:
the same noise on as many tokens that are not the subject's.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from mlxterp_engine.experiments.alignment import Span
from mlxterp_engine.experiments.causal_tracing import SEVERED, Sever
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.causal_facts import Noise
from mlxterp_engine.techniques.causal_facts_known import ReadFact
from mlxterp_engine.techniques.causal_tracing_cells import Options, Restorations, Restored
from mlxterp_engine.techniques.causal_tracing_checks import Checks
from mlxterp_engine.techniques.causal_tracing_fact import (
    NoisedRun,
    finite,
    forgotten,
    noised_run,
)
from mlxterp_engine.techniques.causal_tracing_subject import Question
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.resume import two_runs
from mlxterp_engine.tracing.sites import Site
from mlxterp_engine.vocabulary import probability_of

import mlx.core as mx
import numpy as np

SEVERED_PARTS: tuple[Sever, ...] = ("mlp", "attn")


@dataclass(frozen=True, eq=False)
class Measured:
    """Of one fact: effects on p(answer), [layer], at the last subject token; means over draws.

    None: no other fact is fit to be its mismatch, none has a subject to replace this one's by, or
    there are not as many tokens beside the subject.
    """

    severed_mlp: np.ndarray
    severed_attn: np.ndarray
    mismatched: np.ndarray | None
    replaced: np.ndarray | None
    elsewhere: float | None


class Measuring:
    """The facts of a card together: each one's controls are taken from another's."""

    def __init__(
        self, model: InterpretableModel, facts: Sequence[ReadFact], noise: Noise, options: Options
    ) -> None:
        self._model = model
        self._facts = facts
        self.noise = noise
        self.options = options
        plain = replace(options, sever="none", maps=("hidden",))
        self._whole = Restorations(model.anatomy, model.sites, plain)
        self._severed = {
            part: Restorations(model.anatomy, model.sites, replace(options, sever=part, maps=()))
            for part in SEVERED_PARTS
        }
        self._states: dict[int, dict[Site, mx.array]] = {}

    @property
    def evaluations(self) -> int:
        """How often `of` yields for all facts, at most."""
        return len(self._facts) * (1 + (1 + len(SEVERED_PARTS) + 1) * self.noise.samples)

    def of(self, number: int) -> Generator[None, None, Measured]:
        """Everything of one fact; yields after each evaluation."""
        fact, other = self._facts[number], self._other_answer(number)
        replaced, elsewhere = self._replaced(number), self._elsewhere(fact)
        yield
        severed: dict[Sever, list[np.ndarray]] = {part: [] for part in SEVERED_PARTS}
        mismatched: list[np.ndarray] = []
        for draw in self.noise.of(fact):
            run = noised_run(self._model, fact.question, draw, self._recorded)
            yield
            for part, found in severed.items():
                found.append(self._without(run, part))
                yield
            if other is not None:
                mismatched.append(self._given(run, self._state_of(other)))
                yield
        return Measured(
            np.mean(severed["mlp"], axis=0),
            np.mean(severed["attn"], axis=0),
            np.mean(mismatched, axis=0) if mismatched else None,
            replaced,
            elsewhere,
        )

    # One draw.

    def _without(self, run: NoisedRun, part: Sever) -> np.ndarray:
        """Effects of the hidden states with a part severed."""
        last = run.question.subject[1] - 1
        return self._effects(run, self._severed[part].column(SEVERED, last))

    def _given(self, run: NoisedRun, states: dict[Site, mx.array]) -> np.ndarray:
        """Effects where another fact's states [1, d_model] are given instead of this one's."""
        last = run.question.subject[1] - 1
        source = {site: _with_row(run.runs.source[site], last, own) for site, own in states.items()}
        runs = replace(run.runs, source={**run.runs.source, **source})
        return self._effects(replace(run, runs=runs), self._whole.column("hidden", last))

    def _effects(self, run: NoisedRun, column: Sequence[Restored]) -> np.ndarray:
        """[layer]; NaN where the model lacks the site."""
        effects = np.full(self._model.sites.blocks, np.nan)
        patches = [cell.patch for cell in column]
        p = run.probabilities(patches, Checks(self._model))
        effects[[cell.layer for cell in column]] = p.astype(np.float64) - run.p_corrupt
        return effects

    @property
    def _recorded(self) -> list[Site]:
        """Every site that is read from, in either run."""
        maps = [
            (self._whole, "hidden"),
            *((self._severed[part], SEVERED) for part in SEVERED_PARTS),
        ]
        return list(dict.fromkeys(site for own, name in maps for site in own.sites_of(name)))

    # Other facts.

    def _others(self, number: int) -> list[int]:
        """The facts after this one, around the end, that have another answer."""
        count, answer = len(self._facts), self._facts[number].question.answer
        around = ((number + step) % count for step in range(1, count))
        return [i for i in around if self._facts[i].question.answer != answer]

    def _other_answer(self, number: int) -> int | None:
        return next(iter(self._others(number)), None)

    def _state_of(self, number: int) -> dict[Site, mx.array]:
        """A fact's clean states at its last subject token, [1, d_model] of each site."""
        if number not in self._states:
            question = self._facts[number].question
            sites = self._whole.sites_of("hidden")
            ids = mx.array([question.prompt.ids])
            found = forward(self._model.net, self._model.anatomy, ids, sites).sites
            last = question.subject[1] - 1
            self._states[number] = {site: found[site][:, last] for site in sites}
            mx.eval(list(self._states[number].values()))
        return self._states[number]

    def _replaced(self, number: int) -> np.ndarray | None:
        """Effects of this fact's own states where another's subject stands in the prompt."""
        question = self._facts[number].question
        swaps = (self._swapped(self._facts[number], self._facts[i]) for i in self._others(number))
        ids = next((ids for ids in swaps if ids is not None), None)
        if ids is None:
            return None
        model, method = self._model, self._model.resumption.method
        record = self._whole.sites_of("hidden")
        runs = two_runs(model.net, model.anatomy, ids, question.prompt.ids, record, method)
        p = finite(probability_of(runs.logits, question.answer))
        run = NoisedRun(model, question, method, runs, float(p[0]), float(p[1]))
        return self._effects(run, self._whole.column("hidden", question.subject[1] - 1))

    def _swapped(self, fact: ReadFact, other: ReadFact) -> list[int] | None:
        """The prompt's ids with the other's subject; None unless all else stays where it is."""
        ids, (start, stop) = fact.question.prompt.ids, fact.question.subject
        text = fact.fact.prompt.replace(fact.fact.subject, other.fact.subject, 1)
        found = self._model.tokens.encode(text)
        same = found[:start] == ids[:start] and found[stop:] == ids[stop:]
        return found if same and len(found) == len(ids) and found != ids else None

    def _elsewhere(self, fact: ReadFact) -> float | None:
        """The total effect of the subject's noise on other tokens."""
        span = beside(fact.question)
        if span is None:
            return None
        moved = replace(fact.question, subject=span)
        clean, noised = forgotten(self._model, moved, self.noise.of(fact))
        return clean - float(noised.mean(dtype=np.float64))


def beside(question: Question) -> Span | None:
    """As many tokens as the subject's, just behind it and before the last, or else before it."""
    start, stop = question.subject
    count = stop - start
    if stop + count <= len(question.prompt.ids) - 1:
        return stop, stop + count
    return (start - count, start) if start >= count else None


def _with_row(values: mx.array, position: int, row: mx.array) -> mx.array:
    """[1, pos, d_model] with another state [1, d_model] at this position."""
    values = mx.array(values)
    values[:, position] = row.astype(values.dtype)
    return values
