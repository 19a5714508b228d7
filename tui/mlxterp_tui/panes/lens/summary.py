"""What a lens says on the whole: figures for each layer, and for each position. Pure.

The first token is left out of means over positions unless it is asked for: attention rests on
it, its state is unlike all others, and no earlier token could have told what follows. The last
row is left out of means over layers: it is the model's own prediction, and agrees with itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from mlxterp_engine.experiments import LogitLensRow
from mlxterp_tui.panes.lens.metrics import METRICS
from mlxterp_tui.panes.lens.run import LensRun

Value = float | None
Measured = Callable[[LensRun, LogitLensRow, int], Value]


class Figure(NamedTuple):
    """value: at one cell; None where it has none. share: of 0..1, else nats or ranks.

    log: over the layers it goes through powers of ten.
    """

    name: str
    heading: str
    about: str
    value: Measured
    share: bool = False
    log: bool = False


class Mean(NamedTuple):
    """value: None where nothing is known; NaN where all failed. of: how many went into it."""

    value: Value
    of: int = 0
    failed: int = 0


NOT_KNOWN = Mean(None)


def mean(values: Iterable[Value]) -> Mean:
    """Of those that are known; those that failed (NaN) are left out and counted."""
    known = [value for value in values if value is not None]
    finite = [value for value in known if math.isfinite(value)]
    failed = len(known) - len(finite)
    if not known:
        return NOT_KNOWN
    if not finite:
        return Mean(math.nan, 0, failed)
    return Mean(math.fsum(finite) / len(finite), len(finite), failed)


def positions(run: LensRun, with_first: bool) -> range:
    """Those that means over positions are of. A prompt of one token has none but its first."""
    return range(0 if with_first or run.positions == 1 else 1, run.positions)


def of_layer(run: LensRun, layer: int, figure: Figure, with_first: bool = False) -> Mean:
    """Over the positions. Not known while the row is not."""
    row = run.row(layer)
    if row is None:
        return NOT_KNOWN
    return mean(figure.value(run, row, pos) for pos in positions(run, with_first))


def of_position(run: LensRun, pos: int, figure: Figure) -> Mean:
    """Over the rows that are known, the last one left out."""
    rows = [run.row(layer) for layer in run.all_layers[:-1]]
    return mean(figure.value(run, row, pos) for row in rows if row is not None)


def by_layer(run: LensRun, figure: Figure, with_first: bool = False) -> list[Mean]:
    """[layer], in the order of the run's layers."""
    return [of_layer(run, layer, figure, with_first) for layer in run.all_layers]


def by_position(run: LensRun, figure: Figure) -> list[Mean]:
    """[pos]."""
    return [of_position(run, pos, figure) for pos in range(run.positions)]


def failed_cells(means: Iterable[Sequence[Mean]]) -> int:
    return sum(found.failed for row in means for found in row)


# What is measured at a cell.


def agreement(run: LensRun, row: LogitLensRow, pos: int) -> Value:
    """1 where the row's top token is the last row's; not known before that row is."""
    last = run.row(run.all_layers[-1])
    if last is None:
        return None
    return float(row.top_ids.values[pos, 0] == last.top_ids.values[pos, 0])


def echo(run: LensRun, row: LogitLensRow, pos: int) -> Value:
    """1 where the row's top token is the very token that is read there."""
    return float(row.top_ids.values[pos, 0] == run.token_ids[pos])


def _of_metric(name: str) -> Measured:
    value = METRICS[name].value
    return lambda run, row, pos: value(row, pos)


FIGURES: dict[str, Figure] = {
    figure.name: figure
    for figure in (
        Figure("kl", "KL", "KL(final ‖ row), nats", _of_metric("kl"), log=True),
        Figure("entropy", "entropy", "entropy of the row, nats", _of_metric("entropy")),
        Figure(
            "agreement", "agree", "share of positions whose top token is the last row's",
            agreement, share=True,
        ),
        Figure(
            "echo", "echo", "share of positions whose top token is the token read there",
            echo, share=True,
        ),
        Figure(
            "next-loss", "loss", "loss on the prompt's own next tokens, nats",
            _of_metric("next-loss"), log=True,
        ),
        Figure("rank", "rank", "rank of the final token (0 = top)", _of_metric("rank"), log=True),
    )
}  # fmt: skip


def cycled(name: str, step: int) -> str:
    names = list(FIGURES)
    return names[(names.index(name) + step) % len(names)]
