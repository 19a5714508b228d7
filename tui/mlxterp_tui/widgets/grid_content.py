"""What a grid shows: its labels, its cells as far as they are known, its marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mlxterp_tui.widgets.cell_painter import UNKNOWN, Cell
from mlxterp_tui.widgets.token_text import legible


@dataclass
class GridContent:
    """Rows and columns are counted from 0. marks: by (row, column), of one column of the screen,
    as those beside the labels are."""

    row_labels: list[str] = field(default_factory=list)
    column_labels: list[str] = field(default_factory=list)
    rows: list[Sequence[Cell] | None] = field(default_factory=list)
    marks: dict[tuple[int, int], str] = field(default_factory=dict)
    row_marks: dict[int, str] = field(default_factory=dict)
    column_marks: dict[int, str] = field(default_factory=dict)

    @classmethod
    def unknown(cls, rows: Sequence[str], columns: Sequence[str]) -> GridContent:
        """So many rows and columns, nothing known of them, without marks."""
        return cls(list(rows), legible_labels(columns), [None] * len(rows))

    def cell(self, row: int, column: int) -> Cell:
        """The cell; an unknown one where nothing arrived yet."""
        cells = self.rows[row]
        return UNKNOWN if cells is None else cells[column]


def legible_labels(columns: Sequence[str]) -> list[str]:
    return [legible(label) for label in columns]
