"""What the logit lens's card measures of each text, and the statistics that its claims rest on.

All statistics take pooled means [draw, row], where row 0 is the embeddings, row l + 1 is
`resid_post` of block l, and the last row is the model's own prediction; they give one figure a
draw.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlxterp_engine.bootstrap import pooled_means

import numpy as np

HALF = 0.5


@dataclass(frozen=True, eq=False)
class Figures:
    """Means over the positions of each text, its first left out, [text, row] unless said.

    tokens [text]: positions counted. kl: KL(final ‖ row), nats. agreement: the top token is the
    last row's. chance: it is the last row's of another position. echo: it is the token just
    read. mismatched: KL(final of another position ‖ row), nats. unigram_kl [text]: KL(final ‖
    mean prediction over the other texts), nats. bias [row], bits; bias_drawn [draw, row]; floor:
    the bias between two halves of the texts, bits. facts_from [fact]: the depth from which on a
    factual prompt's answer stays on top. last_row: the worst error of the contract lens_last_row.
    """

    tokens: np.ndarray
    kl: np.ndarray
    agreement: np.ndarray
    chance: np.ndarray
    echo: np.ndarray
    mismatched: np.ndarray
    unigram_kl: np.ndarray
    bias: np.ndarray
    bias_drawn: np.ndarray
    floor: float
    facts_from: np.ndarray
    last_row: float

    @property
    def blocks(self) -> int:
        return self.kl.shape[1] - 1

    def pooled(self, values: np.ndarray) -> np.ndarray:
        """[text, row] -> [row], over all tokens."""
        return pooled_means(np.ones((1, len(self.tokens))), values, self.tokens)[0]


def depth_of_agreement(agreement: np.ndarray) -> np.ndarray:
    """Depth (l + 1) / L of the first block from which on agreement stays above one half.

    1 where only the last block agrees, which it does by construction.
    """
    wrong = agreement[:, 1:] <= HALF
    blocks = wrong.shape[1]
    last_wrong = blocks - 1 - np.argmax(wrong[:, ::-1], axis=-1)
    first = np.where(wrong.any(axis=-1), last_wrong + 1, 0)
    return (first + 1) / blocks


def rank_correlation(values: np.ndarray) -> np.ndarray:
    """Spearman's ρ between depth and each draw's values, from the embeddings to the last."""
    ranks = np.argsort(np.argsort(values, axis=-1), axis=-1)
    rows = values.shape[1]
    squares = ((ranks - np.arange(rows)) ** 2).sum(axis=-1)
    return 1 - 6 * squares / (rows * (rows**2 - 1))


def echoing_share(echo: np.ndarray) -> np.ndarray:
    """Share of blocks, the last left out, whose top token is mostly the one just read."""
    return (echo[:, 1:-1] > HALF).mean(axis=-1)


def falling(kl: np.ndarray) -> np.ndarray:
    """The rank correlation of depth and KL before the last row."""
    return rank_correlation(kl[:, :-1])


def median_bias(bias: np.ndarray) -> np.ndarray:
    """The median over rows before the last: "in most layers" as one figure."""
    return np.median(bias[:, :-1], axis=-1)
