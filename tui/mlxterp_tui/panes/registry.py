"""The panes there are, in the order of their number keys: one line each."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

from mlxterp_tui.panes.pane import Pane


class Entry(NamedTuple):
    """where: module and class, imported when the pane is first wanted.

    shows: the experiments whose results it shows. tab: whether it has a number key and always
    stands in the row of panes; the others are pages that a job, a run or a pane opens.
    home: of a page that shows what another pane holds: that one; a later session begins there.
    """

    name: str
    title: str
    where: str
    shows: tuple[str, ...] = ()
    tab: bool = True
    home: str = ""

    def make(self) -> Pane:
        module, _, kind = self.where.partition(":")
        return getattr(import_module(f"mlxterp_tui.panes.{module}"), kind)()


# Experiments that train a lens; the resumable ones in steps, with checkpoints.
TRAININGS = ("train-ridge-lens", "train-tuned-lens")
RESUMABLE = ("train-tuned-lens",)

PATCHINGS = ("activation-patching", "attribution-patching", "path-patching", "causal-tracing")

PANES = (
    Entry("lens", "Lens", "lens.pane:LensPane", shows=("logit-lens", "tuned-lens")),
    Entry("lens-chart", "Trajectories", "lens.chart:LensChartPage", tab=False, home="lens"),
    Entry("lens-summary", "Figures", "lens.figures:LensFiguresPage", tab=False, home="lens"),
    Entry(
        "patchscope", "Patchscope", "patchscope.pane:PatchscopePage", ("patchscope",), False, "lens"
    ),
    Entry("patch", "Patch", "patch.pane:PatchPane", shows=PATCHINGS),
    Entry("pattern", "Attention", "patch.pattern:PatternPage", ("attention",), False, "patch"),
    Entry("jobs", "Jobs", "jobs.pane:JobsPane"),
    Entry("training", "Training", "training.pane:TrainingPage", shows=TRAININGS, tab=False),
    Entry("runs", "Runs", "runs.pane:RunsPane"),
    Entry("cards", "Cards", "cards.pane:CardsPane"),
)


TABS = tuple(entry for entry in PANES if entry.tab)


def in_row(at: str) -> list[Entry]:
    """What stands in the row of panes: the tabs, and the page that is in front, if it is one."""
    return [entry for entry in PANES if entry.tab or entry.name == at]


def label(entry: Entry) -> str:
    """Its title, the number key before it."""
    return f"{TABS.index(entry) + 1} {entry.title}" if entry.tab else entry.title


def pane_showing(experiment: str) -> str | None:
    """The pane for results of that experiment, if there is one."""
    return next((entry.name for entry in PANES if experiment in entry.shows), None)
