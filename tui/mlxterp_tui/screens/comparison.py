"""Two lenses of the log, one minus the other, as a grid in diverging colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mlxterp_engine.runlog.comparison import Comparison
from mlxterp_tui.comparison_text import drift_in_line, other_prompts, verdict, whole
from mlxterp_tui.logbook import Stored
from mlxterp_tui.panes.lens import alignment, difference
from mlxterp_tui.panes.lens.difference import LensPair
from mlxterp_tui.panes.lens.stored import stored_run
from mlxterp_tui.screens.reader import CopyWanted, Reader
from mlxterp_tui.widgets.cell_grid import CellGrid
from mlxterp_tui.widgets.legend import Legend

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp

DIVERGING = "blue-red"
LENSES = ("logit-lens", "tuned-lens")


def comparison(
    first: Stored, second: Stored, found: Comparison, title: str
) -> LensComparison | Reader:
    """A grid for two lenses of one shape, else field by field."""
    names = {str(stored.record.request["name"]) for stored in (first, second)}
    if names <= set(LENSES):
        both = difference.pair(stored_run(first), stored_run(second))
        if both is not None and not alignment.not_compared(both.places):
            return LensComparison(first, second, both, found, title)
    return Reader(title, whole(first.record, second.record, found))


class LensComparison(ModalScreen[None]):
    """m changes the measure; the cell under the cursor stands below, in both runs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Close"),
        Binding("m", "metric(1)", "Next metric"),
        Binding("M", "metric(-1)", "Previous metric"),
        Binding("v,question_mark", "everything", "Everything that differs"),
        Binding("y", "copy", "Copy"),
    ]
    DEFAULT_CSS = """
    LensComparison { background: $background; }
    #comparison { border: round $primary; border-title-color: $foreground; padding: 0 1; }
    #comparison Static { height: auto; }
    #comparison-verdict, #comparison-prompts, #comparison-cell, #comparison-drift {
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    #comparison-grid { height: 1fr; margin: 1 0; }
    """

    app: MlxterpApp

    def __init__(
        self, first: Stored, second: Stored, both: LensPair, found: Comparison, title: str
    ) -> None:
        super().__init__()
        self._first, self._second = first.record, second.record
        self._both, self._found, self._title = both, found, title
        self._at = 0
        self._differences = difference.differences(both, both.metrics[0])
        self._grid = CellGrid(id="comparison-grid", corner="block", bottom_up=True)
        self._legend = Legend()

    def compose(self) -> ComposeResult:
        with Vertical(id="comparison") as box:
            box.border_title = self._title
            box.border_subtitle = "m measure · v everything · y copies · Esc closes"
            yield Static(verdict(self._found), id="comparison-verdict")
            if prompts := other_prompts(self._first, self._second):
                yield Static(prompts, id="comparison-prompts")
            yield self._legend
            yield self._grid
            yield Static(id="comparison-cell")
            yield Static(drift_in_line(self._found), id="comparison-drift")

    def on_mount(self) -> None:
        theme = self.app.appearance.theme
        self._grid.ramp = self.app.appearance.library.ramp(DIVERGING, theme.dark)
        self._grid.set_labels(self._both.rows, self._both.second.tokens)
        self._grid.set_marks(difference.changed_tokens(self._both))
        self._grid.cursor = (self._both.second.layers, self._both.second.positions - 1)
        self._grid.focus()
        self._show()

    def _show(self) -> None:
        found = self._differences
        title = found.metric.title.format(target=self._both.second.target or "")
        self._legend.set_scale(
            f"run {self._second.id} − run {self._first.id} · {title}",
            *difference.scale_words(found),
            log=found.metric.log,
            ramp=self._grid.ramp,
        )
        self._grid.set_rows(difference.cells(self._both, found))
        self._show_cell()

    def _show_cell(self) -> None:
        row, pos = self._grid.cursor
        layer = self._both.second.layer_at(row)
        words = difference.in_words(self._both, self._differences, layer, pos)
        self.query_one("#comparison-cell", Static).update(Content(words))

    @on(CellGrid.CursorMoved)
    def _moved(self, event: CellGrid.CursorMoved) -> None:
        event.stop()
        self._show_cell()

    def action_metric(self, step: int) -> None:
        names = self._both.metrics
        self._at = (self._at + step) % len(names)
        self._differences = difference.differences(self._both, names[self._at])
        self._show()

    @on(CellGrid.CellChosen)
    def _chosen(self, event: CellGrid.CellChosen) -> None:
        event.stop()
        self.action_everything()

    def action_everything(self) -> None:
        self.app.push_screen(Reader(self._title, self._text))

    def action_copy(self) -> None:
        self.post_message(CopyWanted(self._text.plain + "\n"))

    def action_leave(self) -> None:
        self.dismiss(None)

    @property
    def _text(self) -> Content:
        return whole(self._first, self._second, self._found)
