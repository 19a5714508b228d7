"""How good a lens is on one text, layer by layer, against the model and against the text itself.

Counted are the tokens that have a next one and are not the first (an attention sink). What is kept
of a text's predictions is one mean distribution a layer, never tokens × layers × vocabulary.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.lenses.capture import capture
from mlxterp_engine.lenses.translators import Translators
from mlxterp_engine.reproductions.lens_marginals import log_of_mean, log_probs

import mlx.core as mx
import numpy as np

NOT_COUNTED = 2  # of a text's tokens: the first, and the last


@dataclass(frozen=True, eq=False)
class Seen:
    """A text as the model sees it. hidden: by row (embeddings, then blocks), [pos, d_model], the
    last block's left out. final: [pos, vocab], the model's own log probabilities. next_ids [pos].
    """

    hidden: list[mx.array]
    final: np.ndarray
    next_ids: np.ndarray

    @property
    def tokens(self) -> int:
        return len(self.next_ids)

    def translated(self, row: int, translators: Translators | None) -> mx.array:
        """Through a lens; None is the logit lens."""
        state = self.hidden[row]
        return state if translators is None else translators.translate(state, row - 1)


@dataclass(frozen=True, eq=False)
class Quality:
    """Means over a text's tokens. kl: KL(final ‖ lens); loss: -log p of the next token; entropy;
    all nats. agreement: the top token is the model's. Each [row]. log_mean [row, vocab]: log of
    the mean prediction."""

    kl: np.ndarray
    loss: np.ndarray
    entropy: np.ndarray
    agreement: np.ndarray
    log_mean: np.ndarray


def see(model: InterpretableModel, ids: Sequence[int]) -> Generator[None, None, Seen]:
    """One pass."""
    row = np.array([ids], dtype=np.int32)
    captured = yield from capture(model.net, model.anatomy, row)
    counted = slice(0, captured.tokens - 1)
    hidden = [state[counted] for state in captured.hidden]
    final = log_probs(model.unembed(captured.final[counted]))
    return Seen(hidden, final, captured.next_ids[counted])


def quality(
    model: InterpretableModel, seen: Seen, translators: Translators | None
) -> Generator[None, None, Quality]:
    """One unembedding a row; yields after each."""
    probs = np.exp(seen.final)
    top = seen.final.argmax(axis=-1)
    rows, vocab = len(seen.hidden), seen.final.shape[-1]
    means = np.empty((4, rows))
    log_mean = np.empty((rows, vocab), dtype=np.float32)
    for row in range(rows):
        logs = log_probs(model.unembed(seen.translated(row, translators)))
        means[:, row] = (
            expected(probs, seen.final - logs).mean(),
            loss(logs, seen.next_ids).mean(),
            -expected(np.exp(logs), logs).mean(),
            (logs.argmax(axis=-1) == top).mean(),
        )
        log_mean[row] = log_of_mean(logs)
        yield
    kl, of_next, entropy, agreement = means
    return Quality(kl, of_next, entropy, agreement, log_mean)


def expected(probs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Σ p v over the vocabulary: [pos, vocab] twice -> [pos]."""
    return np.einsum("pv,pv->p", probs, values)


def loss(logs: np.ndarray, next_ids: np.ndarray) -> np.ndarray:
    """-log p of what follows: [pos, vocab], [pos] -> [pos], nats."""
    return -np.take_along_axis(logs, next_ids[:, None], axis=-1)[:, 0]
