"""How many colours, and why."""

from __future__ import annotations

from mlxterp_tui.widgets.cell_grid import CellGrid
from mlxterp_tui.widgets.cell_painter import Cell
from mlxterp_tui.widgets.colour_depth import (
    ascii_only,
    colour_system,
    depth_of,
    use_colour_system,
)
from mlxterp_tui.widgets.no_colour import plain

import pytest
from rich.style import Style
from textual.app import App
from textual.color import Color
from textual.filter import Monochrome


@pytest.mark.parametrize(
    ("environ", "wanted", "depth", "reason"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "auto", "truecolor", "COLORTERM"),
        ({"TERM": "xterm-256color"}, "auto", "256", "TERM=xterm-256color"),
        ({"TERM": "tmux-256color"}, "auto", "256", "TERM=tmux-256color"),
        ({"TERM": "xterm-kitty"}, "auto", "256", "TERM=xterm-kitty"),
        ({"TERM": "xterm-ghostty"}, "auto", "16", "TERM=xterm-ghostty"),
        ({"TERM": "screen"}, "auto", "16", "TERM=screen"),
        ({}, "auto", "16", "TERM is not set"),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, "auto", "none", "TERM=dumb"),
        ({"NO_COLOR": "", "COLORTERM": "truecolor"}, "auto", "none", "NO_COLOR is set"),
        ({"NO_COLOR": "1"}, "256", "256", "--color 256"),
        ({"COLORTERM": "truecolor"}, "none", "none", "--color none"),
        ({"TERM": "xterm", "TEXTUAL_COLOR_SYSTEM": "256"}, "auto", "256", "TEXTUAL_COLOR_SYSTEM"),
    ],
)
def test_the_terminal_is_asked_unless_the_user_said(environ, wanted, depth, reason):
    found, why = colour_system(environ, wanted)
    assert found == depth
    assert reason in why


@pytest.mark.parametrize(
    ("environ", "ascii"),
    [
        ({"LANG": "en_US.UTF-8"}, False),
        ({"LANG": "C"}, True),
        ({"LC_ALL": "C.utf8", "LANG": "C"}, False),
        ({"LC_ALL": "", "LANG": "de_DE.ISO-8859-1"}, True),
        ({"TERM": "linux", "LANG": "en_US.UTF-8"}, True),
        ({}, False),
    ],
)
def test_blocks_want_utf_8_and_a_font_that_has_them(environ, ascii):
    assert ascii_only(environ) is ascii


@pytest.mark.parametrize("depth", ["truecolor", "256", "16", "none"])
async def test_what_was_set_is_in_force(depth):
    app = App()
    use_colour_system(app, depth)
    async with app.run_test():
        assert depth_of(app) == depth


def test_the_users_word_takes_textuals_grey_away_and_leaves_its_other_filters(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app = App()
    before = {type(line_filter) for line_filter in app._filters}
    use_colour_system(app, "256")
    assert before - {type(line_filter) for line_filter in app._filters} == {Monochrome}
    assert not app.no_color


async def test_an_app_without_a_terminal_paints_all_colours():
    app = App()
    async with app.run_test():
        assert depth_of(app) == "truecolor"


async def test_without_colours_none_is_sent_and_the_cursor_is_still_seen(alone):
    def fill(grid: CellGrid) -> None:
        grid.set_labels(["0"], ["a", "b"])
        grid.set_row(0, [Cell("x", 0.1), Cell("y", 0.9)])

    app = alone(CellGrid(ascii_bars=False), fill)
    use_colour_system(app, "none")
    async with app.run_test(size=(40, 5)):
        segments = [
            segment for strip in app.screen._compositor.render_strips() for segment in strip
        ]
    styles = [segment.style for segment in segments if segment.style]
    assert not [style for style in styles if style.color or style.bgcolor]
    (cursor,) = [segment for segment in segments if segment.style and segment.style.reverse]
    assert cursor.text.startswith("[x")


@pytest.mark.parametrize(
    ("style", "reversed"),
    [
        ("white on #f0a45d", True),
        ("white on #161b22", False),
        ("white", False),
        ("reverse white on #161b22", True),
    ],
)
def test_a_ground_that_was_meant_to_be_seen_becomes_reversed(style, reversed):
    assert bool(plain(Style.parse(style), Color.parse("#0f1216")).reverse) is reversed
