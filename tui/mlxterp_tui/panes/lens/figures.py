"""The lens in figures: a table of means by layer or by position, and one of them as a line."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import ClassVar

from mlxterp_engine.experiments import BadInput
from mlxterp_tui.drawn import Drawn
from mlxterp_tui.keymap import bindings
from mlxterp_tui.panes.lens import inspector, summary_text, trajectories
from mlxterp_tui.panes.lens.page import LensPage
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.panes.lens.summary import FIGURES
from mlxterp_tui.panes.lens.summary_text import Summary
from mlxterp_tui.screens.reader import CopyWanted
from mlxterp_tui.widgets.colour_depth import ascii_only
from mlxterp_tui.widgets.line_chart import LineChart
from mlxterp_tui.widgets.long_list import LongList, Pieces

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import Static

BESIDE, UNDER = 150, 26  # columns, and rows, from which there is room for the chart

HELP = """\
Means over the prompt's positions for each layer, or (p) over the layers for each position: how far
the rows are from the model's own answer (KL, nats), how sure they are (entropy, nats), how often
their top token is already the last row's (agree) or still the token that was read there (echo),
how well they foretell the prompt's own next tokens (loss, nats), and where the final token stands
(rank, 0 = top). m chooses the figure that is drawn as a line. Bars of KL, loss and rank are
logarithmic.

The first token is left out of means over positions (f takes it in): attention rests on it, and its
state is unlike the others. The last row, the model's own, is left out of means over layers.
· is not known (yet), × failed; cells that failed are counted and left out of means.
"""


class LensFiguresPage(LensPage):
    """The table's cursor is the lens's, in the direction that the table goes."""

    HELP_TITLE = "figures"
    HELP = HELP
    writes = (".tsv", ".csv")
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("lens-summary")]
    DEFAULT_CSS = """
    LensFiguresPage { padding: 0 1; }
    #figures-body { height: 1fr; layout: vertical; }
    #figures-table { height: 1fr; width: 1fr; }
    #figures-lines { height: 1fr; }
    #figures-columns { height: 1; color: $foreground-muted; }
    #figures-chart { display: none; height: 40%; min-height: 9; margin: 1 0 0 0; }
    LensFiguresPage.-under #figures-chart { display: block; }
    LensFiguresPage.-beside #figures-body { layout: horizontal; }
    LensFiguresPage.-beside #figures-chart {
        display: block; width: 45%; height: 1fr; margin: 0 0 0 3;
    }
    """

    def __init__(self) -> None:
        super().__init__("lens-summary")
        self.summary = Summary()
        self._lines = LongList(self._line, id="figures-lines")
        self._chart = LineChart(id="figures-chart")
        self._columns = Drawn(self._heads, id="figures-columns")
        self._blocks = not ascii_only(os.environ)
        self._read()

    def compose(self) -> ComposeResult:
        yield Static(id="figures-about")
        with Container(id="figures-body"):
            with Vertical(id="figures-table"):
                yield self._columns
                yield self._lines
            yield self._chart
        yield Static(id="figures-figure")

    def focus_contents(self) -> None:
        self.screen.set_focus(self._lines)

    def on_resize(self, event: events.Resize) -> None:
        beside = event.size.width >= BESIDE
        self.set_class(beside, "-beside")
        self.set_class(not beside and event.size.height >= UNDER, "-under")
        super().on_resize(event)

    # Drawing.

    def _read(self) -> None:
        run = self.run if self.is_attached else LensRun()
        self._table = summary_text.table(run, self.summary)
        self._spans = summary_text.spans(self._table, run)

    def draw(self) -> None:
        self._read()
        run, found = self.run, self._table
        self._heading.update(self._title)
        told = [summary_text.about(run, self.summary), summary_text.known(run, found)]
        self._write("#figures-about", " · ".join(filter(None, told)))
        self._lines.set_lines(len(found.names), self._line_of_cursor)
        self._columns.redraw()
        self._draw_chart()

    def _heads(self, width: int, height: int) -> Content:
        """As wide as the lines, which a bar for scrolling may stand beside."""
        wide = min(width, self._lines.scrollable_content_region.width or width)
        return Content.assemble(*summary_text.heading(self._table, self.summary, wide))

    def _draw_chart(self) -> None:
        at = self._row_of(self._lines.cursor)
        self._chart.show(summary_text.chart(self.run, self._table, self.summary, at))
        self._write("#figures-figure", self._in_words(at))

    def _in_words(self, at: int) -> str:
        """The chosen figure of the line under the cursor, in full."""
        figure, found = FIGURES[self.summary.figure], self._table
        if not found.names:
            return "nothing is known yet; Enter in the prompt runs the lens"
        mean = found.columns[figure.name][at]
        value = "not known" if mean.value is None else f"{mean.value:.6g} (of {mean.of} cells)"
        return f"{found.corner} {found.names[at]} · {figure.about}: {value}"

    def _write(self, selector: str, words: str) -> None:
        inspector.write(self, selector, Content(words))

    @property
    def _title(self) -> Content:
        of = "by layer" if self.summary.of_layers else "by position"
        return Content(" · ".join([self.lens.body.lens_in_words, self.run.state_read, of]))

    def _line(self, line: int, width: int) -> Pieces:
        return summary_text.line(
            self._table, self._spans, self.summary, self._row_of(line), width, self._blocks
        )

    # The lines of the table: layers as in the grid, positions from the first down.

    @property
    def _upside_down(self) -> bool:
        return self.summary.of_layers and not self.view.embeddings_on_top

    def _row_of(self, line: int) -> int:
        """The row of the table that stands in a line of the list; its own inverse."""
        return len(self._table.names) - 1 - line if self._upside_down else line

    @property
    def _line_of_cursor(self) -> int:
        cursor = self.view.cursor
        return self._row_of(self.run.index(cursor.layer) if self.summary.of_layers else cursor.pos)

    @on(LongList.CursorMoved)
    def _moved(self, event: LongList.CursorMoved) -> None:
        event.stop()
        at, cursor = self._row_of(event.line), self.view.cursor
        layer = self.run.layer_at(at) if self.summary.of_layers else cursor.layer
        self.place(layer, cursor.pos if self.summary.of_layers else at)
        self._draw_chart()

    # Keys.

    def action_cycle(self, step: int) -> None:
        self._look(self.summary.cycled(step))

    def action_turn(self) -> None:
        self._look(replace(self.summary, of_layers=not self.summary.of_layers))

    def action_first(self) -> None:
        self._look(replace(self.summary, with_first=not self.summary.with_first))

    def action_copy(self) -> None:
        self.post_message(CopyWanted(self._tsv))

    def _look(self, summary: Summary) -> None:
        self.summary = summary
        self.draw()

    # What is taken away.

    @property
    def _tsv(self) -> str:
        if not self._table.names:
            raise BadInput("there are no figures to write yet; run a prompt first")
        return summary_text.tsv(self._table)

    def exported(self, suffix: str) -> str:
        return self._tsv if suffix == ".tsv" else trajectories.as_csv(self._tsv)

    def suggested_name(self) -> str:
        return self.lens.suggested_name().replace("lens-", "figures-", 1)
