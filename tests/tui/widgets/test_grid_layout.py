"""Where cells are. Gutter 5, cells of 10, a window of 35 × 6 for 8 columns × 10 rows."""

from __future__ import annotations

from mlxterp_tui.widgets.grid_layout import (
    GridLayout,
    gutter_for,
    rows_to_show,
    width_that_fits,
)

import pytest
from textual.geometry import Offset, Region, Size

TOP = Offset(0, 0)


@pytest.fixture
def places() -> GridLayout:
    return GridLayout(8, tuple(range(10)), gutter=5, cell_width=10, window=Size(35, 6))


@pytest.mark.parametrize(
    ("count", "stride", "bottom_up", "rows"),
    [
        (4, 1, False, (0, 1, 2, 3)),
        (4, 1, True, (3, 2, 1, 0)),
        (8, 3, False, (1, 4, 7)),
        (7, 3, True, (6, 3, 0)),
        (0, 2, False, ()),
    ],
)
def test_every_nth_row_is_counted_back_from_the_last(count, stride, bottom_up, rows):
    assert rows_to_show(count, stride, bottom_up) == rows


def test_the_last_scroll_position_is_a_whole_cell(places):
    most = places.virtual_size.width - places.gutter - places.window.width
    assert most == 5 * 10


def test_what_fits_does_not_scroll():
    places = GridLayout(3, (0, 1), gutter=5, cell_width=10, window=Size(35, 6))
    assert places.virtual_size == Size(35, 3)


def test_a_cell_is_below_the_header_and_right_of_the_labels(places):
    assert places.cell_region(0, 0, TOP) == Region(5, 1, 10, 1)
    assert places.cell_region(4, 2, Offset(10, 3)) == Region(15, 2, 10, 1)


def test_a_cell_is_cut_at_the_edge_and_empty_beyond_it(places):
    assert places.cell_region(0, 3, TOP) == Region(35, 1, 5, 1)
    assert not places.cell_region(0, 4, TOP)
    assert not places.cell_region(6, 0, TOP)
    assert not places.cell_region(0, 0, Offset(10, 0))


def test_a_row_is_as_wide_as_the_window_and_empty_out_of_it(places):
    assert places.row_region(2, TOP) == Region(5, 3, 35, 1)
    assert not places.row_region(6, TOP)
    assert not places.row_region(0, Offset(0, 1))


def test_the_columns_in_view_count_a_cut_one(places):
    assert places.columns_in_view(Offset(20, 0)) == range(2, 6)
    assert places.columns_in_view(Offset(50, 0)) == range(5, 8)


@pytest.mark.parametrize(
    ("point", "cell"),
    [
        ((5, 1), (0, 0)),
        ((14, 1), (0, 0)),
        ((15, 2), (1, 1)),
        ((4, 2), (1, None)),
        ((15, 0), (None, 1)),
        ((0, 0), (None, None)),
    ],
)
def test_a_point_finds_its_cell(places, point, cell):
    assert places.cell_under(Offset(*point), TOP) == cell


def test_a_point_below_the_last_row_finds_none():
    places = GridLayout(2, (1, 0), gutter=5, cell_width=10, window=Size(35, 6))
    assert places.cell_under(Offset(5, 1), TOP) == (1, 0)
    assert places.cell_under(Offset(5, 3), TOP) == (None, 0)
    assert places.cell_under(Offset(25, 1), TOP) == (1, None)


@pytest.mark.parametrize(
    ("row", "column", "start", "end"),
    [
        (0, 2, (0, 0), (0, 0)),
        (0, 3, (0, 0), (10, 0)),
        (9, 7, (0, 0), (50, 4)),
        (2, 1, (50, 4), (10, 2)),
    ],
)
def test_it_scrolls_as_little_as_shows_the_whole_cell(places, row, column, start, end):
    assert places.scroll_to_see(row, column, Offset(*start)) == Offset(*end)


@pytest.mark.parametrize(("columns", "room", "width"), [(5, 60, 12), (5, 200, 14), (64, 100, 8)])
def test_cells_are_neither_cramped_nor_wasteful(columns, room, width):
    assert width_that_fits(columns, room) == width


def test_the_gutter_holds_a_mark_the_widest_label_and_a_space():
    assert gutter_for(["0", "embed", "日"]) == 7
    assert gutter_for(["x" * 99]) == 16


@pytest.mark.parametrize(
    ("left", "hidden"), [(0, (False, True)), (20, (True, True)), (50, (True, False))]
)
def test_it_knows_on_which_side_there_is_more(places, left, hidden):
    assert places.hidden_columns(Offset(left, 0)) == hidden
