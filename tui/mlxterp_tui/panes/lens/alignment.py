"""Which position of one prompt is compared with which of another. Pure."""

from __future__ import annotations

from collections.abc import Sequence

Places = tuple[int | None, ...]


def aligned(first: Sequence[int], second: Sequence[int]) -> Places:
    """For each position of the second, the one in the first that it is compared with, or None.

    first, second: token ids. Prompts of one length are compared position by position. Of others,
    the equal tokens at the front, and those at the end; what stands between has no counterpart.
    """
    if len(first) == len(second):
        return tuple(range(len(second)))
    front = equal_at_front(first, second)
    rest = min(len(first), len(second)) - front
    end = min(rest, equal_at_front(first[::-1], second[::-1]))
    shift = len(first) - len(second)
    tail = len(second) - end
    return tuple(
        pos if pos < front else pos + shift if pos >= tail else None for pos in range(len(second))
    )


def equal_at_front(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens are the same from the first one on."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(first), len(second)))


def not_compared(places: Places) -> str:
    """What is left out, in words; "" where every position has its counterpart."""
    without = [pos for pos, place in enumerate(places) if place is None]
    if not without:
        return ""
    if len(without) == len(places):
        return "no token in common at either end"
    ends = f"{without[0]}" if len(without) == 1 else f"{without[0]} to {without[-1]}"
    return f"position{'s' if len(without) > 1 else ''} {ends}: no counterpart"
