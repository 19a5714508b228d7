"""One map of a patching run: rows of cells with a value each, and what its axes are. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from mlxterp_engine.experiments import Array

Columns = Literal["position", "head", "group", "bucket", "neuron"]
Measure = Literal["effect", "probability", "gain", "spread", "count"]

Value = float | None  # None while it is not known, NaN where it failed
Row = tuple[Value, ...]


class At(NamedTuple):
    """A cell of a map, counted from 0 in the order of the data."""

    row: int
    column: int


@dataclass(frozen=True)
class PatchMap:
    """rows: labels of the blocks, of heads or neurons where the map is of one `block`, and of one
    `position`. columns: of tokens,
    heads, groups of heads that share a key-value head, parts of a prompt, or neurons.

    values: [row, column]. measure: effect, a share of the way between both ends; probability of
    the answer; gain, that less the one under noise; the spread of these; or a count of facts.
    missing: cells that the model has not: no block is there
    that could be patched, or no token.
    """

    name: str
    kind: Columns
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[Row, ...]
    measure: Measure = "effect"
    block: int | None = None
    position: int | None = None
    missing: frozenset[At] = frozenset()

    @classmethod
    def unknown(
        cls,
        name: str,
        kind: Columns,
        rows: Sequence[str],
        columns: Sequence[str],
        measure: Measure = "effect",
        block: int | None = None,
        position: int | None = None,
    ) -> PatchMap:
        """Nothing of it is known yet."""
        empty: Row = (None,) * len(columns)
        return cls(
            name, kind, tuple(rows), tuple(columns), (empty,) * len(rows), measure, block, position
        )

    def with_cells(self, rows: Sequence[int], at: Sequence[int], values: Array) -> PatchMap:
        """values: [row, column] of these rows and columns."""
        read = values.values
        return self.with_each(
            {(r, c): float(read[i, j]) for i, r in enumerate(rows) for j, c in enumerate(at)}
        )

    def with_values(self, values: Sequence[Sequence[Value]]) -> PatchMap:
        """All of them at once."""
        return replace(self, values=tuple(tuple(row) for row in values))

    def with_each(self, cells: Mapping[tuple[int, int], float]) -> PatchMap:
        """Cells by (row, column)."""
        changed = [list(row) for row in self.values]
        for (row, column), value in cells.items():
            changed[row][column] = value
        return self.with_values(changed)

    def lacking(self, cells: Collection[At]) -> PatchMap:
        """These cells are not there."""
        return replace(self, missing=frozenset(cells))

    def as_spread(self, values: Sequence[Sequence[Value]]) -> PatchMap:
        """The standard deviation of each cell, over pairs or draws."""
        return replace(self.with_values(values), measure="spread")

    def with_columns(self, columns: Sequence[int], value: float) -> PatchMap:
        """The same value in all cells of these columns."""
        here = set(columns)
        return self.with_values(
            [[value if c in here else v for c, v in enumerate(row)] for row in self.values]
        )

    def value(self, at: At) -> Value:
        return self.values[at.row][at.column]

    def cells(self) -> Iterator[tuple[At, float]]:
        """The cells whose value is known and a number."""
        for r, row in enumerate(self.values):
            for c, value in enumerate(row):
                if value is not None and not math.isnan(value):
                    yield At(r, c), value

    @property
    def total(self) -> int:
        """How many cells there are to be known."""
        return len(self.rows) * len(self.columns) - len(self.missing)

    @property
    def known(self) -> int:
        """How many are, failed ones among them."""
        there = sum(value is not None for row in self.values for value in row)
        return there - sum(self.value(at) is not None for at in self.missing)

    @property
    def failed(self) -> int:
        """How many could not be computed."""
        nan = [
            At(r, c)
            for r, row in enumerate(self.values)
            for c, value in enumerate(row)
            if value is not None and math.isnan(value)
        ]
        return len(set(nan) - self.missing)

    @property
    def range(self) -> tuple[float, float] | None:
        """Least and largest of the known values."""
        values = [value for _, value in self.cells()]
        return (min(values), max(values)) if values else None

    @property
    def largest(self) -> float:
        """The largest value by its size; 0 where none is known."""
        return max((abs(value) for _, value in self.cells()), default=0.0)
