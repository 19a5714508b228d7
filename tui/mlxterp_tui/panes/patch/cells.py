"""A map as cells of a grid: the value in digits on its colour; row 0 is block 0. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from mlxterp_tui.panes.lens.picture import Picture
from mlxterp_tui.panes.lens.picture import Scale as Legend
from mlxterp_tui.panes.patch.maps import At, PatchMap, Value
from mlxterp_tui.panes.patch.members import Of
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.scale import ColourScale, in_cell, scale_of
from mlxterp_tui.widgets.cell_painter import BLANK, UNKNOWN, Cell

BEST, DIFFERS = "•", "≠"
NARROW = (6, 12)
"""Columns of a cell that fits by itself: a mark, a sign, a point, two digits, the small bar."""
AROUND = 10  # columns of a grid beside its cells


def picture(run: PatchRun, name: str, of: Of = "mean", best: Collection[At] = ()) -> Picture:
    """What a CellGrid shows of a map; best: cells to mark. Nothing where there is no such map."""
    found = run.map(name, of)
    if found is None:
        return Picture([], [], [], {})
    colours = scale_of(found, run.ends_of(of))
    rows = [
        [cell(found, At(r, c), value, colours) for c, value in enumerate(row)]
        for r, row in enumerate(found.values)
    ]
    return Picture(found.rows, found.columns, rows, dict.fromkeys(best, BEST))


def legend(run: PatchRun, name: str, title: str, of: Of = "mean") -> Legend:
    """The same scale for all cells of the map, under a title."""
    found = run.map(name, of)
    if found is None:
        return Legend(title, "", "")
    colours = scale_of(found, run.ends_of(of))
    return Legend(title, colours.low_words, colours.high_words, centred=colours.diverging)


def is_diverging(run: PatchRun, name: str, of: Of = "mean") -> bool:
    """Whether the zero is to stand in the middle of its colours."""
    found = run.map(name, of)
    return found is not None and scale_of(found, run.ends_of(of)).diverging


def span(run: PatchRun, name: str) -> int:
    """How many query heads wide a cell is: a key-value head is as wide as those that read it."""
    found = run.maps.get(name)
    return run.sizes.heads_a_group if found is not None and found.kind == "group" else 1


def widest(run: PatchRun, name: str) -> int:
    """Columns that a grid of the map can use."""
    found = run.maps[name]
    return AROUND + NARROW[1] * len(found.columns) * span(run, name)


def corner(run: PatchRun, name: str) -> str:
    """What the labels of the rows are."""
    found = run.maps.get(name)
    if found is not None and found.kind == "neuron":
        return "neuron"
    return "block" if found is None or found.block is None else f"block {found.block}"


def column_marks(run: PatchRun, name: str) -> Mapping[int, str]:
    """Where the prompts' tokens differ, on a map by position."""
    found = run.maps.get(name)
    if found is None or found.kind != "position":
        return {}
    return dict.fromkeys(run.differing, DIFFERS)


def cell(found: PatchMap, at: At, value: Value, colours: ColourScale) -> Cell:
    """Unknown, failed, not there, or the value in digits."""
    if at in found.missing:
        return BLANK
    if value is None:
        return UNKNOWN
    if math.isnan(value):
        return Cell("", math.nan)
    return Cell(in_cell(value, found.measure), colours.level(value), colours.size(value))
