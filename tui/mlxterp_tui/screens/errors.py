"""What went wrong, in full: errors of this session, and the end of a lost engine's log."""

from __future__ import annotations

from collections.abc import Sequence

from mlxterp_engine.worker.client import Lost

import msgspec
from textual.content import Content


class Trouble(msgspec.Struct, frozen=True):
    """One thing that went wrong: the sentence, and what only a log or a report needs."""

    sentence: str
    details: str = ""


NO_ERRORS = """\
Nothing has gone wrong in this session.
Errors appear as a notice and are kept here with their details, to be copied into a report."""


def of_lost(lost: Lost) -> Trouble:
    tail = "\n".join(lost.tail) or "(the log is empty)"
    return Trouble(lost.reason, f"last lines of {lost.log}:\n{tail}")


def troubles_text(troubles: Sequence[Trouble]) -> Content:
    """Newest first."""
    if not troubles:
        return Content(NO_ERRORS)
    return Content("\n\n").join(_one(trouble) for trouble in reversed(troubles))


def _one(trouble: Trouble) -> Content:
    sentence = Content.styled(trouble.sentence, "bold")
    if not trouble.details:
        return sentence
    return Content("\n").join([sentence, Content.styled(trouble.details, "$foreground-muted")])
