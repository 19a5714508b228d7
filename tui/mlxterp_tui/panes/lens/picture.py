"""What a grid of the lens shows: one run, or two runs' difference. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mlxterp_tui.panes.lens import alignment, difference
from mlxterp_tui.panes.lens import cells as lens_cells
from mlxterp_tui.panes.lens import view as lens_view
from mlxterp_tui.panes.lens.beside import NAMES, LensBeside
from mlxterp_tui.panes.lens.difference import LensPair
from mlxterp_tui.panes.lens.edits import edits_of
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.panes.lens.view import LensView
from mlxterp_tui.token_text import quoted
from mlxterp_tui.widgets.cell_painter import Cell

NOT_COMPARED = "no token in common, no difference to show ·"


class Scale(NamedTuple):
    """What the colours mean: a title, and what stands at their two ends.

    centred: cells say by their small bars how far they are from the middle.
    """

    title: str
    low: str
    high: str
    log: bool = False
    centred: bool = False


class Picture(NamedTuple):
    """rows, columns: labels. cells: by row, None where it is not known yet."""

    rows: Sequence[str]
    columns: Sequence[str]
    cells: Sequence[Sequence[Cell] | None]
    marks: Mapping[tuple[int, int], str]


def of_run(run: LensRun, view: LensView, former: LensRun | None = None) -> Picture:
    """former: what was shown before, see `all_cells`."""
    return Picture(
        lens_cells.labels(run),
        run.tokens,
        lens_cells.all_cells(run, view, former),
        lens_cells.marks(run, view),
    )


def of_difference(both: LensPair, view: LensView) -> Picture:
    found = difference.differences(both, view.metric)
    return Picture(
        lens_cells.labels(both.second),
        both.second.tokens,
        difference.cells(both, found),
        difference.changed_tokens(both),
    )


def scale_of_run(view: LensView, title: str) -> Scale:
    metric = lens_view.metric_of(view)
    return Scale(title, *metric.scale, log=metric.log)


def scale_of_other(run: LensRun, view: LensView, beside: LensBeside) -> Scale:
    """Of a run that stands beside the pane's own."""
    name = NAMES[beside.look.of] if beside.look.of else ""
    return scale_of_run(view, f"{name}: {lens_view.title(view, run)}")


def caption(run: LensRun) -> str:
    """What the run is, over its grid when another one stands beside it."""
    request = run.request
    if request is None:
        return ""
    edits = edits_of(request)
    return f"this: edited, {edits}" if edits else f"this: {quoted(request.prompt)}"


def scale_of_difference(both: LensPair, view: LensView, beside: LensBeside) -> Scale:
    """The zero stands in the middle of the colours."""
    found = difference.differences(both, view.metric)
    what = f"this − {NAMES[beside.look.of]}" if beside.look.of else ""
    measured = found.metric.title.format(target=both.second.target or "")
    pieces = [what, alignment.not_compared(both.places), measured]
    ends = difference.scale_words(found)
    return Scale(" · ".join(filter(None, pieces)), *ends, log=found.metric.log)
