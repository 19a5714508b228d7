"""The maps of a set: its spread, and that of each pair, draw of noise, or fact. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any, Literal

from mlxterp_engine.experiments import Array, Result
from mlxterp_tui.panes.lens.stored import row_of
from mlxterp_tui.panes.patch.maps import At, PatchMap, Value
from mlxterp_tui.panes.patch.sites import Z_POS, array_name

Of = Literal["mean", "sd"] | int
"""Which map of a set: the mean, its spread, or one pair's."""

MEMBERS = ("pairs", "samples", "facts")
"""How the arrays end that hold a map for each pair, draw of noise, or fact."""
_ENDS = (
    ("clean_metric_pairs", "corrupt_metric_pairs"),
    ("p_clean_facts", "p_corrupt_facts"),
    ("p_clean", "p_corrupt_samples"),
)


def members(name: str, result: Result) -> int:
    """How many maps `name` is the mean of; 0 where they were not kept."""
    array = _members_of(name, result)
    return array.shape[0] if array is not None else 0


def member(mean: PatchMap, result: Result, of: Of) -> PatchMap | None:
    """The spread of a map, or that of one pair, draw or fact."""
    if of == "sd":
        values = _spread(mean, result)
        if values is None:
            return None
        return mean.as_spread(values).lacking(mean.missing | missing(result, mean, of))
    array = _members_of(mean.name, result)
    if array is None or not isinstance(of, int) or not 0 <= of < array.shape[0]:
        return None
    found = mean.with_values(_of_block(mean, result, row_of(array, of)))
    return found.lacking(mean.missing | missing(result, mean, of))


def spread_at(mean: PatchMap, result: Result, at: At) -> float | None:
    """Of one cell; None where there is none."""
    index = _index(mean, result, at)
    spread = result.arrays.get(f"{array_name(mean.name)}_sd")
    if spread is not None:
        return float(spread.values[index])
    array = _members_of(mean.name, result)
    if array is None or array.shape[0] < 2:
        return None
    read = array.values
    return _deviation([float(read[i, *index]) for i in range(array.shape[0])])


def ends_of_member(result: Result, of: int) -> tuple[float, float] | None:
    """(clean, corrupt) of one pair, fact or draw; a draw's clean run is that of all."""
    arrays = result.arrays
    for clean, corrupt in _ENDS:
        if corrupt in arrays and of < arrays[corrupt].shape[0]:
            first = arrays[clean].values[of] if arrays[clean].shape else arrays[clean].tolist()
            return float(first), float(arrays[corrupt].values[of])
    return None


def missing(result: Result, found: PatchMap, of: Of, row: int = 0) -> frozenset[At]:
    """Cells where there is nothing to patch. row: of z_pos, the block's in the array."""
    if found.kind == "bucket" and found.measure != "count":
        rows = range(len(found.rows))
        return frozenset(At(r, c) for r in rows for c in _empty_buckets(result, of))
    told = result.strings.get("missing", {}).get(array_name(found.name), [])
    if found.block is not None:
        return frozenset(At(head, position) for r, position, head in told if r == row)
    return frozenset(At(*cell) for cell in told)


def _empty_buckets(result: Result, of: Of) -> list[int]:
    """Those in which a fact has no token; of a mean, in which no fact has, of a spread, not two."""
    tokens = result.arrays["bucket_tokens"].tolist()
    if isinstance(of, int):
        return [bucket for bucket, count in enumerate(tokens[of]) if not count]
    having = [sum(count > 0 for count in counts) for counts in zip(*tokens, strict=True)]
    return [bucket for bucket, facts in enumerate(having) if facts < (2 if of == "sd" else 1)]


def heads_by_position(values: Array) -> list[list[float]]:
    """[position, head] -> [head, position]."""
    return [list(column) for column in zip(*values.tolist(), strict=True)]


def _members_of(name: str, result: Result) -> Array | None:
    arrays = result.arrays
    names = (f"{array_name(name)}_{end}" for end in MEMBERS)
    return next((arrays[each] for each in names if each in arrays), None)


def _index(mean: PatchMap, result: Result, at: At) -> tuple[int, ...]:
    """Where a cell stands in the map's own array. Of neurons there are no sets."""
    if mean.block is None or array_name(mean.name) != Z_POS:
        return tuple(at)
    layers = result.arrays[f"{Z_POS}_layers"].tolist()
    return layers.index(mean.block), at.column, at.row


def _spread(mean: PatchMap, result: Result) -> list[list[Value]] | None:
    """Of every cell: the standard deviation, with n − 1."""
    if spread_at(mean, result, At(0, 0)) is None:
        return None
    return [
        [spread_at(mean, result, At(r, c)) for c in range(len(mean.columns))]
        for r in range(len(mean.rows))
    ]


def _of_block(mean: PatchMap, result: Result, values: Array) -> Any:
    """Nested lists like the map's own values, out of an array like its array."""
    if mean.block is None:
        return values.tolist()
    layers = result.arrays[f"{Z_POS}_layers"].tolist()
    return heads_by_position(row_of(values, layers.index(mean.block)))


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan
