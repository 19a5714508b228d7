"""Generators that are told on in other words, and run to their end."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

Given = TypeVar("Given")
Told = TypeVar("Told")
Outcome = TypeVar("Outcome")


def told(
    steps: Generator[Given, None, Outcome], words: Callable[[Given], Told]
) -> Generator[Told, None, Outcome]:
    """The same steps and outcome; each step as `words` puts it."""
    try:
        while True:
            try:
                given = next(steps)
            except StopIteration as end:
                return end.value
            yield words(given)
    finally:
        steps.close()


def finished(steps: Generator[Any, None, Outcome]) -> Outcome:
    """The outcome, nobody looking at the steps."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
