"""Patching as text: both prompts as they align, the ends of the scale, each map's largest cells."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mlxterp_engine.experiments import Result
from mlxterp_engine.experiments.patching import BY_POSITION, SITES
from mlxterp_tui.exports.columns import columns
from mlxterp_tui.exports.escaping import quoted

MOST = 5  # cells of each map
MAPS = (*SITES, "z_pos", "effect")


def patching_figure(result: Result) -> str:
    """Lines of text; effects are shares of the distance between the two ends."""
    return "\n".join([*_heading(result), "", columns(list(_rows(result)), right=(1, 3))])


def _heading(result: Result) -> Iterator[str]:
    experiment = result.meta.experiment
    if "clean_metric" not in result.arrays:
        return
    clean, corrupt = (result.arrays[f"{name}_metric"].tolist() for name in ("clean", "corrupt"))
    a, b = result.meta.tokens
    differing = [(at, x, y) for at, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
    ends = (0, 1) if experiment.get("direction") == "noise" else (1, 0)
    words = f"{clean:.4g} clean ({ends[0]}), {corrupt:.4g} corrupt ({ends[1]})"
    yield f"{experiment['metric']}: {words}"
    yield "; ".join(f"{at}: {quoted(x)} against {quoted(y)}" for at, x, y in differing)


def _rows(result: Result) -> Iterator[list[str]]:
    yield ["map", "block", "at", "effect"]
    tokens = result.meta.tokens[0] if result.meta.tokens else []
    for name in MAPS:
        if name not in result.arrays:
            continue
        for index, effect in largest(result.arrays[name].tolist()):
            block = str(_block(result, name, index))
            yield [name, block, _at(name, index, tokens), f"{effect:.3f}"]


def largest(values: Any) -> list[tuple[tuple[int, ...], float]]:
    """The cells of a nested list that are largest by their size, with where they stand."""
    found = [(index, value) for index, value in _cells(values, ()) if not math.isnan(value)]
    return sorted(found, key=lambda cell: -abs(cell[1]))[:MOST]


def _cells(values: Any, index: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], float]]:
    if not isinstance(values, list):
        yield index, values
        return
    for at, inner in enumerate(values):
        yield from _cells(inner, (*index, at))


def _block(result: Result, name: str, index: tuple[int, ...]) -> int:
    return result.arrays["z_pos_layers"].tolist()[index[0]] if name == "z_pos" else index[0]


def _at(name: str, index: tuple[int, ...], tokens: list[str]) -> str:
    position = index[1]
    token = f"{position} {quoted(tokens[position])}" if position < len(tokens) else str(position)
    if name in BY_POSITION:
        return token
    if name == "z_pos":
        return f"head {index[2]} at {token}"
    return f"group {index[1]}" if name in "kv" else f"head {index[1]}"
