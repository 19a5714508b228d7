"""What the tuned lens's card measures of each text, and the statistics that its claims rest on.

Row 0 of a lens is the embeddings, row l + 1 is `resid_post` of block l; the last block's output,
which has no translator, is left out. Statistics take pooled means [draw, …], one figure a draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlxterp_engine.bootstrap import pooled_means
from mlxterp_engine.reproductions.lens_transfer import apart, penalties
from mlxterp_engine.reproductions.rank_correlation import spearman

import numpy as np


@dataclass(frozen=True, eq=False)
class LensFigures:
    """A lens on the held-out texts, [text, row] unless said. kl, loss, entropy: nats, as in
    `lens_quality`. bias [row]: bits. kl_training [row]: on texts that it was fitted to; NaN for
    the logit lens, which is fitted to none. facts_from [fact]: the depth from which on a factual
    prompt's answer stays on top."""

    kl: np.ndarray
    loss: np.ndarray
    entropy: np.ndarray
    agreement: np.ndarray
    bias: np.ndarray
    kl_training: np.ndarray
    facts_from: np.ndarray


@dataclass(frozen=True, eq=False)
class Transfer:
    """losses [text, translator, states], nats; tokens [text]; rows: which of the lens's."""

    losses: np.ndarray
    tokens: np.ndarray
    rows: Sequence[int]


@dataclass(frozen=True, eq=False)
class Fidelity:
    """Of one row's directions: influences [text, direction] in nats on the tuned lens, on the
    logit lens, and on the model; tokens [text]; spread, information, rank [direction], as in
    `causal_fidelity`. random_lens, random_model: of random directions, as many."""

    row: int
    on_lens: np.ndarray
    on_logit_lens: np.ndarray
    on_model: np.ndarray
    tokens: np.ndarray
    spread: np.ndarray
    information: np.ndarray
    rank: np.ndarray
    random_lens: np.ndarray
    random_model: np.ndarray


@dataclass(frozen=True, eq=False)
class Figures:
    """tokens [text]. model_loss, model_entropy, unigram_kl, unigram_loss [text]: nats.
    bias_ratio_drawn [draw, row]: tuned over logit. floor: the bias between two halves of the
    texts, bits. training_tokens: that both lenses were fitted to. train_loss [step, row]: the
    tuned lens's, nats.
    """

    tokens: np.ndarray
    logit: LensFigures
    ridge: LensFigures
    tuned: LensFigures
    model_loss: np.ndarray
    model_entropy: np.ndarray
    unigram_kl: np.ndarray
    unigram_loss: np.ndarray
    bias_ratio_drawn: np.ndarray
    floor: float
    transfer: Transfer
    fidelity: Fidelity
    training_tokens: int
    train_loss: np.ndarray

    @property
    def rows(self) -> int:
        return self.tuned.kl.shape[1]

    @property
    def lenses(self) -> dict[str, LensFigures]:
        return {"logit": self.logit, "ridge": self.ridge, "tuned": self.tuned}

    def pooled(self, values: np.ndarray) -> np.ndarray:
        """[text, …] -> […], over all tokens."""
        flat = values.reshape(len(values), -1)
        pooled = pooled_means(np.ones((1, len(values))), flat, self.tokens)[0]
        return pooled.reshape(values.shape[1:])


def share_below(both: np.ndarray) -> np.ndarray:
    """Two lenses' losses side by side, [draw, 2 × row]: the share of rows where the first is
    less."""
    first, second = np.split(both, 2, axis=-1)
    return (first < second).mean(axis=-1)


def falling(loss: np.ndarray) -> np.ndarray:
    """Spearman's ρ of depth and loss: -1 when it falls from row to row, [draw, row] -> [draw]."""
    return spearman(loss, np.arange(loss.shape[-1]))


def median_ratio(ratio: np.ndarray) -> np.ndarray:
    """[draw, row] -> [draw]: "in most layers" as one figure."""
    return np.median(ratio, axis=-1)


def farther_is_worse(losses: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """Spearman's ρ of distance and penalty over all pairs of different layers.

    losses [draw, translator × states] -> [draw].
    """
    square = losses.reshape(len(losses), len(rows), len(rows))
    off = ~np.eye(len(rows), dtype=bool)
    return spearman(penalties(square)[:, off], apart(rows)[off])


def agreement_of_influences(both: np.ndarray) -> np.ndarray:
    """Spearman's ρ of two influences, side by side [draw, 2 × direction] -> [draw]."""
    first, second = np.split(both, 2, axis=-1)
    return spearman(first, second)


def side_by_side(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.concatenate([first, second], axis=-1)
