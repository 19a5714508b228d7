"""The grid on a screen, driven by keys."""

from __future__ import annotations

import math

from mlxterp_tui.widgets.cell_grid import CellGrid
from mlxterp_tui.widgets.cell_painter import Cell

import pytest
from textual.events import MouseScrollRight

SIZE = (46, 9)
"""A gutter of 7 and 39 columns: four whole cells of 8 and a cut one; eight rows."""


def filled(grid: CellGrid) -> None:
    """31 rows × 20 columns; a cell says its row and column, its level is its row."""
    grid.cell_width = 8
    grid.set_labels(["embed", *map(str, range(30))], [f" t{column}" for column in range(20)])
    for row in range(31):
        grid.set_row(row, [Cell(f"{row}.{column}", row / 30) for column in range(20)])


@pytest.fixture
def grid() -> CellGrid:
    return CellGrid(corner="block", ascii_bars=False)


async def test_rows_and_columns_stand_under_their_labels(alone, grid):
    app = alone(grid, filled)
    async with app.run_test(size=SIZE):
        header, first, second, *_ = app.lines()
    assert header == " block ▾·t0     ·t1     ·t2     ·t3     ·t4 ›"
    assert first == "▸embed [0.0  ]▁ 0.1   ▁ 0.2   ▁ 0.3   ▁ 0.4"
    assert second.startswith("     0  1.0   ▁ 1.1   ▁")


async def test_labels_stay_while_cells_scroll(alone, grid):
    app = alone(grid, filled)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("G", "end")
        header, *_, last = app.lines()
    assert header.split() == ["block‹", "·t16", "·t17", "·t18", "▾·t19"]
    assert last.startswith("▸   29 ")
    assert "[30.19]█" in last


@pytest.mark.parametrize(
    ("keys", "cursor"),
    [
        ("l l j", (1, 2)),
        ("right down down left", (2, 0)),
        ("L J", (8, 8)),
        ("ctrl+right ctrl+down k h", (7, 7)),
        ("G end", (30, 19)),
        ("G end g home", (0, 0)),
        ("h k", (0, 0)),
        ("pagedown", (7, 0)),
        ("G L L L", (30, 19)),
    ],
)
async def test_keys_move_the_cursor_and_stop_at_the_edges(alone, grid, keys, cursor):
    async with alone(grid, filled).run_test(size=SIZE) as pilot:
        await pilot.press(*keys.split())
        assert grid.cursor == cursor


async def test_bottom_up_puts_row_0_below_and_up_still_means_up(alone, grid):
    app = alone(grid, filled)
    async with app.run_test(size=SIZE) as pilot:
        grid.cursor = (4, 0)
        grid.bottom_up = True
        await pilot.press("k")
        assert grid.cursor == (5, 0)
        await pilot.press("g")
        assert grid.cursor == (30, 0)
        assert app.lines()[1].startswith("▸   29")


async def test_a_stride_keeps_the_last_row_and_takes_the_cursor_along(alone, grid):
    async with alone(grid, filled).run_test(size=SIZE) as pilot:
        grid.cursor = (2, 0)
        grid.stride = 7
        await pilot.pause()
        assert grid.shown_rows == (2, 9, 16, 23, 30)
        grid.stride = 4
        assert grid.cursor == (2, 0)
        grid.stride = 9
        assert grid.cursor == (3, 0)


async def test_a_cell_not_known_yet_is_a_dot_and_a_failed_one_a_cross(alone, grid):
    def fill(grid: CellGrid) -> None:
        grid.set_labels(["0", "1"], ["a", "b"])
        grid.set_row(1, [Cell("x", math.nan), Cell("ok", 1.0)])

    app = alone(grid, fill)
    async with app.run_test(size=SIZE):
        _, unknown, known, *_ = app.lines()
    assert unknown.split() == ["▸", "0", "[·", "]", "·"]
    assert known.split() == ["1", "×", "ok", "█"]


async def test_an_arriving_row_repaints_only_that_row(alone, grid):
    async with alone(grid, filled).run_test(size=SIZE) as pilot:
        await pilot.pause()
        painted: list[int] = []
        stock = grid.render_line
        grid.render_line = lambda y: painted.append(y) or stock(y)
        grid.set_row(3, [Cell("new", 0.5)] * 20)
        await pilot.pause()
        assert painted == [4]


async def test_a_row_of_the_wrong_length_is_refused(alone, grid):
    async with alone(grid, filled).run_test(size=SIZE):
        with pytest.raises(ValueError, match="row 3 has 2 cells for 20 columns"):
            grid.set_row(3, [Cell("a"), Cell("b")])


async def test_marks_take_the_lead_columns(alone, grid):
    app = alone(grid, filled)
    async with app.run_test(size=SIZE) as pilot:
        grid.set_marks({(0, 0): "◆", (1, 1): "•"})
        grid.set_row_marks({1: "×"})
        grid.set_column_marks({2: "▲"})
        await pilot.pause()
        header, first, second, *_ = app.lines()
    assert "▲·t2" in header
    assert "◆0.0  ]▁" in first
    assert second.startswith("×    0  1.0   ▁•1.1")


async def test_widening_is_kept_within_bounds_and_equals_fits_again(alone, grid):
    async with alone(grid, filled).run_test(size=SIZE) as pilot:
        await pilot.press("greater_than_sign", "greater_than_sign")
        assert grid.shown_width == 10
        await pilot.press(*["less_than_sign"] * 20)
        assert grid.shown_width == 4
        await pilot.press("equals_sign")
        assert grid.shown_width == 8


async def test_moving_and_choosing_are_told_with_row_and_column(alone, grid):
    app = alone(grid, filled)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("l", "j", "enter")
        await pilot.pause()
    told = [(type(message), message.row, message.column) for message in app.said]
    assert told == [
        (CellGrid.CursorMoved, 0, 1),
        (CellGrid.CursorMoved, 1, 1),
        (CellGrid.CellChosen, 1, 1),
    ]


def test_of_two_waiting_moves_the_later_one_stands_for_both(grid):
    first, second = CellGrid.CursorMoved(grid, 0, 1), CellGrid.CursorMoved(grid, 0, 2)
    assert first.can_replace(second)
    assert not first.can_replace(CellGrid.CursorMoved(CellGrid(), 0, 2))


async def test_a_click_moves_and_a_second_one_chooses(alone, grid):
    app = alone(grid, filled)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.click(CellGrid, offset=(7 + 2 * 8, 3))
        assert grid.cursor == (2, 2)
        await pilot.click(CellGrid, offset=(7 + 2 * 8, 3))
        await pilot.pause()
        assert grid.cursor == (2, 2)
    assert [type(message) for message in app.said] == [CellGrid.CursorMoved, CellGrid.CellChosen]


async def test_a_click_on_a_label_moves_to_its_row_or_column(alone, grid):
    app = alone(grid, filled)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.click(CellGrid, offset=(2, 5))
        assert grid.cursor == (4, 0)
        await pilot.click(CellGrid, offset=(7 + 3 * 8, 0))
        assert grid.cursor == (4, 3)
        await pilot.click(CellGrid, offset=(0, 0))
        assert grid.cursor == (4, 3)
        await pilot.pause()
    assert CellGrid.CellChosen not in map(type, app.said)


async def test_the_wheel_goes_sideways_by_whole_cells(alone, grid):
    async with alone(grid, filled).run_test(size=SIZE) as pilot:
        await pilot._post_mouse_events([MouseScrollRight], CellGrid, (20, 3), button=0)
        await pilot.pause()
        assert grid.scroll_offset.x == 8


async def test_whoever_scrolls_it_stops_at_a_whole_cell(alone, grid):
    async with alone(grid, filled).run_test(size=SIZE) as pilot:
        for wanted, reached in ((5, 8), (13, 16), (999, 16 * 8)):
            grid.scroll_to(x=wanted, animate=False)
            await pilot.pause()
            assert grid.scroll_offset.x == reached


async def test_wide_characters_keep_the_columns_in_line(alone, grid):
    def fill(grid: CellGrid) -> None:
        grid.cell_width = 8
        grid.set_labels(["0", "1"], ["한국어한국어", "b"])
        grid.set_row(0, [Cell("日本語日本語", 1.0), Cell("x", 1.0)])
        grid.set_row(1, [Cell("👍", 1.0), Cell("e\u0301", 1.0)])

    app = alone(grid, fill)
    async with app.run_test(size=SIZE):
        lines = app.lines()
    assert lines[0] == " block ▾한국어… b"
    assert lines[1] == "▸    0 [日本…]█ x     █"
    assert lines[2] == "     1  👍    █ e\u0301     █"


async def test_an_empty_grid_takes_every_key(alone, grid):
    async with alone(grid).run_test(size=SIZE) as pilot:
        await pilot.press("j", "l", "G", "end", "pagedown", "enter", "greater_than_sign")
        assert grid.cursor == (0, 0)


async def test_new_labels_keep_the_cursor_where_it_still_is_a_cell(alone, grid):
    async with alone(grid, filled).run_test(size=SIZE) as pilot:
        grid.cursor = (30, 19)
        grid.set_labels(["0", "1"], ["a", "b", "c"])
        await pilot.pause()
        assert grid.cursor == (1, 2)
        assert grid.cell_at(1, 2) == Cell("", None)


async def test_another_theme_paints_other_colours(alone, grid):
    app = alone(grid, filled)
    async with app.run_test(size=SIZE) as pilot:
        dark = [segment.style.bgcolor for segment in grid.render_line(3)]
        app.theme = "textual-light"
        await pilot.pause()
        light = [segment.style.bgcolor for segment in grid.render_line(3)]
    assert all(one != other for one, other in zip(dark, light, strict=True))


async def test_the_cursor_is_reversed_only_while_the_keys_go_to_the_grid(alone, grid):
    app = alone(grid, filled)
    async with app.run_test(size=SIZE) as pilot:

        def cursor_is_reversed() -> bool:
            strips = app.screen._compositor.render_strips()
            (cursor,) = [s for strip in strips for s in strip if s.text == "[0.0  ]▁"]
            return bool(cursor.style and cursor.style.reverse)

        await pilot.pause()
        assert cursor_is_reversed()
        app.set_focus(None)
        await pilot.pause()
        assert not cursor_is_reversed()


async def test_a_cell_that_several_share_is_as_wide_as_they_are(alone):
    """46 columns, 3 of them the gutter: six cells of 7, or three of 14."""
    grid = CellGrid(comfortable=(4, 9), ascii_bars=False)

    def fill(grid: CellGrid) -> None:
        grid.set_labels(["0"], [f"h{head}" for head in range(6)])

    app = alone(grid, fill)
    async with app.run_test(size=SIZE) as pilot:
        assert grid.shown_width == 7
        grid.set_labels(["0"], ["kv0", "kv1", "kv2"])
        grid.span = 2
        assert grid.shown_width == 14
        await pilot.pause()
        assert app.lines()[0] == "   ▾kv0           kv1           kv2"
        await pilot.press("greater_than_sign")
        assert grid.shown_width == 16
