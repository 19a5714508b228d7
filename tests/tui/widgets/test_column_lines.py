"""Small lines under the columns of a grid."""

from __future__ import annotations

import math

from mlxterp_tui.widgets.cell_grid import CellGrid
from mlxterp_tui.widgets.cell_painter import Cell
from mlxterp_tui.widgets.column_lines import ColumnLines

from textual.app import App, ComposeResult

ROWS = 4


class Both(App[None]):
    """A grid of so many columns, each 8 wide, and their lines."""

    def __init__(self, columns: int, levels, height: int = 1, ascii_bars: bool = False) -> None:
        super().__init__()
        self.columns, self.levels, self.high = columns, levels, height
        self.grid = CellGrid(corner="block")
        self.lines_under = ColumnLines(self.grid, ascii_bars=ascii_bars)
        self.asked: list[int] = []

    def compose(self) -> ComposeResult:
        yield self.grid
        yield self.lines_under

    def on_mount(self) -> None:
        self.grid.cell_width = 8
        self.grid.set_labels([str(row) for row in range(ROWS)], ["t"] * self.columns)
        for row in range(ROWS):
            self.grid.set_row(row, [Cell("x", 0.5)] * self.columns)
        self.grid.focus()
        self.lines_under.show("rank", self.level, self.high)

    def level(self, column: int):
        self.asked.append(column)
        return self.levels

    @property
    def shown(self) -> list[str]:
        strips = self.screen._compositor.render_strips()[-self.high :]
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


async def settled(pilot) -> None:
    for _ in range(3):
        await pilot.pause()


async def test_each_column_has_the_way_from_its_first_row_to_its_last():
    app = Both(2, [0.0, 0.0, 1.0, 1.0])
    async with app.run_test(size=(40, 10)) as pilot:
        await settled(pilot)
        assert app.shown == ["rank   ⣀⣀⡠⠔⠊⠉⠉ ⣀⣀⡠⠔⠊⠉⠉"]


async def test_higher_lines_have_more_dots():
    app = Both(1, [0.0, 1.0], height=2)
    async with app.run_test(size=(40, 10)) as pilot:
        await settled(pilot)
        assert app.shown == ["          ⢀⡠⠔⠊", "rank   ⡠⠔⠊⠁"]


async def test_what_is_not_known_leaves_a_gap_and_what_failed_is_marked():
    app = Both(1, [0.0, None, math.nan, 1.0])
    async with app.run_test(size=(40, 10)) as pilot:
        await settled(pilot)
        assert app.shown == ["rank   ⣤ · × ⠈"]


async def test_without_braille_there_are_bars():
    app = Both(1, [0.0, 0.5, None, 1.0], ascii_bars=True)
    async with app.run_test(size=(40, 10)) as pilot:
        await settled(pilot)
        assert app.shown == ["rank   .+ @"]


async def test_lines_scroll_with_the_grid_and_only_what_is_seen_is_asked_for():
    app = Both(100, [0.0, 1.0])
    async with app.run_test(size=(31, 10)) as pilot:
        await settled(pilot)
        assert max(app.asked) < 6
        app.grid.cursor = (0, 99)
        await settled(pilot)
        await settled(pilot)
        assert 99 in app.asked
        assert len(set(app.asked)) < 12


async def test_lines_are_as_wide_as_the_cells_when_the_grid_gets_narrower():
    """As when a scrollbar appears: the cells share what is left, and so do the lines."""
    app = Both(2, [1.0, 1.0])
    async with app.run_test(size=(30, 10)) as pilot:
        app.grid.cell_width = 0
        await settled(pilot)
        before = app.grid.shown_width
        app.grid.styles.width = 25
        await settled(pilot)
        assert app.grid.shown_width < before
        line = app.shown[0].removeprefix("rank   ")
        assert [len(part) for part in line.split(" ")] == [app.grid.shown_width - 1] * 2
