"""The lens's marginals: what each layer predicts on average, whatever the context.

Belrose et al. 2023 (arXiv 2303.08112, section on bias, figure 3): with p the mean over tokens of
the model's own distribution and q_l that of layer l's lens, the marginal bias of layer l is
KL(p ‖ q_l), in bits. It is 0 for a lens that is right on average, however little it knows of the
context. (That p is the first argument is quoted from memory.)

What is kept of a text is one distribution a layer, never tokens × layers × vocabulary. Logs are
kept: a mean probability of 1e-60 is no 0, and its logarithm is what the bias is made of.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import numpy as np

SKIPPED = 1  # the first position is an attention sink and stands for no text


@dataclass(frozen=True, eq=False)
class Marginals:
    """Of one text, its first position left out. Rows are the lens's: embeddings, then blocks.

    log_mean [row, vocab]: log of the mean probability over positions. mismatched [row]: mean
    KL(final of one position ‖ row of another, half a text away), nats: what the lens is worth
    when it answers for the wrong place. negative_entropy: mean Σ p log p of the model's own
    distributions, nats.
    """

    log_mean: np.ndarray
    mismatched: np.ndarray
    negative_entropy: float


def marginals(model: InterpretableModel, ids: Sequence[int]) -> Generator[int, None, Marginals]:
    """One forward pass and one unembedding a layer; yields the rows done after each."""
    sites = [Site("embed"), *(Site("resid_post", block) for block in range(model.card.layers))]
    result = model.run(ids, record=sites)
    states = mx.concatenate([result.sites[site] for site in sites])[:, SKIPPED:]
    mx.eval(states)
    final = log_probs(model.unembed(states[-1]))
    log_mean = np.empty((len(sites), final.shape[-1]), dtype=np.float32)
    mismatched = np.empty(len(sites), dtype=np.float32)
    probs = np.exp(final)
    negative_entropy = float((probs * final).sum(axis=-1).mean())
    for row in range(len(sites)):
        logs = log_probs(model.unembed(states[row]))
        log_mean[row] = log_of_mean(logs)
        mismatched[row] = negative_entropy - _cross(probs, np.roll(logs, len(logs) // 2, axis=0))
        yield row + 1
    return Marginals(log_mean, mismatched, negative_entropy)


def log_probs(logits: mx.array) -> np.ndarray:
    """[pos, vocab] -> the same, normalised: float32."""
    values = as_numpy(logits.astype(mx.float32))
    shifted = values - values.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def log_of_mean(logs: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """log of the mean of exp over the first axis, never underflowing: [n, vocab] -> [vocab].

    With weights [draw, n], each row summing to 1: -> [draw, vocab], float64.
    """
    peak = logs.max(axis=0)
    if weights is None:
        return peak + np.log(np.exp(logs - peak).mean(axis=0))
    return peak + np.log(weights @ np.exp((logs - peak).astype(np.float64)))


def bias(final: np.ndarray, of_row: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The marginal bias of a row in bits, for each weighting of the texts.

    final [draw, vocab]: `log_of_mean` of the last row under the same weights. of_row
    [text, vocab]; weights [draw, text], each row summing to 1. -> [draw].
    """
    return divergence(final, log_of_mean(of_row, weights))


def divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(p ‖ q) in bits from log probabilities [..., vocab] in nats."""
    return (np.exp(p) * (p - q)).sum(axis=-1) / np.log(2)


def between_halves(log_means: np.ndarray, tokens: np.ndarray) -> float:
    """KL between the mean predictions of every other text and of the rest, bits: what sampling
    alone makes. log_means [text, vocab]; tokens [text]."""
    halves = [np.where(np.arange(len(tokens)) % 2 == half, tokens, 0.0) for half in (0, 1)]
    even, odd = (log_of_mean(log_means, half[None] / half.sum())[0] for half in halves)
    return float(divergence(even, odd))


def unigram_kl(
    log_means: np.ndarray, negative_entropy: np.ndarray, tokens: np.ndarray
) -> np.ndarray:
    """Per text, mean KL(final ‖ unigram), nats: what knowing the average alone is worth.

    The unigram of a text is the model's mean prediction over all *other* texts, so that it does
    not know the one it is judged on. log_means [text, vocab] of the last row; [text] -> [text].
    """
    others = np.where(np.eye(len(tokens), dtype=bool), 0.0, tokens)
    unigrams = log_of_mean(log_means, others / others.sum(axis=-1, keepdims=True))
    return negative_entropy - (np.exp(log_means.astype(np.float64)) * unigrams).sum(axis=-1)


def _cross(probs: np.ndarray, logs: np.ndarray) -> float:
    """Mean over positions of Σ p log q."""
    return float(np.mean([np.dot(p, q) for p, q in zip(probs, logs, strict=True)]))
