"""Tokens as people can read them on one line."""

from __future__ import annotations

SIGNS = {"\n": "⏎", "\r": "␍", "\t": "⇥", "\x1b": "␛", "\u00a0": "⍽", "\u200b": "⁅zwsp⁆"}


def legible(token: str) -> str:
    """Line breaks, tabs and other unprintable characters as one-line signs; the rest as is."""
    if token.isprintable():
        return token
    return "".join(_sign(character) for character in token)


def quoted(token: str) -> str:
    """In quotes, so that spaces at the ends are seen: ' Paris'."""
    return f"'{legible(token)}'"


def _sign(character: str) -> str:
    if character in SIGNS:
        return SIGNS[character]
    return character if character.isprintable() else f"⟨{ord(character):02x}⟩"
