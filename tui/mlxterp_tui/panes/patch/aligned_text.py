"""What two rows of tokens say of each other: what differs, what the subject is, what is wrong.

Pure: no screen in here. Positions are those of the clean prompt, as the model reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mlxterp_engine.experiments.alignment import Alignment, Difference, Span, align
from mlxterp_tui.token_text import quoted
from mlxterp_tui.widgets.token_text import legible

from rich.cells import cell_len

End = Literal["first", "last"]
WIDEST = 18
NOISE = "≈"
MISSING = "╌"


@dataclass(frozen=True)
class Answered:
    """A token that the metric is about. role: answer or wrong. token: None where none is known
    yet, "" where there is none.

    figure: what the metric's ends say of it, `LD 6.11`. fault: why it can't be used, hint: what
    may be meant instead; sentences. offered: a token to take in its place.
    """

    role: str
    token: str | None
    figure: str = ""
    fault: str = ""
    hint: str = ""
    offered: str = ""


@dataclass(frozen=True)
class Aligned:
    """Everything that the rows show.

    subject: which of the clean prompt's tokens; None for none. noise: of causal tracing, what is
    added to the subject's embeddings, in words; the second row then is the same prompt under it.
    says: a sentence that matters more than what the rows say of themselves. note: a few words
    behind the key to the marks. by_spans: prompts of unequal lengths are patched as they stand
    here, which is no fault then.
    """

    alignment: Alignment
    subject: Span | None = None
    answers: tuple[Answered, ...] = ()
    noise: str = ""
    says: str = ""
    note: str = ""
    by_spans: bool = False

    @property
    def is_pair(self) -> bool:
        """Whether there are two prompts."""
        return bool(self.alignment.corrupt) and not self.noise


def under_noise(tokens: Sequence[str], subject: Span | None, noise: str) -> Aligned:
    """One prompt, and the same with noise on its subject."""
    return Aligned(align(tokens, tokens), subject, noise=noise)


@dataclass(frozen=True)
class Column:
    """Two tokens, one under the other. x: from the first column on; width: without the boundary.

    clean, corrupt: what is drawn. position: in the clean prompt; None where it has no token here.
    """

    clean: str
    corrupt: str
    position: int | None
    differs: bool
    x: int
    width: int


def columns(aligned: Aligned) -> tuple[Column, ...]:
    """Token under token; of prompts that don't fit, by the longest stretches that they share."""
    found: list[Column] = []
    position = x = 0
    for clean, corrupt in _pairs(aligned):
        upper, lower = _shown(clean, corrupt), _shown(corrupt, clean)
        width = max(1, min(WIDEST, max(cell_len(upper), cell_len(lower))))
        if aligned.noise and _within(position, aligned.subject):
            lower = NOISE * width
        own = None if clean is None else position
        found.append(Column(upper, lower, own, clean != corrupt, x, width))
        position += clean is not None
        x += width + 1
    return tuple(found)


def _pairs(aligned: Aligned) -> list[tuple[str | None, str | None]]:
    alignment = aligned.alignment
    if not alignment.corrupt:
        return [(token, token) for token in alignment.clean]
    return alignment.rows()


def _shown(token: str | None, other: str | None) -> str:
    if token is not None:
        return legible(token)
    return MISSING * min(WIDEST, max(1, cell_len(legible(other or ""))))


def _within(position: int, span: Span | None) -> bool:
    return span is not None and span[0] <= position < span[1]


def moved(span: Span, end: End, by: int, tokens: int) -> Span:
    """The span with one end moved, never empty and never beyond the prompt."""
    first, last = span
    if end == "first":
        return max(0, min(last - 1, first + by)), last
    return first, max(first + 1, min(tokens, last + by))


# Sentences.


def in_words(aligned: Aligned) -> str:
    """What to know before the run: a fault and the way out of it; "" where all is well."""
    said = [aligned.says, *(answer.fault for answer in aligned.answers)]
    judged = aligned.alignment.clean and not aligned.noise and not aligned.by_spans
    if not any(said) and judged:
        said = [_pair_in_words(aligned.alignment)]
    return " ".join(filter(None, [*said, *(answer.hint for answer in aligned.answers)]))


def _pair_in_words(alignment: Alignment) -> str:
    if not alignment.corrupt:
        return "There is no corrupt prompt yet: o types one, b offers other words for the subject."
    if not alignment.differences:
        return (
            "Both prompts are the same, so that nothing can be patched: "
            "o changes the corrupt one, b offers other words for the subject."
        )
    if alignment.uneven:
        return _unequal(alignment)
    differing = len(alignment.mismatches)
    if differing > 1 and 2 * differing > len(alignment.clean):
        return (
            f"{differing} of {len(alignment.clean)} tokens differ: patching compares position by "
            "position, so words that correspond have to stand under one another."
        )
    return ""


def _unequal(alignment: Alignment) -> str:
    lengths = f"{len(alignment.clean)} and {len(alignment.corrupt)} tokens"
    if alignment.fits:
        return ""
    change = next(iter(alignment.uneven))
    return (
        f"{lengths}: {_change(alignment, change)}, so that positions behind it don't correspond. "
        "b offers words of as many tokens, o changes the prompt, O pads with a token."
    )


def _change(alignment: Alignment, change: Difference) -> str:
    """`' Mary' (1 token) became ' Mary Ann' (2)`."""
    ours, theirs = alignment.clean[slice(*change.clean)], alignment.corrupt[slice(*change.corrupt)]
    many = "token" if len(ours) == 1 else "tokens"
    if not ours:
        return f"{quoted(''.join(theirs))} ({len(theirs)}) was added"
    if not theirs:
        return f"{quoted(''.join(ours))} ({len(ours)} {many}) is missing"
    return (
        f"{quoted(''.join(ours))} ({len(ours)} {many}) became "
        f"{quoted(''.join(theirs))} ({len(theirs)})"
    )


def marks_in_words(aligned: Aligned) -> str:
    """The key to the line of marks."""
    words = []
    if aligned.is_pair and aligned.alignment.differences:
        words.append("▲ differs")
    if aligned.noise:
        words.append(f"{NOISE} {aligned.noise}")
    if aligned.subject is not None:
        first, last = aligned.subject
        at = f"{first}" if last - first == 1 else f"{first} to {last - 1}"
        words.append(f"└┘ subject {at}")
    if aligned.note:
        words.append(aligned.note)
    return " · ".join(words)


def figure(name: str, value: float | None) -> str:
    """`LD −5.49`, with a minus as wide as a digit."""
    return "" if value is None else f"{name} {value:.2f}".replace("-", "−")
