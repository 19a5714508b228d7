"""Key-value caches that stand at a chosen position, and serve any number of rows.

A pass over a whole prompt leaves its keys and values in mlx-lm's caches. Cut at position p they
are what a run holds that has read p tokens; every row of a batch reads the same ones.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from mlxterp_engine.models.mlx_lm_file import mlx_lm_file

import mlx.core as mx

CACHES = mlx_lm_file("models.cache")


def can_be_cut(caches: Sequence[Any]) -> bool:
    """Whether every cache keeps each token's keys by themselves. States of recurrences don't."""
    return all(_can_be_cut(cache) for cache in caches)


def _can_be_cut(cache: Any) -> bool:
    if type(cache) is CACHES.CacheList:
        return can_be_cut(cache.caches)
    if type(cache) is CACHES.RotatingKVCache:
        return cache.keep == 0
    return type(cache) is CACHES.KVCache


def cut(caches: Sequence[Any], row: int, length: int) -> list[Any]:
    """Caches that hold the first `length` tokens of one row; made anew for each pass.

    caches: as one pass over a whole prompt, from empty, left them.
    """
    return [_cut(cache, row, length) for cache in caches]


def _cut(cache: Any, row: int, length: int) -> Any:
    if type(cache) is CACHES.CacheList:
        return CACHES.CacheList(*(_cut(inner, row, length) for inner in cache.caches))
    made = copy.copy(cache)
    if cache.keys is None:  # blocks that read another one's cache
        return made
    made.__class__ = _SHARED[type(cache)]
    made.keys = cache.keys[row : row + 1, :, :length]
    made.values = cache.values[row : row + 1, :, :length]
    made.offset = length
    if isinstance(made, CACHES.RotatingKVCache):
        made._idx = length
    return made


class _Shared(CACHES.KVCache):
    """Hands out what it holds to every row, and the new keys behind it."""

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        rows = keys.shape[0]
        self.keys = mx.concatenate([_for_rows(self.keys, rows), keys], axis=2)
        self.values = mx.concatenate([_for_rows(self.values, rows), values], axis=2)
        self.offset += keys.shape[2]
        return self.keys, self.values


class _SharedRing(CACHES.RotatingKVCache):
    """A sliding window's, the same."""

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        self.keys = _for_rows(self.keys, keys.shape[0])
        self.values = _for_rows(self.values, keys.shape[0])
        return super().update_and_fetch(keys, values)


_SHARED = {CACHES.KVCache: _Shared, CACHES.RotatingKVCache: _SharedRing}


def _for_rows(x: mx.array, rows: int) -> mx.array:
    return mx.broadcast_to(x, (rows, *x.shape[1:]))
