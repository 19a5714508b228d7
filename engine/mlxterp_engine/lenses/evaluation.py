"""How close lenses come to the model on held-out text, layer by layer.

Means over tokens, the first of each sequence left out: KL(final ‖ lens), the loss of the text's
own next token (its exponential is the perplexity), and how often the likeliest token is the
model's own. Several lenses are measured on the same states and final probabilities.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.corpora.sequences import unigram
from mlxterp_engine.lenses.capture import Captured, capture, groups
from mlxterp_engine.lenses.kl import Measured, Target, chunks, measure, target
from mlxterp_engine.lenses.translators import Translators
from mlxterp_engine.models.anatomy_parts import Anatomy

import numpy as np

Lenses = Mapping[str, Translators | None]
"""By name; None is the logit lens."""


@dataclass(frozen=True, eq=False)
class Means:
    """By layer, -1 to the last but one: kl, loss (nats) and agreement (0 to 1), each [layer]."""

    kl: np.ndarray
    loss: np.ndarray
    agreement: np.ndarray


@dataclass(frozen=True, eq=False)
class Evaluation:
    """by_lens: as they were named. kl_unigram: of the constant prediction. model_loss: nats."""

    by_lens: dict[str, Means]
    kl_unigram: float
    model_loss: float
    tokens: int


def smoothed_unigram(counts: np.ndarray) -> np.ndarray:
    """Log frequencies in nats [vocab] of tokens counted [vocab].

    Witten & Bell (1991): as much weight for the unseen as there are distinct tokens, spread evenly
    over the vocabulary. (One a token of the vocabulary would be half of all weight here.)
    """
    return unigram(counts, smoothing=max(1, np.count_nonzero(counts)) / len(counts))


def evaluate(
    net: Any, anatomy: Anatomy, ids: np.ndarray, lenses: Lenses, unigram_logs: np.ndarray
) -> Generator[None, None, Evaluation]:
    """ids: [sequence, pos]. Yields after each layer of each chunk, so that it can be stopped."""
    sums = _Sums({name: np.zeros((3, len(anatomy.blocks))) for name in lenses})
    for group in groups(ids):
        captured = yield from capture(net, anatomy, group)
        for part in chunks(captured.tokens, anatomy.vocab_size):
            yield from _one_chunk(anatomy, captured, part, lenses, unigram_logs, sums)
    return sums.means()


@dataclass(eq=False)
class _Sums:
    """Over tokens. by_lens: of kl, loss and agreement, [3, layer]."""

    by_lens: dict[str, np.ndarray]
    unigram: float = 0.0
    model_loss: float = 0.0
    tokens: int = 0
    followed: int = 0

    def means(self) -> Evaluation:
        each = np.array([[self.tokens], [self.followed], [self.tokens]])
        return Evaluation(
            {name: Means(*(rows / each)) for name, rows in self.by_lens.items()},
            self.unigram / self.tokens,
            self.model_loss / self.followed,
            self.tokens,
        )


def _one_chunk(
    anatomy: Anatomy,
    captured: Captured,
    part: slice,
    lenses: Lenses,
    unigram_logs: np.ndarray,
    sums: _Sums,
) -> Generator[None, None, None]:
    final = target(anatomy.unembed, captured.final[part])
    next_ids = captured.next_ids[part]
    yield
    sums.unigram += _kl_to_constant(final, unigram_logs)
    sums.model_loss += _summed(measure(anatomy.unembed, captured.final[part], final, next_ids))[1]
    sums.tokens += len(next_ids)
    sums.followed += int((next_ids >= 0).sum())
    for name, translators in lenses.items():
        for row, hidden in enumerate(captured.hidden):
            states = hidden[part]
            if translators is not None:
                states = translators.translate(states, row - 1)
            found = measure(anatomy.unembed, states, final, next_ids)
            sums.by_lens[name][:, row] += _summed(found)
            yield


def _summed(found: Measured) -> tuple[float, float, int]:
    loss = np.nansum(found.loss, dtype=np.float64)
    return float(found.kl.sum(dtype=np.float64)), float(loss), int(found.agrees.sum())


def _kl_to_constant(final: Target, logs: np.ndarray) -> float:
    """Summed over tokens."""
    cross = as_numpy(final.probs) @ logs.astype(np.float32)
    return float((as_numpy(final.negative_entropy) - cross).sum(dtype=np.float64))
