"""The panes there are, in the order of their number keys: one line each."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

from mlxterp_tui.panes.pane import Pane


class Entry(NamedTuple):
    """where: module and class, imported when the pane is first wanted.

    shows: the experiment whose results it shows; "" for none.
    """

    name: str
    title: str
    where: str
    shows: str = ""

    def make(self) -> Pane:
        module, _, kind = self.where.partition(":")
        return getattr(import_module(f"mlxterp_tui.panes.{module}"), kind)()


PANES = (
    Entry("lens", "Lens", "lens:LensPane", shows="logit-lens"),
    Entry("jobs", "Jobs", "jobs:JobsPane"),
    Entry("runs", "Runs", "runs:RunsPane"),
    Entry("cards", "Cards", "cards:CardsPane"),
)


def pane_showing(experiment: str) -> str | None:
    """The pane for results of that experiment, if there is one."""
    return next((entry.name for entry in PANES if entry.shows == experiment), None)
