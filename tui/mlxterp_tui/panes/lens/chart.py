"""The lens as lines over the layers: rank, probability, KL, entropy at one position or several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from mlxterp_engine.experiments import BadInput
from mlxterp_tui.keymap import bindings
from mlxterp_tui.panes.lens import inspector, trajectories
from mlxterp_tui.panes.lens.beside import NAMES
from mlxterp_tui.panes.lens.page import LensPage
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.panes.lens.trajectories import ALL_AT_ONCE, MEASURES, OVERVIEW, Drawn
from mlxterp_tui.reporting import tells_errors
from mlxterp_tui.screens.reader import CopyWanted
from mlxterp_tui.widgets.line_chart import LineChart

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Grid
from textual.content import Content
from textual.widgets import Static

HELP = """\
Each line goes through the layers, the embeddings at the left, the model's own answer at the right:
at the cursor's position, at those kept with space, and of the pinned run or the run without edits
beside it. The dotted line is the cursor's block; the numbers behind the names are the values there.

Ranks count from 0, the top. A value beyond an end of the axis is drawn on it, and its label says ≤
or ≥. Probabilities of tokens that a row does not list are not known and left out: · at the foot.
A target (t) is known in every row. × is a number that failed.
"""


class LensChartPage(LensPage):
    """One chart, or four at once."""

    HELP_TITLE = "trajectories"
    HELP = HELP
    writes = (".tsv", ".csv")
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("lens-chart")]
    DEFAULT_CSS = """
    LensChartPage { padding: 0 1; }
    #trajectories { grid-size: 1 1; grid-gutter: 1 3; height: 1fr; }
    #trajectories LineChart { display: none; }
    #trajectories LineChart:first-child { display: block; }
    LensChartPage.-all #trajectories { grid-size: 2 2; }
    LensChartPage.-all #trajectories LineChart { display: block; }
    """

    def __init__(self) -> None:
        super().__init__("lens-chart")
        self.drawn = Drawn()
        self._charts = [LineChart() for _ in OVERVIEW]

    def compose(self) -> ComposeResult:
        yield Static(id="trajectory-cell")
        yield Grid(*self._charts, id="trajectories")
        yield Static(id="trajectory-best")

    def draw(self) -> None:
        run, view = self.run, self.view
        together = self.drawn.measure == ALL_AT_ONCE
        self.set_class(together, "-all")
        measures = OVERVIEW if together else (self.drawn.measure,)
        for chart, measure in zip(self._charts, measures, strict=False):
            drawn = replace(self.drawn, measure=measure)
            chart.show(trajectories.chart(run, view, drawn, self._beside))
        self._heading.update(self._title)
        row = run.row(view.cursor.layer)
        known = row is not None and view.cursor.pos < run.positions
        inspector.write(self, "#trajectory-cell", inspector.address(run, view.cursor))
        best = inspector.best_in_line(row, view.cursor.pos) if row and known else Content("")
        inspector.write(self, "#trajectory-best", best)

    @property
    def _title(self) -> Content:
        body = self.lens.body
        words = [body.lens_in_words, self.run.state_read, "over the layers"]
        return Content(" · ".join(words))

    @property
    def _beside(self) -> Mapping[str, LensRun]:
        """The other runs that the lens pane has, by what they are."""
        beside = self.lens.body.beside
        found = {NAMES[kind]: beside.run_of(kind) for kind in beside.there(self.lens.run)}
        asked = self.run.request
        return {name: run for name, run in found.items() if run and run.request != asked}

    # Keys.

    def action_cycle(self, step: int) -> None:
        self._look(self.drawn.cycled(step))

    def action_overview(self) -> None:
        shown = self.drawn.measure
        self._look(replace(self.drawn, measure="rank" if shown == ALL_AT_ONCE else ALL_AT_ONCE))

    def action_keep(self) -> None:
        self._look(self.drawn.keeping(self.view.cursor.pos))

    def action_every(self) -> None:
        self._look(replace(self.drawn, every=not self.drawn.every))

    def action_flip(self) -> None:
        self._look(replace(self.drawn, flipped=not self.drawn.flipped))

    @tells_errors
    def action_measure(self, name: str) -> None:
        self._look(replace(self.drawn, measure=name, flipped=False))

    def action_end(self, end: int) -> None:
        layers = self.run.all_layers
        self.go_to(layers[end], self.view.cursor.pos)

    def action_target_here(self) -> None:
        self.lens.action_take_target()

    def action_copy(self) -> None:
        self.post_message(CopyWanted(self._table))

    def action_leave(self) -> None:
        """First what was kept goes, then the page."""
        if self.drawn.kept or self.drawn.every:
            self._look(replace(self.drawn, kept=(), every=False))
        else:
            super().action_leave()

    def _look(self, drawn: Drawn) -> None:
        self.drawn = drawn
        self.draw()

    # What is taken away.

    @property
    def _table(self) -> str:
        measures = OVERVIEW if self.drawn.measure == ALL_AT_ONCE else (self.drawn.measure,)
        found = [
            line._replace(name=f"{MEASURES[measure].short}: {line.name}")
            for measure in measures
            for line in trajectories.lines(
                self.run, self.view, replace(self.drawn, measure=measure), self._beside
            )
        ]
        if not found:
            raise BadInput("there is no line to write yet; run a prompt first")
        return trajectories.table(found, self.run)

    def exported(self, suffix: str) -> str:
        table = self._table
        return table if suffix == ".tsv" else trajectories.as_csv(table)

    def suggested_name(self) -> str:
        return self.lens.suggested_name().replace("lens-", "trajectories-", 1)
