"""Two lenses, cell by cell: the second minus the first. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

from mlxterp_engine.experiments import LogitLensRow
from mlxterp_tui.panes.lens.alignment import Places, aligned
from mlxterp_tui.panes.lens.cells import labels
from mlxterp_tui.panes.lens.metrics import METRICS, Metric
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.token_text import quoted
from mlxterp_tui.widgets.cell_painter import Cell

CHANGED = "≠"
LensRow = LogitLensRow | None  # None while it is not known


class LensPair(NamedTuple):
    """Two runs with as many layers. Row i of one is compared with row i of the other: each is
    what i blocks have made of the prompt, up to the part of a block that `state` names.

    places: for each position of the second, the first's that it is compared with, or None.
    """

    first: LensRun
    second: LensRun
    places: Places

    @property
    def rows(self) -> list[str]:
        return labels(self.second)

    @property
    def metrics(self) -> list[str]:
        """The metrics that both have."""
        targets = self.first.target is not None and self.second.target is not None
        return [name for name, metric in METRICS.items() if targets or not metric.needs_target]


class Differences(NamedTuple):
    """values: [row, pos], second − first, None where there is nothing to compare with.

    most: max|value|.
    """

    metric: Metric
    values: list[list[float | None]]
    most: float


def pair(first: LensRun, second: LensRun) -> LensPair | None:
    """None when there is nothing to compare: not as many layers, or no token in common."""
    places = aligned(first.token_ids, second.token_ids)
    if first.layers != second.layers or all(place is None for place in places):
        return None
    return LensPair(first, second, places)


def differences(both: LensPair, name: str) -> Differences:
    """Of one metric, in its own unit."""
    metric = METRICS[name]
    values = [
        [
            None if place is None else _difference(*rows, place, pos, metric)
            for pos, place in enumerate(both.places)
        ]
        for rows in _rows(both)
    ]
    known = [abs(value) for row in values for value in row if value is not None and value == value]
    return Differences(metric, values, max(known, default=0.0))


def cells(both: LensPair, found: Differences) -> list[list[Cell]]:
    """Text: the second's top token; level 0.5 where nothing changed."""
    return [
        [Cell(_top(row, pos), _level(value, found)) for pos, value in enumerate(values)]
        for (_, row), values in zip(_rows(both), found.values, strict=True)
    ]


def changed_tokens(both: LensPair) -> dict[tuple[int, int], str]:
    """Marks where another token stands on top."""
    return {
        (at, pos): CHANGED
        for at, (first, second) in enumerate(_rows(both))
        for pos, place in enumerate(both.places)
        if place is not None and first is not None and second is not None
        if _top(first, place) != _top(second, pos)
    }


def scale_words(found: Differences) -> tuple[str, str]:
    """What stands at the two ends of the colours."""
    if not found.most:
        return "0", "0"
    most = found.metric.text(found.most)
    return f"−{most}", f"+{most}"


def in_words(both: LensPair, found: Differences, layer: int, pos: int) -> str:
    """The cell in both, and what lies between."""
    where = _where(both, layer, pos)
    compared = of_cell(both, found.metric.name, layer, pos)
    return f"{where} · {' · '.join(compared)}" if compared else f"{where}: not in both"


def of_cell(both: LensPair, name: str, layer: int, pos: int) -> list[str]:
    """The top tokens of both, then both values and what lies between; nothing for a cell that is
    not in both."""
    first, second = _rows(both)[both.second.index(layer)]
    place, metric = both.places[pos], METRICS[name]
    if first is None or second is None or place is None:
        return []
    one, other = quoted(_top(first, place)), quoted(_top(second, pos))
    top = other if one == other else f"{one} → {other}"
    before, after = metric.value(first, place), metric.value(second, pos)
    if before is None or after is None:
        return [top]
    change = f"{after - before:+.3g}" if after != before else "the same"
    return [top, f"{metric.text(before)} → {metric.text(after)} ({change})"]


def _where(both: LensPair, layer: int, pos: int) -> str:
    """The cell's address in the second, and in the first where it is another one."""
    row, place = both.second.index(layer), both.places[pos]
    here, there = both.second.site(layer), both.first.site(both.first.layer_at(row))
    site = here if here == there else f"{there} → {here}"
    return f"{site} · position {pos if place in (None, pos) else f'{place} → {pos}'}"


def _rows(both: LensPair) -> list[tuple[LensRow, LensRow]]:
    """Both runs' rows, from the first layer up; None for one that is not known."""
    layers = zip(both.first.all_layers, both.second.all_layers, strict=True)
    return [(both.first.row(one), both.second.row(other)) for one, other in layers]


def _difference(
    first: LensRow, second: LensRow, place: int, pos: int, metric: Metric
) -> float | None:
    if first is None or second is None:
        return None
    before, after = metric.value(first, place), metric.value(second, pos)
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


def _top(row: LensRow, pos: int) -> str:
    return "" if row is None else row.top_tokens[pos][0]
