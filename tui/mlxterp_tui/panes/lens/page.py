"""A page that shows the run of the lens pane in another way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mlxterp_engine.experiments import Contract, Result
from mlxterp_tui.keymap import Where
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.panes.lens.view import Cell, LensView, within
from mlxterp_tui.panes.pane import Ended, Pane

from textual import events
from textual.dom import DOMNode
from textual.widget import Widget
from textual.widgets import Static

if TYPE_CHECKING:
    from mlxterp_engine.runlog.record import RunRecord
    from mlxterp_tui.app import MlxterpApp
    from mlxterp_tui.panes.lens.pane import LensPane

LENS = "lens"


class LensPage(Pane, can_focus=True):
    """The prompt asks the lens pane; the cursor is the lens's, so that the place is kept."""

    live = True
    also_at = (LENS,)
    DEFAULT_CSS = """
    LensPage { layout: vertical; height: 1fr; }
    LensPage Static { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    app: MlxterpApp

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._heading = Static(id=f"{id}-heading")

    @property
    def lens(self) -> LensPane:
        return self.app.main.pane_named(LENS)  # type: ignore[return-value]

    @property
    def asker(self) -> Pane:
        return self.lens

    def node_at(self, where: Where) -> DOMNode:
        return self.lens if where == LENS else self

    @property
    def heading(self) -> Widget:
        return self._heading

    # What is shown: the run that the first grid shows.

    @property
    def run(self) -> LensRun:
        return self.lens.body.front

    @property
    def view(self) -> LensView:
        return self.lens.view

    def draw(self) -> None:
        """Show the run and the place as they are now."""
        raise NotImplementedError

    def run_changed(self) -> None:
        if self.display and self.is_mounted:
            self.draw()

    def recolour(self) -> None:
        self.run_changed()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self.run_changed)

    def on_show(self, event: events.Show) -> None:
        self.run_changed()

    # Of that run, as of the lens pane.

    @property
    def stored(self) -> RunRecord | None:  # type: ignore[override]
        return self.lens.stored

    @property
    def recorded_as(self) -> int | None:  # type: ignore[override]
        return self.lens.recorded_as

    @property
    def contracts(self) -> Mapping[str, Contract]:
        return self.lens.contracts

    @property
    def cost(self) -> str:
        return self.lens.cost

    @property
    def result(self) -> Result | None:
        return self.lens.result

    @property
    def previewed(self) -> bool:  # type: ignore[override]
        return self.lens.previewed

    @property
    def trouble(self) -> str:  # type: ignore[override]
        return self.lens.trouble

    @property
    def alert(self) -> str:  # type: ignore[override]
        return self.lens.alert

    @property
    def lenses(self) -> Sequence[str]:  # type: ignore[override]
        return self.lens.lenses

    @property
    def ablations(self) -> Sequence[str]:  # type: ignore[override]
        return self.lens.ablations

    def end(self, state: Ended, reason: str) -> None:
        self.lens.end(state, reason)

    # Keys.

    def go_to(self, layer: int, pos: int) -> None:
        """The closest cell that there is."""
        self.place(layer, pos)
        self.draw()

    def place(self, layer: int, pos: int) -> None:
        """The same, without drawing."""
        body, run = self.lens.body, self.run
        if run.positions:
            cell = within(Cell(layer, pos), run)
            body.view = body.view.moved(cell)
            body.grids.move_to(run.index(cell.layer), cell.pos)

    def action_move(self, layers: int, positions: int) -> None:
        cursor = self.view.cursor
        self.go_to(cursor.layer + layers, cursor.pos + positions)

    def action_leave(self) -> None:
        self.app.main.action_show_pane(LENS)
