"""KL(final ‖ lens), nats, and its gradient: what a tuned lens is trained on and measured by.

Belrose et al. 2023 (arXiv 2303.08112), equation 9: the model's own distribution at a position
against what the lens reads off an earlier layer at the same position. With q = softmax(logits)
the gradient by the logits is q − p; through the unembedding (its norm, its head, and whatever
else the model has there) it goes back by MLX's vector-Jacobian product.

On a CPU the softmax is NumPy's, in place in the logits' memory and a few rows at a time, so that
the passes over a row stay in a core's cache; MLX's exp is scalar there. On a GPU all is MLX.
Only one chunk of tokens × vocabulary is held twice: the logits, and the final probabilities,
which all layers share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mlxterp_engine.backend import as_numpy

import mlx.core as mx
import numpy as np

Unembed = Callable[[mx.array], mx.array]

CHUNK_BYTES = 32 << 20  # of logits at once
ROWS_AT_A_TIME = 4  # 4 × 49 152 float32 = 0.8 MB


@dataclass(frozen=True, eq=False)
class Target:
    """The model's own distributions: probs [token, vocab]; negative_entropy [token], nats."""

    probs: mx.array
    negative_entropy: mx.array


@dataclass(frozen=True, eq=False)
class Measured:
    """By token: kl [token], KL(final ‖ lens), nats; loss [token], -log p of the token that
    follows, nats, NaN where none does; agrees [token], whether the likeliest token is the
    model's own.
    """

    kl: np.ndarray
    loss: np.ndarray
    agrees: np.ndarray


def chunks(tokens: int, vocab_size: int) -> Iterator[slice]:
    """All tokens, in equal parts whose logits fit into `CHUNK_BYTES`."""
    fits = max(1, CHUNK_BYTES // (4 * vocab_size))
    size = -(-tokens // -(-tokens // fits))
    for start in range(0, tokens, size):
        yield slice(start, min(start + size, tokens))


def target(unembed: Unembed, final: mx.array) -> Target:
    """What the lens is to say, from final states [token, d_model]."""
    logits = _logits(unembed, final)
    if _on_gpu():
        logs = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
        probs = mx.exp(logs)
        found = Target(probs, (probs * logs).sum(axis=-1))
        mx.eval(found.probs, found.negative_entropy)
        return found
    y = _memory(logits)
    negative_entropy = np.empty(len(y), np.float32)
    for rows in _few_rows(len(y)):
        shifted = y[rows] - y[rows].max(axis=-1, keepdims=True)
        e = np.exp(shifted)
        total = e.sum(axis=-1)
        negative_entropy[rows] = _row_dot(e, shifted) / total - np.log(total)
        np.divide(e, total[:, None], out=y[rows])
    return Target(logits, mx.array(negative_entropy))


def gradient(unembed: Unembed, states: mx.array, final: Target) -> tuple[np.ndarray, mx.array]:
    """KL of each translated state [token], and the gradient of their sum [token, d_model]."""
    logits = _logits(unembed, states)
    if _on_gpu():
        kl = _kl_on_device(logits, final)
        cotangent = mx.softmax(logits, axis=-1) - final.probs
    else:
        kl, _ = _softmax_in_place(_memory(logits), final)
        np.subtract(_memory(logits), as_numpy(final.probs), out=_memory(logits))
        cotangent = logits
    _, (back,) = mx.vjp(lambda x: [_float(unembed(x))], [states], [cotangent])
    mx.eval(back)
    return as_numpy(kl) if isinstance(kl, mx.array) else kl, back


def measure(unembed: Unembed, states: mx.array, final: Target, next_ids: np.ndarray) -> Measured:
    """What the lens says of each translated state [token, d_model]."""
    logits = _logits(unembed, states)
    has_next = next_ids >= 0
    followers = np.where(has_next, next_ids, 0)[:, None]
    if _on_gpu():
        kl = as_numpy(_kl_on_device(logits, final))
        top = as_numpy(logits.argmax(axis=-1))
        of_next = as_numpy(mx.take_along_axis(logits, mx.array(followers), axis=-1))[:, 0]
        log_sum_exp = as_numpy(mx.logsumexp(logits, axis=-1))
    else:
        y = _memory(logits)
        top = y.argmax(axis=-1)
        of_next = np.take_along_axis(y, followers, axis=-1)[:, 0]
        kl, log_sum_exp = _softmax_in_place(y, final)
    loss = np.where(has_next, log_sum_exp - of_next, np.nan).astype(np.float32)
    return Measured(kl, loss, top == _top(final))


def _softmax_in_place(y: np.ndarray, final: Target) -> tuple[np.ndarray, np.ndarray]:
    """Logits y [token, vocab] become their softmax. (KL(final ‖ softmax), log Σ exp) [token]."""
    probs = as_numpy(final.probs)
    kl, log_sum_exp = np.empty(len(y), np.float32), np.empty(len(y), np.float32)
    for rows in _few_rows(len(y)):
        part = y[rows]
        peak = part.max(axis=-1)
        part -= peak[:, None]
        cross = _row_dot(probs[rows], part)
        np.exp(part, out=part)
        total = part.sum(axis=-1)
        part /= total[:, None]
        kl[rows] = np.log(total) - cross
        log_sum_exp[rows] = peak + np.log(total)
    return kl + as_numpy(final.negative_entropy), log_sum_exp


def _kl_on_device(logits: mx.array, final: Target) -> mx.array:
    cross = (final.probs * logits).sum(axis=-1)
    return final.negative_entropy - cross + mx.logsumexp(logits, axis=-1)


def _top(final: Target) -> np.ndarray:
    return as_numpy(final.probs.argmax(axis=-1)) if _on_gpu() else as_numpy(final.probs).argmax(-1)


def _logits(unembed: Unembed, states: mx.array) -> mx.array:
    logits = _float(unembed(states))
    mx.eval(logits)
    return logits


def _float(x: mx.array) -> mx.array:
    return x.astype(mx.float32)


def _memory(array: mx.array) -> np.ndarray:
    """An evaluated array's own memory: what is written there is in the array."""
    return np.array(array, copy=False)


def _few_rows(count: int) -> Iterator[slice]:
    for start in range(0, count, ROWS_AT_A_TIME):
        yield slice(start, start + ROWS_AT_A_TIME)


def _row_dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[row] sums of products; each row alone, so that it does not depend on the others."""
    return np.array([np.dot(x, y) for x, y in zip(a, b, strict=True)], dtype=np.float32)


def _on_gpu() -> bool:
    return mx.default_device() == mx.gpu
