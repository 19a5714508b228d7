"""Answers as they are typed: read, and checked to be one token of the model each, with what to take
instead where one is not."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from mlxterp_engine.experiments import BadInput
from mlxterp_tui.panes.patch.aligned_text import Answered
from mlxterp_tui.token_text import quoted


def answers_from(words: str) -> tuple[str | None, str | None]:
    """`" Mary" " John"`; `auto` for what the model says. BadInput for anything else."""
    if words.strip() == "auto":
        return None, None
    try:
        given = shlex.split(words)
    except ValueError as error:
        raise BadInput(f"{words} can't be read ({error}); close the quotes") from None
    if len(given) not in (1, 2) or not all(given):
        raise BadInput(f'answers are {words}; give two tokens in quotes: " Mary" " John"')
    return given[0], given[1] if len(given) > 1 else None


def checked(answer: Answered, pieces: Sequence[str], prompt: str = "") -> Answered:
    """The answer with what is wrong with it, if anything is.

    pieces: the tokens that its text is behind a prompt (`Session.pieces`); none where nothing is
    known of it. Several are a fault, for a metric compares one token with another.
    """
    if answer.token is None or not pieces:
        return answer
    if len(pieces) > 1:
        fault = _several(answer.role, answer.token, pieces)
        return replace(answer, fault=fault, offered=first_of(pieces) or "")
    return replace(answer, hint=_without_space(answer.role, answer.token, prompt))


def first_of(pieces: Sequence[str]) -> str | None:
    """The token to offer for several: their first with something to read in it."""
    return next((piece for piece in pieces if piece.strip()), None)


def _several(role: str, token: str, pieces: Sequence[str]) -> str:
    shown = " + ".join(map(quoted, pieces[:6])) + (" + …" if len(pieces) > 6 else "")
    first = first_of(pieces)
    way_out = "" if first is None else f"; give one, for example its first, {quoted(first)}"
    return f"{role} {quoted(token)} is {len(pieces)} tokens here ({shown}){way_out}."


def _without_space(role: str, token: str, prompt: str) -> str:
    """The commonest slip: ' Mary' and 'Mary' are two tokens, and models write the former."""
    if not prompt or prompt[-1].isspace() or not token[:1].isalnum():
        return ""
    word = quoted(f" {token}")
    return f"{role} {quoted(token)} begins without a space; a word of its own is {word}."
