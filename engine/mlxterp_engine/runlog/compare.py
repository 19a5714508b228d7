"""Two results side by side: drift of each array, and every other field that differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mlxterp_engine.experiments import Array, Result
from mlxterp_engine.runlog.comparison import Comparison

import msgspec

if TYPE_CHECKING:
    import numpy as np

LARGEST_DIFFERENCES = 64 << 20  # bytes in all that a comparison carries; a frame holds more
# Times differ each time, and the model's own contracts stand in `model`.
_NOT_COMPARED = ("elapsed_s", "load_s")


def compare(first: Result, second: Result) -> Comparison:
    """`Comparison` says what is what. Imports numpy."""
    drift: dict[str, float] = {}
    unlike: dict[str, str] = {}
    differences: dict[str, Array] = {}
    left_out = []
    room = LARGEST_DIFFERENCES
    for name in dict.fromkeys([*first.arrays, *second.arrays]):
        why = _unlike(first.arrays.get(name), second.arrays.get(name))
        if why:
            drift[name], unlike[name] = float("nan"), why
            continue
        difference, why = _difference(first.arrays[name], second.arrays[name])
        drift[name] = _largest(difference)
        if why:
            drift[name], unlike[name] = float("nan"), why
        if 4 * difference.size <= room:
            differences[name] = Array.of(difference.astype("float32"))
            room -= 4 * difference.size
        else:
            left_out.append(name)
    return Comparison(
        drift=drift,
        unlike=unlike,
        differences=differences,
        fields=dict(_fields(first, second)),
        left_out=tuple(left_out),
    )


def _unlike(first: Array | None, second: Array | None) -> str:
    """Why two arrays can't be subtracted; empty when they can."""
    if first is None:
        return "only the second has it"
    if second is None:
        return "only the first has it"
    if first.shape != second.shape:
        return f"the shapes differ: {_shape(first)} and {_shape(second)}"
    if first.dtype != second.dtype:
        return f"the dtypes differ: {first.dtype} and {second.dtype}"
    return ""


def _shape(array: Array) -> str:
    return "×".join(map(str, array.shape)) or "a single number"


def _difference(first: Array, second: Array) -> tuple[np.ndarray, str]:
    """(second − first in float64, why it can't be measured by its largest entry)."""
    import numpy as np

    a, b = (_values(array).astype(np.float64) for array in (first, second))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, b - a)
    one_sided = int((np.isnan(a) != np.isnan(b)).sum())
    cells = "cell is" if one_sided == 1 else "cells are"
    return difference, f"{one_sided} {cells} NaN in one of the two" if one_sided else ""


def _values(array: Array) -> np.ndarray:
    import numpy as np

    return np.frombuffer(array.data, dtype=array.dtype).reshape(array.shape)


def _largest(difference: np.ndarray) -> float:
    return float(abs(difference).max()) if difference.size else 0.0


def _fields(first: Result, second: Result) -> Iterator[tuple[str, tuple[str, str]]]:
    """What differs of all that is not an array."""
    one, other = _flat(first), _flat(second)
    for name in dict.fromkeys([*one, *other]):
        values = tuple(str(side.get(name, "—")) for side in (one, other))
        if values[0] != values[1]:
            yield name, (values[0], values[1])


def _flat(result: Result) -> dict[str, Any]:
    meta = {
        name: value
        for name, value in msgspec.to_builtins(result.meta).items()
        if name not in _NOT_COMPARED
    }
    return dict(_leaves(meta)) | {f"strings.{k}": v for k, v in result.strings.items()}


def _leaves(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """`model.sha256` and its like, for nested mappings."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value
