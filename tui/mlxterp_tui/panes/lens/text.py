"""A lens run as text for other programs: TSV with all metrics."""

from __future__ import annotations

import json

from mlxterp_engine.experiments import BadInput, LogitLensRow
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.panes.lens.view import Cell

COLUMNS = (
    "layer", "site", "position", "token", "top_token", "top_prob", "entropy_nats",
    "kl_final_row_nats", "final_rank", "target_prob", "target_rank",
)  # fmt: skip


def table_tsv(run: LensRun) -> str:
    """One line a known cell, the last row first; empty where there is no target."""
    cells = [
        Cell(layer, pos)
        for layer in reversed(run.all_layers)
        if layer in run.rows
        for pos in range(run.positions)
    ]
    return "\n".join(["\t".join(COLUMNS), *(_line(run, cell) for cell in cells)]) + "\n"


def cell_tsv(run: LensRun, cell: Cell) -> str:
    """The cell's own line, and its best tokens under it."""
    row = run.row(cell.layer)
    if row is None:
        raise BadInput(
            f"{run.site(cell.layer)} is not computed yet; wait for it, or r to run again"
        )
    best = [
        f"{rank}\t{_field(token)}\t{row.top_probs.values[cell.pos, rank]:.6g}"
        for rank, token in enumerate(row.top_tokens[cell.pos])
    ]
    head = ["\t".join(COLUMNS), _line(run, cell), "", "rank\ttoken\tprobability"]
    return "\n".join([*head, *best]) + "\n"


def _line(run: LensRun, cell: Cell) -> str:
    row = run.rows[cell.layer]
    pos = cell.pos
    numbers = (row.top_probs.values[pos, 0], row.entropy.values[pos], row.kl.values[pos])
    return "\t".join(
        [
            str(cell.layer),
            run.site(cell.layer),
            str(pos),
            _field(run.tokens[pos]),
            _field(row.top_tokens[pos][0]),
            *(f"{number:.6g}" for number in numbers),
            str(row.final_rank.values[pos]),
            *_target(row, pos),
        ]
    )


def _target(row: LogitLensRow, pos: int) -> list[str]:
    if row.target_prob is None or row.target_rank is None:
        return ["", ""]
    return [f"{row.target_prob.values[pos]:.6g}", str(row.target_rank.values[pos])]


def _field(token: str) -> str:
    """Escaped, so that a token with a tab or a line break stays in its field."""
    return json.dumps(token, ensure_ascii=False)
