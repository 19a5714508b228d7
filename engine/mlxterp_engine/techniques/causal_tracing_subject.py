"""What a trace is about: a prompt, where its subject stands among the tokens, and the answer."""

from __future__ import annotations

from dataclasses import dataclass

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.experiments.alignment import Span
from mlxterp_engine.experiments.request import Bos
from mlxterp_engine.models.tokens import Tokens
from mlxterp_engine.techniques.findings import Prompted


@dataclass(frozen=True)
class Question:
    """A prompt as the model reads it, its subject's tokens, and the id of the answer."""

    prompt: Prompted
    subject: Span
    answer: int


def subject_span(
    tokens: Tokens, prompt: str, subject: str, bos: Bos = "auto", chat: bool = False
) -> Span:
    """The tokens that hold any character of the subject, where it first stands in the prompt.

    BadInput where it does not.
    """
    at = prompt.find(subject)
    if at < 0 or not subject.strip():
        raise BadInput(
            f"the subject {subject!r} does not stand in the prompt {prompt!r}; give words of the "
            "prompt, spelled as there"
        )
    whole, offsets = tokens.offsets(prompt, bos, chat)
    start = _start(whole, prompt) + at
    own = [
        i for i, (a, b) in enumerate(offsets) if a < b and a < start + len(subject) and start < b
    ]
    if not own:
        raise BadInput(f"no token of the prompt is made of the subject {subject!r}; give others")
    return own[0], own[-1] + 1


def _start(whole: str, prompt: str) -> int:
    """Where the prompt begins in the text that is read: templates strip what stands around it."""
    at = whole.find(prompt)
    if at >= 0:
        return at
    stripped = whole.find(prompt.strip())
    return max(stripped, 0) - (len(prompt) - len(prompt.lstrip()))
