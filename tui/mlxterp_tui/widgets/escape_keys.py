"""Escape followed at once by another key is those two keys.

A terminal sends Alt with a key as Escape and the key, so the two can't be told apart when they
come in one burst: from quick fingers, or bundled over a slow line. Textual takes them for Alt,
and a field then inserts the key, or a symbol for it. Nothing here is bound to Alt.
"""

from __future__ import annotations

import string
from typing import NamedTuple

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.keys import _character_to_key

ESC = "\x1b"
INTRODUCERS = frozenset("[]OPX^_")  # the second character of longer sequences


class _Key(NamedTuple):
    value: str


def install() -> None:
    """Teach Textual's table of sequences, once for the process. Word moves stay Alt's."""
    for character in string.digits + string.ascii_letters + string.punctuation:
        sequence = ESC + character
        known = ANSI_SEQUENCES_KEYS.get(sequence)
        if character not in INTRODUCERS and (known is None or isinstance(known, str)):
            keys = (_Key("escape"), _Key(_named(character)))
            ANSI_SEQUENCES_KEYS[sequence] = keys  # type: ignore[index]


def _named(character: str) -> str:
    return character if character.isalnum() else _character_to_key(character)
