"""What kind of words a text is made of, so that what takes its place reads as it did."""

from __future__ import annotations

import re

WORDS = re.compile(r"\s+|[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+|.")

Kind = tuple[str, ...]
"""Spaces and punctuation as they are; X… for capitalised words, XX capitals, X one alone, x other
letters, 0 digits."""

CAPITALISED, CAPITALS, CAPITAL, LETTERS, DIGITS = "X…", "XX", "X", "x", "0"


def kind_of(text: str) -> Kind:
    """' New York' is (' ', 'X…', ' ', 'X…')."""
    return tuple(_kind_of_word(word) for word in WORDS.findall(text))


def may_become(text: str, kind: Kind) -> bool:
    """Whether more letters or words behind the text can make it one of this kind."""
    own = kind_of(text)
    if not own or len(own) > len(kind) or own[:-1] != kind[: len(own) - 1]:
        return not own
    wanted = kind[len(own) - 1]
    return own[-1] == wanted or (own[-1] == CAPITAL and wanted in (CAPITALISED, CAPITALS))


def _kind_of_word(word: str) -> str:
    if word[0].isdigit():
        return DIGITS
    if not word[0].isalpha():
        return word
    if not word[0].isupper():
        return LETTERS
    if len(word) == 1:
        return CAPITAL
    return CAPITALS if word.isupper() else CAPITALISED
