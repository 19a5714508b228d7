"""Where the cells of a grid are: pure geometry, in columns and lines of the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual.geometry import Offset, Region, Size

HEADER = 1
LABEL_LIMIT = 14
NARROWEST, WIDEST = 4, 40
COMFORTABLE = (8, 14)


@dataclass(frozen=True)
class GridLayout:
    """One arrangement. `shown` are the rows that are drawn, from top to bottom."""

    columns: int
    shown: tuple[int, ...]
    gutter: int
    cell_width: int
    window: Size
    """What the cells have of the screen, without labels and scrollbars."""

    def line_of(self, row: int) -> int | None:
        """Which line of cells a row is drawn on; None when it is not."""
        return self.shown.index(row) if row in self.shown else None

    @property
    def whole_columns(self) -> int:
        """How many cells are seen whole beside each other."""
        return max(1, self.window.width // self.cell_width)

    @property
    def virtual_size(self) -> Size:
        """The size to scroll in, such that the last scroll position is a whole cell too."""
        height = HEADER + len(self.shown)
        beyond = self.columns - self.whole_columns
        if beyond <= 0:
            return Size(self.gutter + self.columns * self.cell_width, height)
        return Size(self.gutter + beyond * self.cell_width + self.window.width, height)

    def columns_in_view(self, scroll: Offset) -> range:
        """The columns of which anything is seen."""
        first = scroll.x // self.cell_width
        end = -(-(scroll.x + self.window.width) // self.cell_width)
        return range(first, min(self.columns, end))

    def cell_region(self, row: int, column: int, scroll: Offset) -> Region:
        """Where a cell is seen; may be empty."""
        line = self.line_of(row)
        if line is None:
            return Region()
        x = self.gutter + column * self.cell_width - scroll.x
        y = HEADER + line - scroll.y
        seen = Region(self.gutter, HEADER, *self.window)
        return Region(x, y, self.cell_width, 1).intersection(seen)

    def row_region(self, row: int, scroll: Offset) -> Region:
        """Where a row's cells are seen; may be empty."""
        line = self.line_of(row)
        if line is None:
            return Region()
        seen = Region(self.gutter, HEADER, *self.window)
        return Region(self.gutter, HEADER + line - scroll.y, self.window.width, 1).intersection(
            seen
        )

    def row_label_region(self, row: int, scroll: Offset) -> Region:
        """Where a row's label is seen; may be empty."""
        line = self.line_of(row)
        if line is None:
            return Region()
        seen = Region(0, HEADER, self.gutter, self.window.height)
        return Region(0, HEADER + line - scroll.y, self.gutter, 1).intersection(seen)

    def column_label_region(self, column: int, scroll: Offset) -> Region:
        """Where a column's label is seen; may be empty."""
        x = self.gutter + column * self.cell_width - scroll.x
        seen = Region(self.gutter, 0, self.window.width, HEADER)
        return Region(x, 0, self.cell_width, HEADER).intersection(seen)

    def cell_under(self, point: Offset, scroll: Offset) -> tuple[int | None, int | None]:
        """The row and the column of a point; None for one that it has not, as on a label."""
        line = point.y - HEADER + scroll.y
        column = (point.x - self.gutter + scroll.x) // self.cell_width
        below, right = point.y >= HEADER, point.x >= self.gutter
        return (
            self.shown[line] if below and 0 <= line < len(self.shown) else None,
            column if right and 0 <= column < self.columns else None,
        )

    def hidden_columns(self, scroll: Offset) -> tuple[bool, bool]:
        """Whether there are columns left of the window, and right of it or cut by it."""
        end = scroll.x + self.window.width
        return scroll.x > 0, end < self.columns * self.cell_width

    def scroll_to_see(self, row: int, column: int, scroll: Offset) -> Offset:
        """The nearest scroll position, in whole cells, at which the cell is seen whole."""
        first = scroll.x // self.cell_width
        first = min(column, max(first, column - self.whole_columns + 1))
        line = self.line_of(row) or 0
        top = min(line, max(scroll.y, line - max(1, self.window.height) + 1))
        return Offset(first * self.cell_width, top)


def rows_to_show(count: int, stride: int, bottom_up: bool) -> tuple[int, ...]:
    """Every `stride`-th row counted back from the last, top to bottom of the screen."""
    rows = tuple(row for row in range(count) if (count - 1 - row) % stride == 0)
    return rows[::-1] if bottom_up else rows


def gutter_for(labels: Sequence[str]) -> int:
    """Columns for the row labels: a lead column, the widest label, a space."""
    return min(LABEL_LIMIT, max(map(cell_len, labels), default=0)) + 2


def width_that_fits(
    columns: int, window_width: int, comfortable: tuple[int, int] = COMFORTABLE
) -> int:
    """A cell width at which all columns fit, if it is neither cramped nor wasteful."""
    low, high = comfortable
    return max(low, min(high, window_width // max(1, columns)))
