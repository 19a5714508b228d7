"""Which tokens an edit is for: one rule for whole passes, for padded batches and for generation.

A place is a position, a slice of positions, or one of the words "prompt" (the tokens that were
given) and "new" (those generated after them). Positions count from the first token of the
sequence; negative ones count back from the end of the prompt, wherever the generation has got
to. Slices take what is there, as in Python; open on the right, they hold new tokens too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index
from typing import Literal

from mlxterp_engine.experiments.errors import BadInput

Place = int | slice | Literal["prompt", "new"]
Places = tuple[Place, ...]


def places(given: Place | Iterable[Place]) -> Places:
    """One place or several, checked."""
    if isinstance(given, int | slice | str):
        given = (given,)
    several: Places = tuple(_place(place) for place in given)
    if not several:
        raise BadInput("no positions were given; give at least one, or leave them out for all")
    return several


def _place(given: Place) -> Place:
    if given in ("prompt", "new"):
        return given
    if isinstance(given, str):
        raise BadInput(f"positions {given!r} mean nothing; give numbers, 'prompt' or 'new'")
    if not isinstance(given, slice):
        return index(given)
    if given.step not in (None, 1):
        raise BadInput(f"positions {_words(given)} skip some; name each of them")
    return given


def absolute(chosen: Places, prompt: int, read: int) -> Places:
    """The same places as positions and slices that don't depend on where the prompt ends.

    read: how many tokens, prompt and new, the network may read. BadInput for a place that
    holds none of them.
    """
    found = tuple(_absolute(place, prompt) for place in chosen)
    for place, named in zip(found, chosen, strict=True):
        if not _inside(place, 0, read):
            raise BadInput(_outside(named, prompt, read))
    return found


def rows(chosen: Places, first: int, count: int, prompt: int) -> list[int]:
    """The rows of an activation that holds positions first .. first + count - 1, each once."""
    positions = [p for place in chosen for p in _inside(_absolute(place, prompt), first, count)]
    return [p - first for p in dict.fromkeys(positions)]


def _absolute(place: Place, prompt: int) -> int | slice:
    if place == "prompt":
        return slice(0, prompt)
    if place == "new":
        return slice(prompt, None)
    if isinstance(place, slice):
        return slice(_from_front(place.start or 0, prompt), _from_front(place.stop, prompt))
    assert isinstance(place, int)
    return place + prompt if place < 0 else place


def _from_front(bound: int | None, prompt: int) -> int | None:
    return max(bound + prompt, 0) if bound is not None and bound < 0 else bound


def _inside(place: int | slice, first: int, count: int) -> Sequence[int]:
    """The positions of a place without negative bounds that lie in first .. first + count - 1."""
    end = first + count
    if isinstance(place, int):
        return range(place, place + 1) if first <= place < end else ()
    return range(max(place.start, first), end if place.stop is None else min(place.stop, end))


def _outside(place: Place, prompt: int, read: int) -> str:
    if read == prompt:
        where = f"positions go from 0 to {read - 1}"
        if place == "new":
            return f"no new token is read in this run, so there is nothing at 'new'; {where}"
        return f"position {_words(place)} is outside the prompt: {where}"
    return (
        f"position {_words(place)} is outside what this run reads: the prompt has positions 0 to "
        f"{prompt - 1}, new tokens have {prompt} to {read - 1} (the last new one is never read)"
    )


def _words(place: Place) -> str:
    if not isinstance(place, slice):
        return str(place)
    bounds = ("" if bound is None else str(bound) for bound in (place.start, place.stop))
    return ":".join(bounds)
