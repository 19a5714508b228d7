"""A lens run as cells of a grid: its row 0 is the run's first layer."""

from __future__ import annotations

from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.panes.lens.view import Cell, LensView, level_at, metric_of, token_at, value_at
from mlxterp_tui.widgets.cell_painter import UNKNOWN
from mlxterp_tui.widgets.cell_painter import Cell as Painted
from mlxterp_tui.widgets.column_list import UNKNOWN_ROW, ColumnRow

SETTLED, PINNED = "▸", "●"


def labels(run: LensRun) -> list[str]:
    return [label(run, layer) for layer in run.all_layers]


def label(run: LensRun, layer: int) -> str:
    """The block's number; where its end is read, the first row is the embeddings, where another
    state is, the last one is the end."""
    if layer < 0:
        return "embed"
    return "end" if layer >= run.layers else str(layer)


def cells(run: LensRun, view: LensView, layer: int) -> list[Painted]:
    """The row's top tokens in the colours of the metric."""
    places = (Cell(layer, pos) for pos in range(run.positions))
    return [Painted(token_at(run, cell) or "", level_at(view, run, cell)) for cell in places]


def all_cells(
    run: LensRun, view: LensView, former: LensRun | None = None
) -> list[list[Painted] | None]:
    """Every row; None where it is not known yet.

    former: a run that was shown before; what it knows of the tokens that both begin with stands
    until the run itself has come so far.
    """
    shared = run.goes_on_from(former) if former is not None else 0
    return [
        cells(run, view, layer) if layer in run.rows else _before(former, run, view, layer, shared)
        for layer in run.all_layers
    ]


def _before(
    former: LensRun | None, run: LensRun, view: LensView, layer: int, shared: int
) -> list[Painted] | None:
    if former is None or not shared or layer not in former.rows:
        return None
    kept = cells(former, view, layer)[:shared]
    return [*kept, *[UNKNOWN] * (run.positions - len(kept))]


def marks(run: LensRun, view: LensView) -> dict[tuple[int, int], str]:
    """Where each position's answer settles, and the pinned cell."""
    found = {
        (run.index(layer), pos): SETTLED
        for pos in range(run.positions)
        if (layer := run.settled_from(pos)) is not None
    }
    if view.pinned is not None:
        found[run.index(view.pinned.layer), view.pinned.pos] = PINNED
    return found


def column(run: LensRun, view: LensView) -> list[ColumnRow]:
    """The cursor's position over all layers."""
    return [_column_row(run, view, Cell(layer, view.cursor.pos)) for layer in run.all_layers]


def _column_row(run: LensRun, view: LensView, cell: Cell) -> ColumnRow:
    row = run.row(cell.layer)
    if row is None:
        return UNKNOWN_ROW
    value = value_at(view, run, cell)
    digits = "" if value is None else metric_of(view).text(value)
    return ColumnRow(row.top_tokens[cell.pos], level_at(view, run, cell), digits)
