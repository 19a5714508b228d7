"""A part of the texts is held out, by a rule that neither order nor chance can move.

Texts are told apart by their SHA-256 alone, so that two identical ones never fall on two sides.
Texts that merely resemble each other can.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mlxterp_engine.corpora.corpus import Text
from mlxterp_engine.experiments import BadInput

PART = 10  # one in so many is held out
FEW = 10  # texts: with fewer, each gives its end
_BLANK = re.compile(r"\n[ \t]*\n\s*")


class Split(NamedTuple):
    """rule: in words, a clause."""

    training: tuple[Text, ...]
    held_out: tuple[Text, ...]
    rule: str


def split(texts: Sequence[Text]) -> Split:
    """Whole texts where there are enough of them, else the end of each.

    BadInput where there is nothing to split: one paragraph, again and again.
    """
    unique = _unique(texts)
    repeated = len(texts) - len(unique)
    found = _whole_texts(unique) if len(unique) >= FEW else _ends(unique)
    if repeated:
        dropped = f"{_count(repeated, 'text')} that stood there before left out"
        return found._replace(rule=f"{found.rule}, {dropped}")
    return found


def split_from(training: Sequence[Text], held_out: Sequence[Text]) -> Split:
    """Held-out texts that were named: whatever is in both is not trained on."""
    known = {_digest(text) for text in held_out}
    kept = tuple(text for text in _unique(training) if _digest(text) not in known)
    if not kept:
        raise BadInput("every text to train on is held out too; give other files to hold out")
    rule = f"held out: {_count(len(held_out), 'text')} of other files"
    if both := sum(_digest(text) in known for text in training):
        rule += f", {_count(both, 'text')} in both not trained on"
    return Split(kept, tuple(_unique(held_out)), rule)


def is_held_out(text: Text) -> bool:
    """Of a stream: one text in ten, the same ones however far it is read."""
    return int.from_bytes(_digest(text)[:8]) % PART == 0


STREAM_RULE = f"1 text in {PART}, by its SHA-256, is held out"


def _whole_texts(texts: Sequence[Text]) -> Split:
    chosen = set(sorted(map(_digest, texts))[: math.ceil(len(texts) / PART)])
    held_out = tuple(text for text in texts if _digest(text) in chosen)
    training = tuple(text for text in texts if _digest(text) not in chosen)
    rule = f"{len(held_out)} of {len(texts)} texts, by their SHA-256, are held out"
    return Split(training, held_out, rule)


def _ends(texts: Sequence[Text]) -> Split:
    """The last tenth of each text's paragraphs; what is said there is not trained on anywhere."""
    halves = [_end(text) for text in texts]
    held_out = tuple(end for _, end in halves if end.text)
    ending = {part for end in held_out for part in _paragraphs(end.text)}
    training = tuple(
        Text(title, kept) for (title, text), _ in halves if (kept := _without(text, ending)).strip()
    )
    if not training or not held_out:
        raise BadInput(
            f"{_count(len(texts), 'text')} without two different paragraphs can't be split; give "
            "more text, or name files to hold out"
        )
    whose = "the text" if len(texts) == 1 else f"each of {len(texts)} texts"
    return Split(training, held_out, f"the last 1/{PART} of {whose} is held out")


def _end(text: Text) -> tuple[Text, Text]:
    """Cut at the paragraph, else the line, else the word nearest to nine tenths."""
    wanted = len(text.text) * (PART - 1) // PART
    for mark in (_BLANK, re.compile(r"\n"), re.compile(r"\s+")):
        places = [m.end() for m in mark.finditer(text.text) if text.text[m.end() :].strip()]
        if places:
            cut = min(places, key=lambda place: abs(place - wanted))
            return Text(text.title, text.text[:cut]), Text(f"{text.title}, end", text.text[cut:])
    return text, Text(f"{text.title}, end", "")


def _without(text: str, ending: set[str]) -> str:
    """The text; without its paragraphs that are held out, where there are such."""
    parts = _paragraphs(text)
    if ending.isdisjoint(parts):
        return text
    return "\n\n".join(part for part in parts if part not in ending)


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in _BLANK.split(text) if part.strip()]


def _unique(texts: Iterable[Text]) -> list[Text]:
    """Each once, the first of them."""
    return list({_digest(text): text for text in reversed(list(texts))}.values())[::-1]


def _digest(text: Text) -> bytes:
    return hashlib.sha256(text.text.strip().encode("utf-8", "surrogatepass")).digest()


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
