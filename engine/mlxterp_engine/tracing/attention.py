"""The attention pattern that the fused kernel does not show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlx.core as mx


@dataclass(frozen=True, eq=False)
class Kernel:
    """One call of the attention kernel.

    q [batch, head, pos, d_head]; k, v [batch, kv_head, source, d_head]; mask: None, "causal",
    booleans (True = may be read) or additive, broadcast to [batch, head, pos, source];
    sinks [head]: a logit per head that takes mass and gives no value.
    """

    q: mx.array
    k: mx.array
    v: mx.array
    scale: float
    mask: mx.array | str | None = None
    sinks: mx.array | None = None

    @classmethod
    def from_call(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Kernel:
        q, k, v = args[:3]
        return cls(q, k, v, kwargs["scale"], kwargs.get("mask"), kwargs.get("sinks"))

    def pattern(self) -> mx.array:
        """softmax(q k^T · scale + mask): [batch, head, destination, source].

        Query head h reads key-value head h // (heads / kv_heads).
        """
        keys = per_query_head(self.k, self.q.shape[1])
        scores = (self.q * self.scale) @ keys.swapaxes(-1, -2)
        scores = _masked(scores, self.mask)
        if self.sinks is None:
            return mx.softmax(scores, axis=-1, precise=True)
        sinks = mx.broadcast_to(self.sinks[:, None, None], (*scores.shape[:-1], 1))
        widened = mx.concatenate([sinks.astype(scores.dtype), scores], axis=-1)
        return mx.softmax(widened, axis=-1, precise=True)[..., 1:]

    def read(self, pattern: mx.array) -> mx.array:
        """pattern · v: [batch, head, pos, d_head]."""
        return pattern @ per_query_head(self.v, self.q.shape[1])


def per_query_head(x: mx.array, heads: int) -> mx.array:
    """[batch, kv_head, ...] -> [batch, head, ...]: each key-value head once per query head."""
    return mx.repeat(x, heads // x.shape[1], axis=1)


def as_heads(x: mx.array, heads: int) -> mx.array:
    """[batch, pos, head · d] -> [batch, head, pos, d]."""
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


def from_heads(x: mx.array) -> mx.array:
    """[batch, head, pos, d] -> [batch, pos, head · d]."""
    return x.swapaxes(1, 2).flatten(2)


def _masked(scores: mx.array, mask: mx.array | str | None) -> mx.array:
    if mask is None:
        return scores
    if isinstance(mask, str):
        destinations, sources = scores.shape[-2:]
        mask = mx.arange(sources - destinations, sources)[:, None] >= mx.arange(sources)[None]
    if mask.dtype == mx.bool_:
        return mx.where(mask, scores, mx.array(-mx.inf, dtype=scores.dtype))
    return scores + mask
