"""Work that is one of several runs of the like, told as a share of them all."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

from mlxterp_engine.experiments import Step

Found = TypeVar("Found")


def as_a_share(
    steps: Generator[Any, None, Found], number: int, count: int, of: str, *, told: bool = False
) -> Generator[Any, None, Found]:
    """Its steps as those of the number-th, from 0, of so many. of: what they are, in a word.
    told: whether its other parts are."""
    try:
        while True:
            try:
                part = next(steps)
            except StopIteration as end:
                return end.value
            if isinstance(part, Step):
                yield Step(number + part.done / part.total, count, of)
            elif told:
                yield part
    finally:
        steps.close()
