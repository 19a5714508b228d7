"""What attribution patching estimated of a cell, beside what patching it gave. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

from mlxterp_engine.experiments import Result
from mlxterp_engine.experiments.attribution_patching import disagree, largest_miss
from mlxterp_tui.panes.lens.stored import row_of
from mlxterp_tui.panes.patch.maps import At
from mlxterp_tui.panes.patch.members import Of
from mlxterp_tui.panes.patch.reading import asked
from mlxterp_tui.panes.patch.run import PatchRun


class Exact(NamedTuple):
    """Both values of one cell."""

    at: At
    estimate: float
    effect: float

    @property
    def is_off(self) -> bool:
        """Another sign, or more than a factor of two apart."""
        return not 0.5 <= (self.effect / self.estimate if self.estimate else math.nan) <= 2.0


class Trust(NamedTuple):
    """How well a map's estimates agree with its exact cells; NaN where nothing can be compared."""

    cells: int
    rank_correlation: float
    slope: float
    miss: float

    @property
    def disagrees(self) -> bool:
        return disagree(self.rank_correlation, self.slope, self.miss)


def exact_cells(run: PatchRun, name: str, of: Of = "mean") -> list[Exact]:
    """Those of a map that were patched too: the largest estimates first, then others, drawn.

    of: a number, in that pair of a set; a spread has none.
    """
    result, found = run.result, run.map(name, of)
    if result is None or found is None or of == "sd" or "exact_site" not in result.arrays:
        return []
    effects = _effects(result, of)
    cells = zip(*(result.arrays[f"exact_{each}"].tolist() for each in _PLACE), strict=True)
    names = asked(run.request)
    return [
        Exact(At(layer, at), found.values[layer][at] or 0.0, effect)
        for (site, layer, at), effect in zip(cells, effects, strict=False)
        if names[site] == name
    ]


def exact_at(run: PatchRun, name: str, at: At, of: Of = "mean") -> Exact | None:
    return next((cell for cell in exact_cells(run, name, of) if cell.at == at), None)


def _effects(result: Result, of: Of) -> list[float]:
    if not isinstance(of, int):
        return result.arrays["exact_effect"].tolist()
    every = result.arrays.get("exact_effect_pairs")
    return row_of(every, of).tolist() if every is not None else []


_PLACE = ("site", "layer", "at")


def trust(run: PatchRun, name: str) -> Trust | None:
    """None of maps that are no estimates, and while they are not checked yet."""
    cells = exact_cells(run, name)
    if not cells or run.result is None:
        return None
    miss = largest_miss([cell.estimate for cell in cells], [cell.effect for cell in cells])
    correlation, slope = (_figure(run.result, f"{name}_{of}") for of in _FIGURES)
    return Trust(len(cells), correlation, slope, miss)


_FIGURES = ("rank_correlation", "slope")


def _figure(result: Result, name: str) -> float:
    return result.meta.figures.get(name, math.nan)
