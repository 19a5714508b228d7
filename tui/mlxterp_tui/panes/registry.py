"""The panes there are, in the order of their number keys: one line each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mlxterp_tui.panes.jobs import JobsPane
from mlxterp_tui.panes.lens import LensPane
from mlxterp_tui.panes.pane import Pane


class Entry(NamedTuple):
    name: str
    title: str
    make: Callable[[], Pane]


PANES = (
    Entry("lens", "Lens", LensPane),
    Entry("jobs", "Jobs", JobsPane),
)
