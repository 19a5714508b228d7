"""Tokens in cells: every character seen, every cell of its width."""

from __future__ import annotations

from mlxterp_tui.widgets.token_text import fit, legible

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (" Paris", "·Paris"),
        ("  ", "␣␣"),
        (" ", "␣"),
        ("\n", "⏎"),
        ("a\tb", "a⇥b"),
        ("\r\n", "␍⏎"),
        ("⟨e4⟩", "⟨e4⟩"),
        ("한국어", "한국어"),
        ("\u0301", "◌\u0301"),
        ("e\u0301", "e\u0301"),
        ("\x1b[31m", "⟨1b⟩[31m"),
        ("a\u200db", "a⟨200d⟩b"),
        ("\u202eabc", "⟨202e⟩abc"),
        ("❤\ufe0f", "❤"),
        ("", ""),
    ],
)
def test_a_token_shows_what_it_holds(token, shown):
    assert legible(token) == shown


@pytest.mark.parametrize(
    ("text", "width", "fitted"),
    [
        ("ab", 4, "ab  "),
        ("abcd", 4, "abcd"),
        ("abcde", 4, "abc…"),
        ("한국어", 6, "한국어"),
        ("한국어", 5, "한국…"),
        ("한국어", 4, "한… "),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
        ("a", 1, "a"),
        ("ab", 1, "…"),
        ("ab", 0, ""),
    ],
)
def test_a_text_fills_its_width_and_is_cut_between_characters(text, width, fitted):
    assert fit(text, width) == fitted


@given(st.text(max_size=12), st.integers(1, 20))
def test_any_token_takes_exactly_the_width_it_was_given(token, width):
    assert cell_len(fit(legible(token), width)) == width
