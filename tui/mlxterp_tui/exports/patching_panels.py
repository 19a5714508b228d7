"""The maps of a patching run as panels of a page: as many columns as fit, the last block on top."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlxterp_engine.experiments import Result, request_from
from mlxterp_tui.panes.patch.best import size
from mlxterp_tui.panes.patch.maps import At, PatchMap
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.scale import MINUS, ColourScale, in_cell, scale_of
from mlxterp_tui.panes.patch.sites import shown
from mlxterp_tui.panes.patch.text import table
from mlxterp_tui.widgets.cell_painter import BLANK, UNKNOWN, Cell
from mlxterp_tui.widgets.token_text import fit, legible

LABEL = 6  # columns of a block's number
CELL = 6
WIDE = {"group": 9, "bucket": 11}  # of columns with a longer label
LEAST = 36  # columns of a panel: what its colours mean has to stand under it
MOST_MAPS = 8
ROUNDING = 1e-6  # of a probability
SMALL = 0.05  # effects that are all smaller are told in thousandths


@dataclass(frozen=True)
class Panel:
    """Some columns of a map. scale: of the whole map."""

    found: PatchMap
    columns: Sequence[int]
    scale: ColourScale

    @property
    def cell_width(self) -> int:
        return WIDE.get(self.found.kind, CELL)

    @property
    def width(self) -> int:
        return max(LEAST, LABEL + self.cell_width * len(self.columns))

    @property
    def factor(self) -> int:
        """What the values are multiplied by to be told in two digits."""
        return 1000 if 0 < self.found.largest < SMALL and self.found.measure == "effect" else 1

    @property
    def title(self) -> tuple[str, str]:
        """The map's name, with its unit where that is not 1; and what it is of."""
        unit = " · 10⁻³" if self.factor > 1 else ""
        return f"{self.found.name}{unit}", shown(self.found.name).words

    @property
    def ends(self) -> tuple[str, str]:
        """What the colours' ends mean, in the unit of the values."""
        if self.factor == 1:
            return self.scale.low_words, self.scale.high_words
        most = self.scale.high * self.factor
        return f"{MINUS}{most:g}", f"+{most:g}"

    @property
    def head(self) -> list[tuple[str, list[str]]]:
        """Lines over the columns, each with what stands over the rows' labels: of positions their
        numbers too."""
        rows = "block" if self.found.block is None else "head"
        labels = [self.found.columns[c] for c in self.columns]
        if self.found.kind != "position":
            return [(rows, labels)]
        return [("", [str(c) for c in self.columns]), (rows, [legible(each) for each in labels])]

    def rows(self) -> Iterator[tuple[str, list[Cell]]]:
        """Each block's label and cells; heads of one block from the first on."""
        count = range(len(self.found.rows))
        for row in count if self.found.block is not None else reversed(count):
            values = self.found.values[row]
            yield self.found.rows[row], [self._cell(At(row, c), values[c]) for c in self.columns]

    def _cell(self, at: At, value: float | None) -> Cell:
        if at in self.found.missing:
            return BLANK
        if value is None:
            return UNKNOWN
        if math.isnan(value):
            return Cell("", math.nan)
        return Cell(in_cell(value * self.factor, self.found.measure), self.scale.level(value))

    def label(self, text: str) -> str:
        return fit(f"{text:>{LABEL - 2}}", LABEL)


def run_of(result: Result) -> PatchRun:
    """The run as the pane has it. BadInput where its request can't be read any more."""
    parameters = dict(result.meta.experiment)
    return PatchRun(request_from(parameters.pop("name"), parameters)).finished(result)


def patching_table(result: Result) -> str:
    """A line a known cell of every map, as the pane writes one map's."""
    run = run_of(result)
    tables = [table(run, name).splitlines(keepends=True) for name in run.names]
    return "".join(line for i, lines in enumerate(tables) for line in lines[bool(i) :])


def drawn_maps(run: PatchRun) -> list[PatchMap]:
    """Those that are drawn: not single neurons, and not ever so many."""
    maps = [found for found in run.maps.values() if found.kind != "neuron" and found.columns]
    return maps[:MOST_MAPS]


def panels(run: PatchRun, found: PatchMap, room: int) -> Iterator[Panel]:
    """One panel, or several where the map is wider than so many columns of text."""
    scale = scale_of(found, run.ends)
    whole = Panel(found, range(silent(run, found), len(found.columns)), scale)
    most = max(1, (room - LABEL) // whole.cell_width)
    for at in range(0, len(whole.columns), most):
        yield Panel(found, whole.columns[at : at + most], scale)


def silent(run: PatchRun, found: PatchMap) -> int:
    """How many columns at the front hold nothing: up to there both prompts are the same, or none
    of the tokens has noise; or no cell is there."""
    if found.kind != "position":
        return 0
    columns = range(len(found.columns))
    return next((c for c in columns if not _is_silent(run, found, c)), 0)


def _is_silent(run: PatchRun, found: PatchMap, column: int) -> bool:
    there = [row for row in range(len(found.rows)) if At(row, column) not in found.missing]
    least = ROUNDING if found.measure == "probability" else 0.0
    values = [found.values[row][column] for row in there]
    return all(value is not None and size(run, found, value) <= least for value in values)
