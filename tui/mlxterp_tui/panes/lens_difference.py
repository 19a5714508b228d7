"""Two lenses of one shape, cell by cell: the second minus the first. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

from mlxterp_engine.experiments import LogitLensRow
from mlxterp_tui.panes.lens_cells import labels, row_of
from mlxterp_tui.panes.lens_metrics import METRICS, Metric
from mlxterp_tui.panes.lens_run import LensRun, site
from mlxterp_tui.token_text import quoted
from mlxterp_tui.widgets.cell_painter import Cell

CHANGED = "≠"


class LensPair(NamedTuple):
    """Two runs with as many layers and positions."""

    first: LensRun
    second: LensRun

    @property
    def rows(self) -> list[str]:
        return labels(self.second)

    @property
    def metrics(self) -> list[str]:
        """The metrics that both have."""
        targets = self.first.target is not None and self.second.target is not None
        return [name for name, metric in METRICS.items() if targets or not metric.needs_target]


class Differences(NamedTuple):
    """values: [layer, pos], second − first, None where a row is missing. most: max|value|."""

    metric: Metric
    values: list[list[float | None]]
    most: float


def pair(first: LensRun, second: LensRun) -> LensPair | None:
    """None when the shapes are not equal."""
    same = (first.layers, first.positions) == (second.layers, second.positions)
    return LensPair(first, second) if same else None


def differences(both: LensPair, name: str) -> Differences:
    """Of one metric, in its own unit."""
    metric = METRICS[name]
    values = [
        [
            _difference(both.first.row(layer), both.second.row(layer), pos, metric)
            for pos in range(both.second.positions)
        ]
        for layer in both.second.all_layers
    ]
    known = [abs(value) for row in values for value in row if value is not None and value == value]
    return Differences(metric, values, max(known, default=0.0))


def cells(both: LensPair, found: Differences) -> list[list[Cell]]:
    """Row 0 the embeddings. Text: the second's top token; level 0.5 where nothing changed."""
    return [
        [
            Cell(_top(both.second, layer, pos), _level(value, found))
            for pos, value in enumerate(found.values[row_of(layer)])
        ]
        for layer in both.second.all_layers
    ]


def changed_tokens(both: LensPair) -> dict[tuple[int, int], str]:
    """Marks where another token stands on top."""
    return {
        (row_of(layer), pos): CHANGED
        for layer in both.second.all_layers
        for pos in range(both.second.positions)
        if _top(both.first, layer, pos) != _top(both.second, layer, pos)
    }


def scale_words(found: Differences) -> tuple[str, str]:
    """What stands at the two ends of the colours."""
    if not found.most:
        return "0", "0"
    return f"−{found.most:.3g}", f"+{found.most:.3g}"


def in_words(both: LensPair, found: Differences, layer: int, pos: int) -> str:
    """The cell in both, and what lies between."""
    tokens = [quoted(_top(run, layer, pos)) for run in both]
    rows = [run.row(layer) for run in both]
    if rows[0] is None or rows[1] is None:
        return f"{site(layer)} · position {pos}: not in both"
    before, after = (found.metric.value(row, pos) for row in rows if row is not None)
    top = tokens[1] if tokens[0] == tokens[1] else f"{tokens[0]} → {tokens[1]}"
    if before is None or after is None:
        return f"{site(layer)} · position {pos} · {top}"
    text = found.metric.text
    change = f"{after - before:+.3g}" if after != before else "the same"
    return f"{site(layer)} · position {pos} · {top} · {text(before)} → {text(after)} ({change})"


def _difference(
    first: LogitLensRow | None, second: LogitLensRow | None, pos: int, metric: Metric
) -> float | None:
    if first is None or second is None:
        return None
    before, after = metric.value(first, pos), metric.value(second, pos)
    return None if before is None or after is None else after - before


def _level(value: float | None, found: Differences) -> float | None:
    """-most is 0, nothing 0.5, +most 1; log measures by log(1 + |value|), keeping its sign."""
    if value is None or math.isnan(value):
        return value
    if not found.most:
        return 0.5
    if found.metric.log:
        share = math.copysign(math.log1p(abs(value)) / math.log1p(found.most), value)
    else:
        share = value / found.most
    return 0.5 + share / 2


def _top(run: LensRun, layer: int, pos: int) -> str:
    row = run.row(layer)
    return "" if row is None else row.top_tokens[pos][0]
