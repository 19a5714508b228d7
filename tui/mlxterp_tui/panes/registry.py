"""The panes there are, in the order of their number keys: one line each."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

from mlxterp_tui.panes.pane import Pane


class Entry(NamedTuple):
    """where: module and class, imported when the pane is first wanted."""

    name: str
    title: str
    where: str

    def make(self) -> Pane:
        module, _, kind = self.where.partition(":")
        return getattr(import_module(f"mlxterp_tui.panes.{module}"), kind)()


PANES = (
    Entry("lens", "Lens", "lens:LensPane"),
    Entry("jobs", "Jobs", "jobs:JobsPane"),
)
