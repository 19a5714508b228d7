"""Tokens as text that can be read in a cell: spaces seen, nothing that moves the cursor."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from rich.cells import cell_len, split_graphemes

SPACE = "·"
_NOTHING_BUT_SPACE = "␣"
_NAMED = {"\n": "⏎", "\t": "⇥", "\r": "␍", " ": SPACE, "\u00a0": "⍽"}
_VARIATION_SELECTORS = ("\ufe0e", "\ufe0f")
_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


@lru_cache(8192)
def legible(token: str) -> str:
    """The token with every character visible and of a known width.

    Space `·` (`␣` in a token of spaces alone, which would look like a cell not known yet),
    newline `⏎`, tab `⇥`; other characters without a shape by number, `⟨200d⟩`.
    Variation selectors are left out: terminals do not agree on what they do to the width.
    """
    if token and not token.strip(" "):
        return _NOTHING_BUT_SPACE * len(token)
    shown = "".join(map(_visible, token))
    if shown and cell_len(shown[0]) == 0:
        return "◌" + shown
    return shown


@lru_cache(16384)
def fit(text: str, width: int) -> str:
    """The text in exactly `width` columns: padded, or cut with `…`."""
    length = cell_len(text)
    if length <= width:
        return text + " " * (width - length)
    if width <= 0:
        return ""
    kept, used = "", 0
    spans, _ = split_graphemes(text)
    for start, end, size in spans:
        if used + size > width - 1:
            break
        kept += text[start:end]
        used += size
    return kept + "…" + " " * (width - 1 - used)


def _visible(character: str) -> str:
    if character in _NAMED:
        return _NAMED[character]
    if character in _VARIATION_SELECTORS:
        return ""
    if unicodedata.category(character) in _INVISIBLE:
        return f"⟨{ord(character):02x}⟩"
    return character
