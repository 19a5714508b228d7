"""One cell: lead column, text, micro-bar."""

from __future__ import annotations

import math

from mlxterp_tui.widgets.cell_painter import BLANK, UNKNOWN, Cell, CellPainter
from mlxterp_tui.widgets.paint import ASCII_BARS, BLOCK_BARS, CellStyle

import pytest
from rich.style import Style

COLD, HOT = (Style.parse("white on blue"), Style.parse("black on red"))
STYLES = (CellStyle(COLD, COLD), CellStyle(HOT, Style.parse("yellow on red")))
DIM, CROSS = Style.parse("dim"), Style.parse("red")


@pytest.fixture
def painter() -> CellPainter:
    return CellPainter(8, STYLES, DIM, CROSS)


def text_of(segments) -> str:
    return "".join(segment.text for segment in segments)


def test_the_level_chooses_the_colour_and_the_bar(painter):
    (cold,) = painter.segments(Cell(" of", 0.0))
    hot, bar = painter.segments(Cell(" of", 1.0))
    assert (cold.text, cold.style) == (" ·of   ▁", COLD)
    assert (hot.text, hot.style) == (" ·of   ", HOT)
    assert (bar.text, bar.style) == ("█", STYLES[1].bar)


def test_a_mark_stands_in_the_lead_column(painter):
    assert text_of(painter.segments(Cell("of", 0.0), "◆")) == "◆of    ▁"


def test_unknown_is_a_dot_and_failed_a_cross_without_a_bar(painter):
    (unknown,), (failed,) = painter.segments(UNKNOWN), painter.segments(Cell("x", math.nan))
    assert (unknown.text, unknown.style) == (" ·      ", DIM)
    assert (failed.text, failed.style) == (" ×      ", CROSS)


@pytest.mark.parametrize(
    ("cell", "lead", "shown"),
    [
        (Cell("of", 0.0), " ", "[of   ]▁"),
        (Cell("abcdefgh", 1.0), " ", "[abcd…]█"),
        (Cell("of", 0.0), "◆", "◆of   ]▁"),
        (UNKNOWN, " ", "[·     ]"),
        (Cell("", math.nan), " ", "[×     ]"),
    ],
)
def test_the_cursor_is_in_brackets_and_reversed(painter, cell, lead, shown):
    cursor = painter.cursor(cell, lead)
    assert cursor.text == shown
    assert cursor.style is not None
    assert cursor.style.reverse
    assert cursor.style.bold


def test_without_the_focus_the_cursor_keeps_its_brackets_and_its_colours(painter):
    cursor = painter.cursor(Cell("of", 0.0), focused=False)
    assert cursor.text == "[of   ]▁"
    assert cursor.style is not None
    assert not cursor.style.reverse
    assert cursor.style.bgcolor == COLD.bgcolor


@pytest.mark.parametrize("bars", [BLOCK_BARS, ASCII_BARS])
def test_bars_rise_with_the_level(bars):
    painter = CellPainter(6, STYLES, DIM, CROSS, bars)
    glyphs = [text_of(painter.segments(Cell("a", step / 100)))[-1] for step in range(101)]
    places = [bars.index(glyph) for glyph in glyphs]
    assert places == sorted(places)
    assert set(glyphs) == set(bars)


@pytest.mark.parametrize("level", [-3.0, 7.0])
def test_a_level_beyond_the_ends_is_drawn_as_the_end(painter, level):
    end = 0.0 if level < 0 else 1.0
    assert painter.segments(Cell("a", level)) == painter.segments(Cell("a", end))


def test_where_there_is_nothing_to_know_nothing_is_drawn(painter):
    (blank,) = painter.segments(BLANK)
    assert blank.text == " " * 8
    assert painter.cursor(BLANK).text == "[      ]"


def test_in_a_narrow_cell_digits_take_the_place_of_the_closing_bracket():
    narrow = CellPainter(6, STYLES, DIM, CROSS)
    assert text_of(narrow.segments(Cell("+.58", 1.0))) == " +.58█"
    assert narrow.cursor(Cell("+.58", 1.0)).text == "[+.58█"
    assert narrow.cursor(Cell("0", 1.0)).text == "[0  ]█"


def test_a_size_of_its_own_is_what_the_bar_shows_and_next_to_nothing_is_mild(painter):
    """Level 1 of −1 … +1 at both ends: how far from the middle, not how high."""
    least = painter.segments(Cell("−1.0", 0.0, 1.0))
    assert text_of(least) == " −1.0  █"
    (nothing,) = painter.segments(Cell("+.01", 1.0, 0.01))
    assert (nothing.text, nothing.style) == (" +.01   ", STYLES[1].bar)
    assert painter.cursor(Cell("+.01", 1.0, 0.01)).text == "[+.01 ] "
