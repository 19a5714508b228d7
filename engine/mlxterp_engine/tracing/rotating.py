"""Where the oldest key stands in a cache that overwrites its oldest row.

For blocks with a sliding window mlx-lm keeps the last keys in a ring: given one token alone,
it writes over the oldest. The kernel does not mind the order of its sources; positions do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.mlx_lm_file import mlx_lm_file

import mlx.core as mx

CACHES = mlx_lm_file("models.cache")


def oldest_row(caches: Iterable[Any] | None, k: mx.array) -> int:
    """The row of the oldest key in k [batch, kv_head, source, d], as the kernel was given it.

    0 where the keys stand in the order of their positions. BadInput where it can't be told.
    """
    rings = [cache for cache in _rings(caches) if cache.keys is not None]
    own = next((cache for cache in rings if cache.keys is k), None)
    if own is not None and not (own.keep and _has_wrapped(own)):
        return own._idx % k.shape[2] if _has_wrapped(own) else 0
    suspects = [own] if own else rings
    if any(_has_wrapped(cache) and _rows(cache) == k.shape[2] for cache in suspects):
        raise BadInput(
            f"the {k.shape[2]} keys in this sliding window's cache stand in an order of their own; "
            "take other sites than attn.k, attn.v and attn.pattern, or run without a cache"
        )
    return 0


def _rings(caches: Iterable[Any] | None) -> Iterator[Any]:
    for cache in caches or ():
        if isinstance(cache, CACHES.CacheList):
            yield from _rings(cache.caches)
        elif isinstance(cache, CACHES.RotatingKVCache):
            yield cache


def _has_wrapped(cache: Any) -> bool:
    """Whether it goes on writing in the middle: behind that stands the oldest row."""
    return cache._idx < min(cache.offset, _rows(cache))


def _rows(cache: Any) -> int:
    return 0 if cache.keys is None else cache.keys.shape[2]
