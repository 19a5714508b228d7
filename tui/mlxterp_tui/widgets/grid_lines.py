"""The lines of a grid: its header of tokens, and each row behind its label."""

from __future__ import annotations

from dataclasses import dataclass

from mlxterp_tui.widgets.cell_painter import CellPainter
from mlxterp_tui.widgets.grid_content import GridContent
from mlxterp_tui.widgets.grid_layout import GridLayout
from mlxterp_tui.widgets.token_text import fit

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Offset
from textual.strip import Strip


@dataclass(frozen=True)
class GridLines:
    """plain, chosen: of labels, and of those of the row and the column under the cursor."""

    content: GridContent
    places: GridLayout
    painter: CellPainter
    plain: Style
    chosen: Style

    def header(self, corner: str, cursor: tuple[int, int], scroll: Offset) -> list[Segment]:
        """‹ and › say where more columns are."""
        layout, content = self.places, self.content
        before, after = layout.hidden_columns(scroll)
        lead = " " + fit(corner, layout.gutter - 2) + ("‹" if before else " ")
        segments = [Segment(lead, self.plain)]
        for column in layout.columns_in_view(scroll):
            here = column == cursor[1]
            lead = content.column_marks.get(column, "▾" if here else " ")
            text = lead + fit(content.column_labels[column], layout.cell_width - 1)
            segments.append(Segment(text, self.chosen if here else self.plain))
        if after:
            cut = Strip(segments).crop(0, layout.gutter + layout.window.width - 1)
            segments = [*cut, Segment("›", self.plain)]
        return segments

    def row(
        self, row: int, cursor: tuple[int, int], focused: bool, scroll: Offset
    ) -> list[Segment]:
        """focused: whether the keys go to the grid."""
        content, segments = self.content, [self._row_label(row, row == cursor[0])]
        here = cursor[1] if row == cursor[0] else None
        for column in self.places.columns_in_view(scroll):
            cell = content.cell(row, column)
            mark = content.marks.get((row, column), " ")
            if column == here:
                segments.append(self.painter.cursor(cell, mark, focused))
            else:
                segments += self.painter.segments(cell, mark)
        return segments

    def _row_label(self, row: int, here: bool) -> Segment:
        lead = self.content.row_marks.get(row, "▸" if here else " ")
        room, label = self.places.gutter - 2, self.content.row_labels[row]
        shown = fit(label, min(room, cell_len(label)))
        return Segment(f"{lead}{shown.rjust(room)} ", self.chosen if here else self.plain)
