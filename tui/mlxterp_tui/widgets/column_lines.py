"""A small line under each column of a grid: how something goes from its first row to its last."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import ClassVar

from mlxterp_tui.widgets.cell_grid import CellGrid
from mlxterp_tui.widgets.chart_axis import Axis, fitted
from mlxterp_tui.widgets.chart_canvas import FAILED, Series, drawn
from mlxterp_tui.widgets.colour_depth import ascii_only
from mlxterp_tui.widgets.mini_line import peaks
from mlxterp_tui.widgets.paint import ASCII_BARS, micro_bar
from mlxterp_tui.widgets.token_text import fit

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

Levels = Callable[[int], Sequence[float | None]]
UNIT = fitted(Axis(least=0.0, most=1.0), ())


class ColumnLines(Widget):
    """Scrolls with its grid. Only columns that are seen are ever asked for. No keys, no messages.

    Braille dots, as many rows of them as the widget is high; one bar a cell without them.
    """

    DEFAULT_CSS = """
    ColumnLines {
        height: 1;
        &>.column-lines--label { color: $foreground-muted; }
        &>.column-lines--line { color: $primary; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"column-lines--label", "column-lines--line"}

    def __init__(
        self, grid: CellGrid, *, ascii_bars: bool | None = None, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self._grid = grid
        self._label = ""
        self._levels: Levels = lambda column: ()
        self._drawn: dict[tuple[int, int, int], list[str]] = {}
        self._blocks = not (ascii_only(os.environ) if ascii_bars is None else ascii_bars)

    def on_mount(self) -> None:
        for name in ("scroll_x", "places"):
            self.watch(self._grid, name, self._moved, init=False)

    def _moved(self, value: object) -> None:
        self.call_after_refresh(self.refresh)

    def show(self, label: str, levels: Levels, height: int = 1) -> None:
        """levels(column): 0..1 for each row of the grid, the first at the left; None: a gap."""
        self._label, self._levels = label, levels
        self.styles.height = height
        self._drawn.clear()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        style = self.get_component_rich_style
        places, scroll = self._grid.places, self._grid.scroll_offset
        label = self._label if y == self.size.height - 1 else ""
        segments = [Segment(fit(label, places.gutter), style("column-lines--label"))]
        for column in places.columns_in_view(scroll):
            text = self._line(column, places.cell_width - 1)[y] + " "
            segments.append(Segment(text, style("column-lines--line")))
        first = places.gutter + scroll.x % places.cell_width
        head, lines = Strip(segments[:1]), Strip(segments[1:])
        seen = lines.crop(first - places.gutter, first - places.gutter + places.window.width)
        return Strip.join([head, seen]).adjust_cell_length(self.size.width, self.rich_style)

    def _line(self, column: int, width: int) -> list[str]:
        """Its rows of characters, drawn when first seen."""
        key = column, width, self.size.height
        if key not in self._drawn:
            self._drawn[key] = self._draw(list(self._levels(column)), *key[1:])
        return self._drawn[key]

    def _draw(self, levels: Sequence[float | None], width: int, height: int) -> list[str]:
        if not levels:
            return [" " * width] * height
        if not self._blocks:
            return [*[" " * width] * (height - 1), fit(_bars(levels, width), width)]
        x = fitted(Axis(least=0.0, most=max(1.0, len(levels) - 1.0)), ())
        canvas = drawn([Series("", range(len(levels)), levels)], x, UNIT, width, height, True)
        return [
            "".join(canvas.character(column, row) for column in range(width))
            for row in range(height)
        ]


def _bars(levels: Sequence[float | None], width: int) -> str:
    found = (level for level, _, _ in peaks(levels, width))
    return "".join(_bar(level) for level in found)


def _bar(level: float | None) -> str:
    if level is None:
        return " "
    return FAILED if level != level else micro_bar(level, ASCII_BARS)
