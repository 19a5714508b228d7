"""Passages: places in texts where a reader would begin, and as much from there as is wanted."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from random import Random

from mlxterp_engine.corpora.corpus import Text

LEAST = 100  # characters of prose: shorter paragraphs are headings, lists and code
APART = 350  # characters between two beginnings: passages of 64 tokens share nothing
_WORD_ENDS = re.compile(r"(?<=\S)(?=\s)|$")


def passages(texts: Sequence[Text], count: int, seed: int) -> list[Text]:
    """So many passages, each from its paragraph to the end of its text.

    Every text gives one before any gives a second, so that the passages are as independent as
    can be; which texts and which paragraphs is drawn by the seed. Fewer where there are no more.
    """
    draw = Random(seed)
    by_text = [_shuffled(_of_one(text), draw) for text in texts]
    rounds = zip_longest(*_shuffled([found for found in by_text if found], draw))
    return [found for found in chain.from_iterable(rounds) if found is not None][:count]


def fitting(text: str, most: int, count: Callable[[str], int]) -> str:
    """The longest beginning of `text` that ends with a word and has at most `most` tokens.

    count: tokens of a text. Found by halving, which needs only that more text has more tokens.
    Empty when the first word alone is too long.
    """
    ends = [match.end() for match in _WORD_ENDS.finditer(text[: 16 * most])]
    low, high = 0, len(ends)  # ends[:low] fit, ends[high:] do not
    while low < high:
        middle = (low + high) // 2
        if count(text[: ends[middle]]) <= most:
            low = middle + 1
        else:
            high = middle
    return text[: ends[low - 1]] if low else ""


def _of_one(text: Text) -> list[Text]:
    found: list[Text] = []
    free_from = 0
    for match in re.finditer(r"(?:\A|(?<=\n\n))(?=\S)", text.text):
        start = match.start()
        rest = text.text[start:]
        if start >= free_from and _is_prose(rest.partition("\n\n")[0]):
            found.append(Text(f"{text.title}, character {start}", rest))
            free_from = start + APART
    return found


def _is_prose(paragraph: str) -> bool:
    """Flush left throughout and long enough: neither a heading nor a list nor code."""
    return len(paragraph) >= LEAST and not re.search(r"^(\s|\*\*)", paragraph, re.MULTILINE)


def _shuffled(things: list, draw: Random) -> list:
    return draw.sample(things, len(things))
