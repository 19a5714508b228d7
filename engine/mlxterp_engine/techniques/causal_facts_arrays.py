"""From traced facts to the arrays of a set: means by bucket, their spread, and single facts."""

from __future__ import annotations

from dataclasses import dataclass, field

from mlxterp_engine.bootstrap import Estimate, estimate
from mlxterp_engine.techniques.causal_facts_buckets import (
    BUCKETS,
    Span,
    bucketed,
    counts_of,
    histogram,
    interval_of_facts,
    largest,
    mean_of_facts,
    peaks,
    spread_of_facts,
)
from mlxterp_engine.techniques.causal_facts_known import ReadFact
from mlxterp_engine.techniques.causal_tracing_fact import Traced

import numpy as np

EFFECT = "_effect"

Arrays = dict[str, np.ndarray]


@dataclass(eq=False)
class Gathered:
    """The facts that are done. Of each map: effects [layer, bucket], and layer and bucket of the
    largest one before the prompt's last token."""

    facts: list[ReadFact] = field(default_factory=list)
    traced: list[Traced] = field(default_factory=list)
    effects: dict[str, list[np.ndarray]] = field(default_factory=dict)
    places: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def add(self, fact: ReadFact, found: Traced) -> None:
        self.facts.append(fact)
        self.traced.append(found)
        for name in found.maps:
            effect = found.mean(name) - np.float32(_mean(found.p_corrupt))
            self.effects.setdefault(name, []).append(bucketed(effect, span_of(fact)))
            self.places.setdefault(name, []).append(largest(effect, span_of(fact)))

    @property
    def p_clean(self) -> np.ndarray:
        """[fact]."""
        return np.array([found.p_clean for found in self.traced], np.float32)

    @property
    def p_corrupt(self) -> np.ndarray:
        """[fact], means over draws."""
        return np.array([_mean(found.p_corrupt) for found in self.traced], np.float32)

    @property
    def having(self) -> np.ndarray:
        """[fact, bucket]: whether a fact has such tokens."""
        return np.array([counts_of(span_of(fact)) for fact in self.facts]) > 0

    def mean(self, name: str) -> np.ndarray:
        """[layer, bucket]: the average indirect effect so far."""
        return mean_of_facts(np.stack(self.effects[name]), self.having)

    def total_effect(self, seed: int) -> Estimate:
        """The average total effect, p(answer) clean less that under noise, with its interval."""
        total = (self.p_clean - self.p_corrupt)[:, None].astype(np.float64)
        return estimate(lambda means: means[:, 0], total, np.ones(len(total)), seed)

    def arrays(self, seed: int) -> Arrays:
        """All of them; spreads and intervals where there are two facts at least."""
        arrays: Arrays = {
            "p_clean": _scalar(self.p_clean.mean()),
            "p_corrupt": _scalar(self.p_corrupt.mean()),
            "p_clean_facts": self.p_clean,
            "p_corrupt_facts": self.p_corrupt,
            **self._places(),
        }
        total = self.total_effect(seed)
        arrays["total_effect"] = _scalar(total.value)
        if len(self.facts) > 1:
            arrays["total_effect_low"] = _scalar(total.low)
            arrays["total_effect_high"] = _scalar(total.high)
        for name in self.effects:
            arrays |= self._of_map(name, seed)
        return arrays

    def _places(self) -> Arrays:
        """What each fact's positions are; int32."""
        spans = [span_of(fact) for fact in self.facts]
        return {
            "fact_subject_span": np.array([span[:2] for span in spans], np.int32),
            "fact_tokens": np.array([span.tokens for span in spans], np.int32),
            "fact_answer_id": np.array([fact.question.answer for fact in self.facts], np.int32),
            "bucket_tokens": np.array([counts_of(span) for span in spans], np.int32),
        }

    def _of_map(self, name: str, seed: int) -> Arrays:
        effects = np.stack(self.effects[name])
        argmax = np.array([peaks(effect) for effect in effects], np.int32)
        head = f"{name}{EFFECT}"
        arrays = {
            head: mean_of_facts(effects, self.having),
            f"{head}_facts": effects,
            f"{name}_argmax": argmax,
            f"{name}_argmax_count": histogram(argmax, effects.shape[1]),
            f"{name}_argmax_place": np.array(self.places[name], np.int32),
        }
        if len(effects) > 1:
            low, high = interval_of_facts(effects, self.having, seed)
            spread = spread_of_facts(effects, self.having)
            arrays |= {f"{head}_sd": spread, f"{head}_low": low, f"{head}_high": high}
        return arrays


def span_of(fact: ReadFact) -> Span:
    return Span(*fact.question.subject, len(fact.question.prompt.ids))


def absent(arrays: Arrays) -> int:
    """How many NaNs stand for buckets that a fact, or all facts but one, have no token in."""
    having = arrays["bucket_tokens"] > 0
    fewer_than = {head: having.sum(axis=0) < count for head, count in _LEAST.items()}
    total = 0
    for name, values in arrays.items():
        stem, _, kind = name.rpartition(EFFECT)
        if not stem or values.shape[-1:] != (len(BUCKETS),):
            continue
        lacking = ~having[:, None] if kind == "_facts" else fewer_than[kind]
        total += int((np.isnan(values) & lacking).sum())
    return total


_LEAST = {"": 1, "_sd": 2, "_low": 2, "_high": 2}
"""How many facts must have a bucket for the mean, its spread and its interval to be."""


def _mean(draws: np.ndarray) -> float:
    return float(draws.mean(dtype=np.float64))


def _scalar(value: float) -> np.ndarray:
    return np.array(value, np.float32)
