"""argparse that says what is wrong in one line: the value, the fault, the remedy."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from mlxterp_engine.experiments.errors import BadInput

_NUMBER = re.compile(r"^-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")


class Parser(argparse.ArgumentParser):
    """Options that were not given are absent from the result; errors are BadInput."""

    def __init__(self, prog: str, **details: Any) -> None:
        super().__init__(
            prog=prog,
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **details,
        )
        # argparse's own pattern takes -1e-3 for an option.
        self._negative_number_matcher = _NUMBER

    def parse_args(self, words: Sequence[str]) -> argparse.Namespace:  # type: ignore[override]
        found, surplus = self.parse_known_args(words)
        if surplus:
            raise BadInput(self._not_understood(surplus[0]))
        return found

    def add_choice(self, option: str, choices: Sequence[str], **details: Any) -> None:
        """An option whose value is one of these words."""
        self.add_argument(option, type=one_of(*choices), metavar="|".join(choices), **details)

    def error(self, message: str) -> NoReturn:
        raise BadInput(self._reworded(message))

    def _not_understood(self, word: str) -> str:
        option = word.partition("=")[0]
        if not option.startswith("-"):
            return f"{word!r} is one word too many; quote texts that hold spaces, see {self._help}"
        close = difflib.get_close_matches(option, self._option_string_actions, n=1)
        closest = f"closest: {close[0]}; " if close else ""
        return f"{option} is no option of {self.prog}; {closest}all: {self._help}"

    def _reworded(self, message: str) -> str:
        missing = message.partition("the following arguments are required: ")[2]
        if missing:
            return f"{missing} is missing; see {self._help}"
        option, _, fault = message.removeprefix("argument ").partition(": ")
        option = option.partition("/")[0]
        if fault.startswith("expected"):
            return f"{option} needs a value; one that begins with - is written {option}=-VALUE"
        if fault.startswith("ignored explicit argument"):
            value = fault.removeprefix("ignored explicit argument ")
            return f"{option} takes no value; leave {value} out"
        return f"{option}: {fault}" if fault else message

    @property
    def _help(self) -> str:
        return f"{self.prog} --help"


def one_of(*choices: str) -> Callable[[str], str]:
    """One of these words, for `type=`."""

    def chosen(text: str) -> str:
        if text not in choices:
            words = ", ".join(choices)
            raise argparse.ArgumentTypeError(f"{text!r} is not known; give one of {words}")
        return text

    return chosen


def whole(text: str) -> int:
    """A whole number, for `type=`."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number; give one, e.g. 5") from None


def layers(text: str) -> list[int] | str:
    """`all`, or block numbers with commas between them, for `type=`."""
    if text == "all":
        return text
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} names no layers; give numbers with commas between them, e.g. 4,17, or all"
        ) from None


def number(text: str) -> float:
    """Any number, for `type=`."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number; give one, e.g. 0.5") from None


def number_or(word: str) -> Callable[[str], float | str]:
    """Any number, or this one word, for `type=`."""

    def read(text: str) -> float | str:
        if text == word:
            return word
        try:
            return float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no number; give one, e.g. 0.5, or {word}"
            ) from None

    return read
