"""Vectors added to the embeddings of some tokens: what makes a run a corrupted one.

The causal tracing of Meng et al. 2022 (arXiv 2202.05262) corrupts by noise, and not by other words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlxterp_engine.tracing.interventions import Edit, Operation
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx


@dataclass(frozen=True, eq=False)
class Added:
    """values: [pos, d_model], added to the embeddings of the tokens from `first` on.

    Or [row, pos, d_model], to each row of a batch its own.
    """

    first: int
    values: mx.array

    @property
    def end(self) -> int:
        """The position behind the last one."""
        return self.first + self.values.shape[-2]

    def to_all(self) -> Edit:
        """In every row of a batch."""
        return Edit(Site("embed"), _Adding(self, None), (slice(self.first, self.end),))

    def to_row(self, row: int) -> Edit:
        return Edit(Site("embed"), _Adding(self, row), (slice(self.first, self.end),))


@dataclass(frozen=True, eq=False)
class _Adding:
    """Of a call that has only the last of the tokens, the last of the values."""

    added: Added
    row: int | None

    def __call__(self, x: mx.array) -> mx.array:
        return self.at(range(self.added.first, self.added.end))(x)

    def at(self, positions: Sequence[int]) -> Operation:
        rows = mx.array([position - self.added.first for position in positions])
        values = self.added.values[..., rows, :]
        if self.row is None:
            return lambda x: x + values.astype(x.dtype)

        def add(x: mx.array) -> mx.array:
            x = mx.array(x)
            x[self.row] = x[self.row] + values.astype(x.dtype)
            return x

        return add
