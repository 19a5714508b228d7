"""Tokens as chips."""

from __future__ import annotations

from mlxterp_tui.widgets.token_strip import Chip, TokenStrip, lay_chips

import pytest

CAPITAL = ["The", " capital", " of", " France", " is"]
IDS = [504, 3575, 282, 4649, 314]


def capital(strip: TokenStrip) -> None:
    strip.set_tokens(CAPITAL, IDS)


def test_chips_wrap_when_a_line_is_full():
    assert lay_chips([3, 4, 2], 9, wrap=True) == [
        Chip(0, 0, 0, 3),
        Chip(1, 0, 4, 4),
        Chip(2, 1, 0, 2),
    ]
    assert lay_chips([3, 4, 2], 9, wrap=False)[2] == Chip(2, 0, 9, 2)


def test_a_token_wider_than_the_line_is_cut_to_it():
    assert lay_chips([20, 2], 9, wrap=True) == [Chip(0, 0, 0, 8), Chip(1, 1, 0, 2)]


async def test_boundaries_and_spaces_are_seen(alone):
    app = alone(TokenStrip(), capital)
    async with app.run_test(size=(60, 5)):
        assert app.lines()[0] == "The│·capital│·of│·France│·is│"


async def test_ids_stand_beside_or_under_on_demand(alone):
    strip = TokenStrip()
    app = alone(strip, capital)
    async with app.run_test(size=(60, 5)) as pilot:
        strip.ids = "beside"
        await pilot.pause()
        assert app.lines()[0] == "The 504│·capital 3575│·of 282│·France 4649│·is 314│"
        strip.ids = "under"
        await pilot.pause()
        assert app.lines()[:2] == ["The│·capital│·of│·France│·is│", "504 3575     282 4649    314"]


async def test_it_grows_to_the_lines_it_needs(alone):
    strip = TokenStrip(ids="under")
    strip.styles.height = "auto"
    app = alone(strip, capital)
    async with app.run_test(size=(20, 12)):
        assert strip.size.height == 4
        assert app.lines()[:4] == [
            "The│·capital│·of│",
            "504 3575     282",
            "·France│·is│",
            "4649    314",
        ]


async def test_in_one_row_it_follows_the_cursor(alone):
    strip = TokenStrip(wrap=False)
    app = alone(strip, capital)
    async with app.run_test(size=(14, 3)) as pilot:
        assert app.lines()[0] == "The│·capital│›"
        await pilot.press("end")
        assert app.lines()[0] == "‹│·France│·is│"
        await pilot.press("h")
        assert app.lines()[0] == "‹│·France│·is│"
        await pilot.press("h", "h")
        assert app.lines()[0] == "‹·capital│·of›"
        await pilot.press("home")
        assert app.lines()[0] == "The│·capital│›"


@pytest.mark.parametrize(
    ("keys", "cursor"), [("l", 0), ("l l", 1), ("end", 4), ("end l", 4), ("home h", 0)]
)
async def test_keys_move_over_the_tokens(alone, keys, cursor):
    strip = TokenStrip()
    async with alone(strip, capital).run_test(size=(60, 3)) as pilot:
        await pilot.press(*keys.split())
        assert strip.cursor == cursor


async def test_a_click_tells_which_token(alone):
    app = alone(TokenStrip(), capital)
    async with app.run_test(size=(60, 3)) as pilot:
        await pilot.click(TokenStrip, offset=(14, 0))
        await pilot.pause()
    assert [(type(message), message.index) for message in app.said] == [
        (TokenStrip.CursorMoved, 2),
        (TokenStrip.TokenChosen, 2),
    ]


async def test_shades_colour_the_tokens_they_are_given_for(alone):
    strip = TokenStrip()
    app = alone(strip, capital)
    async with app.run_test(size=(60, 3)) as pilot:
        plain = [segment.style.bgcolor for segment in strip.render_line(0)]
        strip.set_shades([1.0, None])
        await pilot.pause()
        shaded = [segment.style.bgcolor for segment in strip.render_line(0)]
    assert [place for place in range(10) if plain[place] != shaded[place]] == [0]


async def test_new_tokens_take_the_cursor_away_when_its_token_is_gone(alone):
    strip = TokenStrip()
    async with alone(strip, capital).run_test(size=(60, 3)):
        strip.cursor = 4
        strip.set_tokens(["a"])
        assert strip.cursor is None


async def test_without_tokens_it_says_what_comes_here(alone):
    app = alone(TokenStrip(empty="type a prompt"))
    async with app.run_test(size=(60, 3)) as pilot:
        assert app.lines()[0] == "type a prompt"
        await pilot.press("l", "enter", "end")
    assert app.said == []


def test_ids_must_be_as_many_as_tokens():
    with pytest.raises(ValueError, match="1 ids for 2 tokens"):
        TokenStrip().set_tokens(["a", "b"], [1])
