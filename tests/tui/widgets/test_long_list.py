"""A list of any length: the cursor, its keys, a click, and how little is drawn."""

from __future__ import annotations

from mlxterp_tui.widgets.long_list import LongList

import pytest

SIZE = (20, 6)
MANY = 100_000


@pytest.fixture
def drawn() -> list[int]:
    return []


@pytest.fixture
def listed(drawn) -> LongList:
    def draw(line: int, width: int) -> list[tuple[str, str]]:
        drawn.append(line)
        return [(f"line {line}", "")]

    return LongList(draw)


def many(listed: LongList) -> None:
    listed.set_lines(MANY)


async def test_only_what_is_seen_is_drawn_and_a_move_draws_two_lines(alone, listed, drawn):
    app = alone(listed, many)
    async with app.run_test(size=SIZE) as pilot:
        assert app.lines() == [f"line {line}" for line in range(6)]
        assert set(drawn) == set(range(6))
        drawn.clear()
        await pilot.press("j")
        assert sorted(drawn) == [0, 1]


@pytest.mark.parametrize(
    ("keys", "line"),
    [("j j k", 1), ("J", 8), ("J K K", 0), ("G", MANY - 1), ("G g", 0), ("pagedown pagedown", 10)],
)
async def test_keys_move_and_stop_at_the_ends(alone, listed, keys, line):
    async with alone(listed, many).run_test(size=SIZE) as pilot:
        await pilot.press(*keys.split())
        assert listed.cursor == line


async def test_it_scrolls_with_the_cursor(alone, listed):
    app = alone(listed, many)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("G")
        await pilot.pause()
        assert app.lines()[-1] == f"line {MANY - 1}"


async def test_a_click_moves_there_and_one_on_the_cursor_chooses(alone, listed):
    app = alone(listed, many)
    async with app.run_test(size=SIZE) as pilot:
        for _ in range(2):
            await pilot.click(LongList, offset=(3, 3))
        await pilot.pause()
    assert [(type(message), message.cursor) for message in app.said] == [
        (LongList.CursorMoved, 3),
        (LongList.LineChosen, 3),
    ]


async def test_fewer_lines_take_the_cursor_along(alone, listed):
    app = alone(listed, many)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("G")
        listed.set_lines(3, listed.cursor)
        await pilot.pause()
        assert (listed.cursor, app.lines()[:4]) == (2, ["line 0", "line 1", "line 2", ""])


async def test_an_empty_list_takes_every_key(alone, listed):
    app = alone(listed)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("j", "G", "pageup", "home")
    assert (listed.cursor, app.said) == (0, [])
