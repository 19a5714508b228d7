"""One column of the grid as a list over rows."""

from __future__ import annotations

import math

from mlxterp_tui.widgets.column_list import ColumnList, ColumnRow

import pytest

SIZE = (60, 6)


def filled(column: ColumnList) -> None:
    column.set_labels(["embed", "0", "1", "2"])
    column.set_row(0, ColumnRow([" a", " b"], 0.0, ".001"))
    column.set_row(2, ColumnRow([], math.nan))
    column.set_row(3, ColumnRow([" Paris", " the", "\n"], 1.0, ".412"))


@pytest.fixture
def column() -> ColumnList:
    return ColumnList(ascii_bars=False)


async def test_each_row_has_label_text_bar_value_and_other_texts(alone, column):
    app = alone(column, filled)
    async with app.run_test(size=SIZE):
        embed, unknown, failed, last, *_ = app.lines()
    assert embed.split() == ["▸embed", "·a", ".001", "·b"]
    assert unknown.split() == ["0", "·"]
    assert failed.split() == ["1", "×"]
    assert last.split() == ["2", "·Paris", "████████", ".412", "·the", "⏎"]


async def test_bottom_up_keeps_the_cursor_on_its_row(alone, column):
    app = alone(column, filled)
    async with app.run_test(size=SIZE) as pilot:
        column.bottom_up = True
        await pilot.pause()
        assert app.lines()[3].startswith("▸embed")
        await pilot.press("k")
        assert column.cursor == 1


@pytest.mark.parametrize(
    ("keys", "row"), [("j j", 2), ("G", 3), ("G g", 0), ("J", 3), ("pagedown", 3), ("k", 0)]
)
async def test_keys_move_and_stop_at_the_ends(alone, column, keys, row):
    async with alone(column, filled).run_test(size=SIZE) as pilot:
        await pilot.press(*keys.split())
        assert column.cursor == row


async def test_it_scrolls_with_the_cursor(alone, column):
    app = alone(column, lambda column: column.set_labels([str(row) for row in range(30)]))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("G")
        await pilot.pause()
        assert app.lines()[5].startswith("▸29")


async def test_moving_and_choosing_are_told(alone, column):
    app = alone(column, filled)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("j", "enter")
        await pilot.click(ColumnList, offset=(3, 3))
        await pilot.pause()
    assert [(type(message), message.row) for message in app.said] == [
        (ColumnList.CursorMoved, 1),
        (ColumnList.RowChosen, 1),
        (ColumnList.CursorMoved, 3),
    ]


async def test_an_empty_list_takes_every_key(alone, column):
    app = alone(column)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("j", "G", "pageup", "enter")
    assert app.said == []


async def test_rows_must_be_as_many_as_labels(alone, column):
    async with alone(column, filled).run_test(size=SIZE):
        with pytest.raises(ValueError, match="1 rows for 4 row labels"):
            column.set_rows([ColumnRow([])])
