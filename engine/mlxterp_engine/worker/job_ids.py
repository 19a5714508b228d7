"""Names for jobs: eight characters that sort by time, and never come twice."""

from __future__ import annotations

import time
from collections.abc import Callable

# Crockford's base 32, in ASCII order: no i, l, o, u, which are misread or misheard.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH = 8
_PER_SECOND = 100


class JobIds:
    """Hundredths of seconds since the epoch, in base 32; always later than the last."""

    def __init__(self, after: str = "", clock: Callable[[], float] = time.time) -> None:
        self._last = number_of(after) if is_job_id(after) else 0
        self._clock = clock

    def next(self) -> str:
        self._last = max(self._last + 1, int(self._clock() * _PER_SECOND))
        return text_of(self._last)


def text_of(number: int) -> str:
    digits = []
    for _ in range(LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def number_of(text: str) -> int:
    number = 0
    for character in text:
        number = number * len(ALPHABET) + ALPHABET.index(character)
    return number


def is_job_id(text: str) -> bool:
    """Whether this could be a job's name; only then is it looked up as a file."""
    return len(text) == LENGTH and set(text) <= set(ALPHABET)
