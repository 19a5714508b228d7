"""Two prompts side by side, token by token: what a patch can be written into.

Patching copies position to position, so both prompts need equally many tokens, and words that
correspond have to stand at the same positions. Pure data, for screens and requests alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
Span = tuple[int, int]
"""First position, and the one behind the last."""


@dataclass(frozen=True)
class Difference:
    """A stretch in which the prompts differ: positions of clean and of corrupt."""

    clean: Span
    corrupt: Span

    @property
    def is_even(self) -> bool:
        """Whether it is equally many tokens in both."""
        return self.clean[1] - self.clean[0] == self.corrupt[1] - self.corrupt[0]


@dataclass(frozen=True)
class Alignment:
    """Both prompts' tokens, and where they differ, from front to back."""

    clean: tuple[str, ...]
    corrupt: tuple[str, ...]
    differences: tuple[Difference, ...]

    @property
    def mismatches(self) -> tuple[int, ...]:
        """Positions whose tokens differ, of prompts that fit; empty where they don't fit."""
        if not self.fits:
            return ()
        pairs = enumerate(zip(self.clean, self.corrupt, strict=True))
        return tuple(position for position, (a, b) in pairs if a != b)

    @property
    def fits(self) -> bool:
        """Whether one can be patched into the other: equally many tokens."""
        return len(self.clean) == len(self.corrupt)

    @property
    def uneven(self) -> tuple[Difference, ...]:
        """The differences that shift what comes behind them."""
        return tuple(difference for difference in self.differences if not difference.is_even)

    @property
    def subject(self) -> Span | None:
        """The clean prompt's positions from first to last difference; None where there is none."""
        spans = [d.clean for d in self.differences]
        return (spans[0][0], spans[-1][1]) if spans else None

    def rows(self) -> list[tuple[str | None, str | None]]:
        """Tokens side by side, None in front of a stretch that has fewer than the other's: last
        tokens stand under last tokens, as padding has them too."""
        clean, corrupt = padded(self.clean, self.corrupt, None).rows
        return list(zip(clean, corrupt, strict=True))


def align(clean: Sequence[str], corrupt: Sequence[str]) -> Alignment:
    """Where the tokens of two prompts differ: position by position if they fit, else by the
    longest stretches that they share."""
    a, b = tuple(clean), tuple(corrupt)
    if len(a) == len(b):
        return Alignment(a, b, tuple(_stretches(a, b)))
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    return Alignment(
        a,
        b,
        tuple(
            Difference((i, j), (m, n))
            for tag, i, j, m, n in matcher.get_opcodes()
            if tag != "equal"
        ),
    )


class Padded(NamedTuple, Generic[T]):
    """rows: of clean and of corrupt. at: the positions in each that were filled."""

    rows: tuple[list[T], list[T]]
    at: tuple[list[int], list[int]]


def padded(clean: Sequence[T], corrupt: Sequence[T], filler: T) -> Padded[T]:
    """Tokens, or their ids, of one length: the shorter of two stretches that differ gets fillers
    in front, so that its last token stands where the other's does."""
    rows: tuple[list[T], list[T]] = ([], [])
    filled: tuple[list[int], list[int]] = ([], [])
    done = (0, 0)
    for difference in align([str(i) for i in clean], [str(i) for i in corrupt]).differences:
        spans = (difference.clean, difference.corrupt)
        longest = max(end - start for start, end in spans)
        for side, (row, (start, end)) in enumerate(zip((clean, corrupt), spans, strict=True)):
            rows[side].extend(row[done[side] : start])
            missing = longest - (end - start)
            at = len(rows[side])
            filled[side].extend(range(at, at + missing))
            rows[side].extend([filler] * missing + list(row[start:end]))
        done = (spans[0][1], spans[1][1])
    for side, row in enumerate((clean, corrupt)):
        rows[side].extend(row[done[side] :])
    return Padded(rows, filled)


def partners(clean: Sequence[T], corrupt: Sequence[T]) -> list[tuple[int, int]]:
    """Positions of clean and of corrupt that correspond: what both share, and of stretches that
    differ the last tokens, as many as the shorter has."""
    rows, filled = padded(clean, corrupt, clean[0])
    found, at = [], [0, 0]
    for row in range(len(rows[0])):
        there = [row not in own for own in filled]
        if all(there):
            found.append((at[0], at[1]))
        at = [position + own for position, own in zip(at, there, strict=True)]
    return found


def _stretches(a: tuple[str, ...], b: tuple[str, ...]) -> list[Difference]:
    found: list[Difference] = []
    start: int | None = None
    for at in range(len(a) + 1):
        differs = at < len(a) and a[at] != b[at]
        if differs and start is None:
            start = at
        if not differs and start is not None:
            found.append(Difference((start, at), (start, at)))
            start = None
    return found
