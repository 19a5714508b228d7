"""The exact text that one token stands for, read off the tokenizer's own decoder.

Decoding an id alone is not that: it strips SentencePiece's leading space and puts U+FFFD for
half a character. Here a byte that is no UTF-8 by itself shows as ⟨e4⟩.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from typing import Any

from tokenizers import Tokenizer

BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")

Spell = Callable[[str], str]


def _angled(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    wrong = error.object[error.start : error.end]
    return "".join(f"⟨{byte:02x}⟩" for byte in wrong), error.end


codecs.register_error("angled", _angled)


def legible(data: bytes) -> str:
    """UTF-8 as text, and each byte that is none as ⟨e4⟩."""
    return data.decode("utf-8", "angled")


def byte_alphabet() -> dict[str, int]:
    """GPT-2's letters for the 256 bytes: printable Latin-1 as itself, the rest from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {chr(byte): byte for byte in printable}
    return letters | {chr(256 + i): byte for i, byte in enumerate(others)}


ALPHABET = byte_alphabet()
LETTER = {byte: letter for letter, byte in ALPHABET.items()}


def spell_bytes(piece: str) -> str:
    """A byte-level piece as text: 'ĠParis' is ' Paris'."""
    if not all(letter in ALPHABET for letter in piece):
        return piece
    return legible(bytes(ALPHABET[letter] for letter in piece))


def decoder_steps(tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """The tokenizer's decoder as a flat list of its steps, each as in tokenizer.json."""
    if tokenizer.decoder is None:
        return []
    state = json.loads(tokenizer.decoder.__getstate__())
    return state["decoders"] if state["type"] == "Sequence" else [state]


def spelling(tokenizer: Tokenizer) -> Spell | None:
    """How a piece of this vocabulary reads as text; None when the decoder is not understood."""
    steps = decoder_steps(tokenizer)
    kinds = {step["type"] for step in steps}
    if "ByteLevel" in kinds:
        return spell_bytes
    if not kinds <= {"Replace", "Metaspace", "ByteFallback", "Fuse", "Strip"}:
        return None
    replacements = list(filter(None, map(_replacement, steps)))
    return lambda piece: _spell_piece(piece, replacements, "ByteFallback" in kinds)


def space_mark(tokenizer: Tokenizer) -> str | None:
    """What stands for a space inside pieces (▁), where the vocabulary is not byte-level."""
    for found, text in filter(None, map(_replacement, decoder_steps(tokenizer))):
        if text == " ":
            return found
    return None


def _replacement(step: dict[str, Any]) -> tuple[str, str] | None:
    if step["type"] == "Metaspace":
        return step["replacement"], " "
    if step["type"] == "Replace" and "String" in step["pattern"]:
        return step["pattern"]["String"], step["content"]
    return None


def _spell_piece(piece: str, replacements: list[tuple[str, str]], bytes_too: bool) -> str:
    byte = BYTE_PIECE.fullmatch(piece) if bytes_too else None
    if byte:
        return legible(bytes([int(byte[1], 16)]))
    for found, text in replacements:
        piece = piece.replace(found, text)
    return piece
