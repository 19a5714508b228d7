"""A long row of things, of which some kinds are worth keeping only in part.

A training tells ten thousand steps, and a chart of it needs two thousand. Of a kind that may be
thinned the first is kept, the newest, and between them every 2^n-th; the rest is kept whole.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

MOST_OF_A_KIND = 2000

T = TypeVar("T")


def kind_of(part: Any) -> Hashable:
    """The kind under which a part may be thinned; None for one that has to stay.

    A class of parts says so itself: `thins: ClassVar[bool] = True`.
    """
    return type(part) if getattr(type(part), "thins", False) else None


class Thinned(Generic[T]):
    """Things numbered from 0 in the order in which they came; those still there."""

    def __init__(self, most_of_a_kind: int = MOST_OF_A_KIND) -> None:
        self.items: list[T] = []
        self.next_number = 0
        self._numbers: list[int] = []
        self._kinds: dict[Hashable, _Kind] = {}
        self._most = most_of_a_kind

    def append(self, item: T, kind: Hashable = None) -> list[T]:
        """What has to go for it."""
        number, self.next_number = self.next_number, self.next_number + 1
        self._numbers.append(number)
        self.items.append(item)
        if kind is None:
            return []
        known = self._kinds.setdefault(kind, _Kind())
        return [self.remove(old) for old in known.append(number, self._most)]

    def remove(self, number: int) -> T:
        """Take out the thing that has this number."""
        place = self.place(number)
        del self._numbers[place]
        return self.items.pop(place)

    def place(self, number: int) -> int:
        """Where in `items` the first stands that has this number or a later one."""
        return bisect_left(self._numbers, number)


class _Kind:
    """numbers: those kept of one kind; the n-th was the n * stride-th that came, but the last."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.stride = 1
        self.seen = 0

    def append(self, number: int, most: int) -> list[int]:
        """The numbers that go, now that this one is the newest."""
        was_only_the_newest = self.seen > 0 and (self.seen - 1) % self.stride > 0
        gone = [self.numbers.pop()] if was_only_the_newest else []
        self.numbers.append(number)
        self.seen += 1
        while len(self.numbers) > max(most, 2):
            gone += self._leave_every_second()
        return gone

    def _leave_every_second(self) -> list[int]:
        gone = self.numbers[1:-1:2]
        self.numbers = [*self.numbers[:-1:2], self.numbers[-1]]
        self.stride *= 2
        return gone
