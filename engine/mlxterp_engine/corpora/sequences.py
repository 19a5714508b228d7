"""Texts as a model reads them in training: joined by a blank line, cut into equal sequences.

The first token of a sequence is an attention sink and stands for no text: whoever fits or measures
leaves it out (`SKIPPED`). What is left over at the end and fills no sequence is not read.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from mlxterp_engine.corpora.corpus import Text
from mlxterp_engine.experiments import BadInput
from mlxterp_engine.experiments.request import Bos

import numpy as np

SKIPPED = 1
BLANK_LINE = "\n\n"
PIECE = 1 << 20  # characters tokenised at once


class Tokenizing(Protocol):
    """Of `models.tokens.Tokens`, what is needed here."""

    bos_id: int | None
    adds_bos: bool

    def encode(self, text: str, bos: Bos = "auto", chat: bool = False) -> list[int]: ...


class Reader(NamedTuple):
    """How a model reads. encode: a text's ids, no BOS added. bos_id: begins every sequence."""

    encode: Callable[[str], list[int]]
    bos_id: int | None = None

    @classmethod
    def of(cls, tokens: Tokenizing, bos: Bos = "auto") -> Reader:
        """bos: as in a request; "auto" does what the model's own tokenizer does to a text."""
        if bos == "on" and tokens.bos_id is None:
            raise BadInput("bos is 'on' and this model has no BOS token; give 'auto' or 'off'")
        begins = bos == "on" or (bos == "auto" and tokens.adds_bos)
        return cls(lambda text: tokens.encode(text, "off"), tokens.bos_id if begins else None)


@dataclass(frozen=True, eq=False)
class Sequences:
    """ids [sequence, pos] int32. left_over: tokens at the end that filled no sequence."""

    ids: np.ndarray
    left_over: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def length(self) -> int:
        return self.ids.shape[1]

    @property
    def tokens(self) -> int:
        """How many count: without the first of each sequence."""
        return self.ids[:, SKIPPED:].size

    def counts(self, vocab_size: int) -> np.ndarray:
        """How often each token stands at a place that counts: [vocab] int64."""
        return np.bincount(self.ids[:, SKIPPED:].ravel(), minlength=vocab_size)

    def first(self, tokens: int) -> Sequences:
        """The first sequences, as many as give so many tokens that count."""
        return Sequences(self.ids[: -(-tokens // (self.length - SKIPPED))])


def sequences(
    texts: Iterable[Text], reader: Reader, length: int, most: int | None = None
) -> Generator[int, None, Sequences]:
    """Reads until `most` sequences are full, or the texts are at their end; may be none.

    Yields the tokens read after each piece, so that it can be stopped and drawn.
    """
    room = length if reader.bos_id is None else length - 1
    enough = None if most is None else most * room
    read: list[np.ndarray] = []
    count = 0
    for piece in pieces(text.text for text in texts):
        read.append(np.array(reader.encode(piece), dtype=np.int32))
        count += len(read[-1])
        yield count
        if enough is not None and count >= enough:
            break
    return _cut(np.concatenate([*read, np.empty(0, np.int32)])[:enough], room, reader.bos_id)


def checked(found: Sequences, least: int, part: str) -> Sequences:
    """BadInput unless there are so many sequences. part: "to train on", "held out"."""
    if len(found) >= least:
        return found
    there = found.ids.size + found.left_over
    needed = "1 sequence" if least == 1 else f"{least} sequences"
    raise BadInput(
        f"the corpus has {there} tokens {part}, too few for {needed} of {found.length}; give more "
        "text, or shorter sequences"
    )


def pieces(texts: Iterable[str]) -> Iterator[str]:
    """The texts joined by blank lines, a million characters at a time.

    Cut before a blank line where there is one, so that no token crosses the cut.
    """
    waiting = ""
    for number, text in enumerate(texts):
        joined = BLANK_LINE if number else ""
        for part in _parts(joined + text):
            if waiting and len(waiting) + len(part) > PIECE:
                yield waiting
                waiting = ""
            waiting += part
    if waiting:
        yield waiting


def _parts(text: str) -> Iterator[str]:
    """A text longer than a piece, cut before a blank line, else a line, else a word."""
    start = 0
    while len(text) - start > PIECE:
        end = start + PIECE
        for mark in (BLANK_LINE, "\n", " "):
            place = text.rfind(mark, start + 1, end)
            if place > start:
                end = place
                break
        yield text[start:end]
        start = end
    yield text[start:]


def _cut(ids: np.ndarray, room: int, bos_id: int | None) -> Sequences:
    count = len(ids) // room
    rows = ids[: count * room].reshape(count, room)
    if bos_id is not None:
        rows = np.hstack([np.full((count, 1), bos_id, np.int32), rows])
    return Sequences(rows, len(ids) - count * room)


class Order(NamedTuple):
    """In which order so many sequences are read: all of them an epoch, each epoch anew shuffled.

    A pure function of seed and position: who knows how many were read goes on as if unbroken.
    """

    sequences: int
    seed: int

    def at(self, position: int, count: int) -> np.ndarray:
        """Which sequences come next after `position` have been read: [count] int64."""
        places = np.arange(position, position + count)
        epochs = np.unique(places // self.sequences)
        shuffled = {int(epoch): self._epoch(int(epoch)) for epoch in epochs}
        found = [shuffled[int(place // self.sequences)][place % self.sequences] for place in places]
        return np.array(found, dtype=np.int64)

    def epoch(self, position: int) -> int:
        """From 1."""
        return position // self.sequences + 1

    def _epoch(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch]).permutation(self.sequences)


def per_step(tokens: int, length: int) -> int:
    """How many sequences give at most so many tokens that count; at least one."""
    return max(1, tokens // (length - SKIPPED))


def batches(found: Sequences, order: Order, count: int, position: int = 0) -> Iterator[np.ndarray]:
    """Endlessly, `count` sequences at a time: ids [count, pos], from `position` on."""
    for start in itertools.count(position, count):
        yield found.ids[order.at(start, count)]


def unigram(counts: np.ndarray, smoothing: float = 1.0) -> np.ndarray:
    """Log frequencies in nats, [vocab] float64; `smoothing` is added to every count (Laplace)."""
    smoothed = np.asarray(counts, dtype=np.float64) + smoothing
    return np.log(smoothed) - np.log(smoothed.sum())
