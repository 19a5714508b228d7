"""What a model expects after a prefix and a few more tokens, for many such endings at once.

The prefix is read once. Its keys and values serve every row where the model's caches hold each
token by itself; else each row is read whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.models.mlx_lm_file import mlx_lm_file
from mlxterp_engine.tracing import resume_cache

import mlx.core as mx
import numpy as np

make_prompt_cache = mlx_lm_file("models.cache").make_prompt_cache

BYTES_AT_ONCE = 64 << 20  # of logits


class AfterPrefix:
    """prefix: ids. After none nothing is expected: NaN."""

    def __init__(self, net: Any, prefix: Sequence[int], vocab: int) -> None:
        self._net = net
        self._prefix = list(prefix)
        self._caches: Sequence[Any] | None = None
        self._first = np.full(vocab, np.nan, np.float32)
        if self._prefix:
            self._read()

    def _read(self) -> None:
        caches = make_prompt_cache(self._net)
        if resume_cache.can_be_cut(caches):
            self._caches = caches
        logits = self._net(mx.array([self._prefix]), cache=caches)[:, -1]
        mx.eval(logits, [cache.state for cache in self._caches or ()])
        self._first = log_probs(as_numpy(logits))[0]

    def expected(self, endings: Sequence[Sequence[int]]) -> np.ndarray:
        """Log-probabilities in nats [ending, vocab] of what comes next; endings of one length."""
        if not len(endings[0]):
            return np.broadcast_to(self._first, (len(endings), len(self._first)))
        return np.concatenate([log_probs(self._logits(c)[:, -1]) for c in self._chunks(endings)])

    def log_prob(self, endings: Sequence[Sequence[int]]) -> np.ndarray:
        """[ending, pos]: of each token after what stands before it."""
        first = self._first[[ending[0] for ending in endings]][:, None]
        if len(endings[0]) == 1:
            return first
        rest = [self._of_the_rest(chunk) for chunk in self._chunks(endings)]
        return np.concatenate([first, np.concatenate(rest)], axis=1)

    def _of_the_rest(self, endings: Sequence[Sequence[int]]) -> np.ndarray:
        expected = log_probs(self._logits([ending[:-1] for ending in endings]))
        following = np.array([ending[1:] for ending in endings])
        return np.take_along_axis(expected, following[..., None], axis=2)[..., 0]

    def _logits(self, endings: Sequence[Sequence[int]]) -> np.ndarray:
        """[ending, pos, vocab], behind each token of the endings."""
        rows = [list(ending) for ending in endings]
        if self._caches is None:
            return as_numpy(
                self._net(mx.array([self._prefix + row for row in rows]))[:, -len(rows[0]) :]
            )
        cache = resume_cache.cut(self._caches, 0, len(self._prefix))
        return as_numpy(self._net(mx.array(rows), cache=cache))

    def _chunks(self, endings: Sequence[Sequence[int]]) -> list[Sequence[Sequence[int]]]:
        most = BYTES_AT_ONCE // (4 * len(self._first) * (len(endings[0]) + 1))
        size = max(1, most)
        return [endings[i : i + size] for i in range(0, len(endings), size)]


def log_probs(logits: np.ndarray) -> np.ndarray:
    """logits [..., vocab], float32 -> natural logarithms of their softmax."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
