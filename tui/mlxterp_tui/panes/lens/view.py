"""How a lens run is looked at: which rows, which cell, which colour. Pure; no screen."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mlxterp_tui.panes.lens.metrics import METRICS, Metric, cycled
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.token_text import quoted

STRIDES = (1, 2, 4)
# Lights up on the way to the answer, where probabilities are still too small to see.
DEFAULT_METRIC = "rank"


@dataclass(frozen=True)
class Cell:
    """A place in the lens: the row's layer (-1 the embeddings) and the position."""

    layer: int
    pos: int


@dataclass(frozen=True)
class LensView:
    """embeddings_on_top: else the last block is on top, where the answer is."""

    metric: str = DEFAULT_METRIC
    cursor: Cell = Cell(-1, 0)
    pinned: Cell | None = None
    following: bool = False
    embeddings_on_top: bool = False
    stride: int = 1
    needle: str = ""

    def with_metric(self, name: str) -> LensView:
        return replace(self, metric=name)

    def cycled_metric(self, step: int, has_target: bool) -> LensView:
        return replace(self, metric=cycled(self.metric, step, has_target))

    def cycled_stride(self) -> LensView:
        larger = [stride for stride in STRIDES if stride > self.stride]
        return replace(self, stride=larger[0] if larger else STRIDES[0])

    def moved(self, cell: Cell) -> LensView:
        return replace(self, cursor=cell)

    def pinned_here(self) -> LensView:
        """Pin the cursor's cell; pinning the pinned cell again unpins it."""
        return replace(self, pinned=None if self.pinned == self.cursor else self.cursor)

    def pinned_at(self, cell: Cell | None) -> LensView:
        return replace(self, pinned=cell)

    def for_run(self, run: LensRun, kept: bool, new_target: bool) -> LensView:
        """The view of a new run: the same place when `kept`, else the last row's last cell."""
        view = replace(self, metric=self._metric_for(run, new_target))
        if kept:
            return replace(view, cursor=within(self.cursor, run))
        last = Cell(run.last_layer, max(0, run.positions - 1))
        return replace(view, cursor=last, pinned=None)

    def for_typed(self, run: LensRun, before: LensRun) -> LensView:
        """While a prompt is typed the place is kept: at the last token, the cursor goes with it."""
        at_end = self.cursor.pos == before.positions - 1
        cursor = replace(self.cursor, pos=run.positions - 1) if at_end else self.cursor
        return replace(self.for_run(run, True, False), cursor=within(cursor, run))

    def _metric_for(self, run: LensRun, new_target: bool) -> str:
        """A target that was just set is what the user wants to see; one that is gone is not."""
        if new_target:
            return self.metric if METRICS[self.metric].needs_target else "target-rank"
        return (
            DEFAULT_METRIC
            if METRICS[self.metric].needs_target and run.target is None
            else self.metric
        )


def within(cell: Cell, run: LensRun) -> Cell:
    """The closest cell that the run has."""
    first, last = run.all_layers[0], run.last_layer
    return Cell(min(max(cell.layer, first), last), min(max(cell.pos, 0), max(0, run.positions - 1)))


def shown_layers(view: LensView, run: LensRun) -> list[int]:
    """Layers from the top of the grid down. The last row is always among them."""
    downwards = list(run.all_layers[:: -view.stride])
    return downwards[::-1] if view.embeddings_on_top else downwards


def metric_of(view: LensView) -> Metric:
    return METRICS[view.metric]


def value_at(view: LensView, run: LensRun, cell: Cell) -> float | None:
    row = run.row(cell.layer)
    return None if row is None else metric_of(view).value(row, cell.pos)


def level_at(view: LensView, run: LensRun, cell: Cell) -> float | None:
    """Place on the colour scale, 0..1; None while unknown."""
    value = value_at(view, run, cell)
    return None if value is None else metric_of(view).level(value, run.vocabulary)


def token_at(run: LensRun, cell: Cell) -> str | None:
    """The row's top token at this position; None while unknown."""
    row = run.row(cell.layer)
    return None if row is None else row.top_tokens[cell.pos][0]


def title(view: LensView, run: LensRun) -> str:
    """What the colours measure."""
    target = quoted(run.target) if run.target else "no target"
    return metric_of(view).title.format(target=target)


def long_title(view: LensView, run: LensRun, lens: str) -> str:
    """Exactly what is shown. lens: `logit lens`, `ridge lens NAME`."""
    stride = [f"every {view.stride} blocks"] if view.stride > 1 else []
    return " · ".join([lens, run.state_read, *stride, title(view, run)])


def found(run: LensRun, view: LensView, step: int) -> Cell | None:
    """The next cell (previous for step -1) whose top token holds the needle, going around.

    Order: along the row, then down the grid. Case is ignored when the needle has none.
    """
    layers = shown_layers(view, run)
    cells = [Cell(layer, pos) for layer in layers for pos in range(run.positions)]
    if not cells or not view.needle:
        return None
    at = cells.index(view.cursor) if view.cursor in cells else 0
    order = [cells[(at + step * away) % len(cells)] for away in range(1, len(cells) + 1)]
    return next((cell for cell in order if _holds(token_at(run, cell), view.needle)), None)


def _holds(token: str | None, needle: str) -> bool:
    if token is None:
        return False
    return needle in (token.lower() if needle == needle.lower() else token)
