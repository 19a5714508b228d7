"""The marked part of a prompt: what is noised, or replaced by other words. Pure.

Spans are of tokens; causal tracing names its subject by text, as it first stands in the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from mlxterp_engine.experiments.alignment import Alignment, Span
from mlxterp_tui.panes.patch.aligned_text import moved

__all__ = ["chosen", "moved", "proposed", "span_of", "text_at"]


def chosen(alignment: Alignment) -> Span | None:
    """What is marked while nobody has marked anything: what differs, or else what looks like a
    name. None where there are no tokens."""
    span = alignment.subject if alignment.corrupt else None
    return span if span is not None and span[0] < span[1] else proposed(alignment.clean)


def proposed(tokens: Sequence[str]) -> Span | None:
    """The first words in capitals behind the beginning, or the first word there is."""
    for first in range(1, len(tokens)):
        if _begins_name(tokens[first]):
            last = first + 1
            while last < len(tokens) and (_goes_on(tokens[last]) or _begins_name(tokens[last])):
                last += 1
            return first, last
    return (0, _word_end(tokens, 0)) if tokens else None


def _begins_name(token: str) -> bool:
    return token[:1] == " " and token[1:2].isupper()


def _goes_on(token: str) -> bool:
    return token[:1].isalnum()


def _word_end(tokens: Sequence[str], first: int) -> int:
    last = first + 1
    while last < len(tokens) and _goes_on(tokens[last]):
        last += 1
    return last


def text_at(tokens: Sequence[str], span: Span) -> str:
    """The words of a span, without the spaces around them."""
    return "".join(tokens[slice(*span)]).strip()


def span_of(tokens: Sequence[str], text: str) -> Span | None:
    """The tokens that hold a text, as it first stands there; None where it does not."""
    ends = list(accumulate(map(len, tokens), initial=0))
    start = "".join(tokens).find(text) if text else -1
    if start < 0:
        return None
    first = max(at for at in range(len(tokens)) if ends[at] <= start)
    last = min(at for at in range(1, len(ends)) if ends[at] >= start + len(text))
    return first, last
