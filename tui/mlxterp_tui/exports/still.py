"""An app of one pane that is shown to nobody: it takes its picture and ends."""

from __future__ import annotations

import asyncio

from mlxterp_engine.experiments import RunFailed
from mlxterp_tui.appearance import Appearance
from mlxterp_tui.exports.escaping import escaped
from mlxterp_tui.exports.naming import title
from mlxterp_tui.folders import config_file
from mlxterp_tui.logbook import Stored
from mlxterp_tui.panes.pane import Pane
from mlxterp_tui.panes.registry import PANES
from mlxterp_tui.screens.run_line import RunLine
from mlxterp_tui.widgets.colour_depth import use_colour_system
from mlxterp_tui.widgets.paint import textual_theme

from textual.app import App, ComposeResult
from textual.containers import Container

PATIENCE = 30.0  # seconds in which a pane has to be drawn


class Still(App[None]):
    """The pane of a stored run, what its colours mean above it, its checks below."""

    CSS = """
    Screen { layout: vertical; background: $background; }
    #heading { height: 1; padding: 0 1; }
    #heading > * { width: 1fr; height: 1; }
    #pane { height: 1fr; }
    """

    def __init__(self, stored: Stored) -> None:
        super().__init__()
        self.animation_level = "none"
        use_colour_system(self, "truecolor")
        self.appearance = Appearance(config_file().parent)
        self._stored = stored
        self._pane = _pane_for(stored)

    def compose(self) -> ComposeResult:
        yield Container(self._pane.heading, id="heading")
        yield Container(self._pane, id="pane")
        yield RunLine()

    def on_mount(self) -> None:
        theme = textual_theme(self.appearance.theme, "truecolor")
        self.register_theme(theme)
        self.theme = theme.name

    async def fill(self) -> None:
        """Show the run as it was."""
        await self._pane.prepare()
        self._pane.take_stored(self._stored)
        self.query_one(RunLine).show_checks(self._pane.contracts, self._pane.cost)


async def still(stored: Stored, columns: int, lines: int) -> str:
    """The pane as SVG, so many cells large."""
    app = Still(stored)
    async with app.run_test(size=(columns, lines)) as pilot:
        await app.fill()
        try:
            await asyncio.wait_for(pilot.pause(), PATIENCE)
        except TimeoutError:
            raise RunFailed(f"the picture was not drawn within {PATIENCE:.0f} s") from None
        return app.export_screenshot(title=escaped(title(stored.record)))


def _pane_for(stored: Stored) -> Pane:
    experiment = stored.record.request["name"]
    return next(entry for entry in PANES if experiment in entry.shows).make()
