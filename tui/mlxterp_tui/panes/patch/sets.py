"""`:pairs ioi 50` and `:facts known 65`: a set in place of one pair or one fact. Pure."""

from __future__ import annotations

import os
import shlex

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.experiments.causal_tracing import KNOWN
from mlxterp_tui.command_line import whole_number
from mlxterp_tui.panes.patch.question import TRACING, PatchQuestion

IOI = "ioi"
OFF = "off"
MOST = 10_000


def over_pairs(question: PatchQuestion, words: str) -> PatchQuestion:
    """`ioi`, or a file of pairs, and how many; `off` goes back to the prompts."""
    name, count = _read("pairs", words)
    asked = question.by("activation" if question.method == TRACING else question.method)
    if name == OFF:
        return asked.with_options(pairs=None, count=None)
    pairs = name if name == IOI else _path(name)
    return asked.with_options(pairs=pairs, count=count, neurons=None)


def over_facts(question: PatchQuestion, words: str) -> PatchQuestion:
    """`known`, or a file of facts, and how many; `off` goes back to the prompt."""
    name, count = _read("facts", words)
    asked = question.by(TRACING)
    if name == OFF:
        return asked.with_options(facts=None, count=None)
    facts = name if name == KNOWN else _path(name)
    return asked.with_options(facts=facts, count=count, noise_file=None)


def _read(what: str, words: str) -> tuple[str, int | None]:
    try:
        name, *count = shlex.split(words)
    except ValueError as error:
        raise BadInput(f":{what} {words} can't be read ({error}); close the quotes") from None
    if len(count) > 1:
        raise BadInput(
            f":{what} {words} has a word too many; give a name or a file in quotes, and how many"
        )
    return name, whole_number("count", count[0], 1, MOST) if count else None


def _path(said: str) -> str:
    """The engine has another working folder."""
    return os.path.abspath(os.path.expanduser(said))
