"""What the rows of tokens show of a question: its prompts, answers and noise, and of the run on
screen what it measured of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mlxterp_engine.experiments.alignment import Alignment, Span, align, padded
from mlxterp_tui.panes.patch import text
from mlxterp_tui.panes.patch.aligned_text import Aligned, Answered, figure, under_noise
from mlxterp_tui.panes.patch.question import TRACING, PatchQuestion
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.subject import span_of, text_at
from mlxterp_tui.token_text import quoted

FIGURES = {"logit-diff": "LD", "prob": "p", "kl": "KL"}
PAD = "pad"
OTHER_PROMPTS = "the map is of other prompts, Enter runs these"


def shown(
    question: PatchQuestion,
    run: PatchRun,
    alignment: Alignment,
    marked: Span | None,
    says: str = "",
) -> Aligned:
    """alignment: of the prompts as they stand. marked: the subject, or what is to be replaced."""
    if of_set := _set_in_words(question):
        return Aligned(align((), ()), says=says or of_set)
    if not alignment.clean:
        return Aligned(alignment, says=says)
    says = says or _elsewhere(question, alignment, marked)
    note = "" if is_about(run, alignment) or not run.known else OTHER_PROMPTS
    by_spans = not alignment.fits and question.own_options.get("align") == "spans"
    if not alignment.fits and question.takes_two and not by_spans:
        says = ""  # what the rows say of it names the keys that help
    answers = _answers(question, run, alignment)
    if question.method == TRACING:
        noised = _as_traced(alignment, marked)
        aligned = under_noise(alignment.clean, noised, noise_in_words(question))
        return replace(aligned, answers=answers, says=says, note=note)
    return Aligned(alignment, marked, answers, says=says, note=note, by_spans=by_spans)


def as_asked(question: PatchQuestion, clean: Sequence[str], corrupt: Sequence[str]) -> Alignment:
    """Both prompts' tokens as they will be run: padded where the question says with what."""
    filler = question.own_options.get(PAD)
    if filler and clean and corrupt and question.takes_two:
        clean, corrupt = padded(clean, corrupt, filler).rows
    return align(clean, corrupt)


def is_about(run: PatchRun, alignment: Alignment) -> bool:
    """Whether the map is about the prompts as they stand."""
    if tuple(alignment.clean) != run.clean:
        return False
    return run.is_tracing or tuple(alignment.corrupt) == run.corrupt


def noise_in_words(question: PatchQuestion) -> str:
    """How much, and how often it is drawn; of a file all of that is the file's."""
    asked = question.own_options
    if asked.get("noise_file"):
        return "noise of the file"
    draws = asked.get("samples") or 10
    return f"noise of {asked.get('noise', 3.0):g}σ, {draws} draw{'' if draws == 1 else 's'}"


def _set_in_words(question: PatchQuestion) -> str:
    """What is asked in place of the prompts; "" where they are."""
    asked = question.own_options
    for name in ("pairs", "facts"):
        if of := asked.get(name):
            return f"A set is asked: {name} of {of}; :{name} off comes back to the prompts above."
    return ""


def _answers(question: PatchQuestion, run: PatchRun, alignment: Alignment) -> tuple[Answered, ...]:
    """The tokens that the metric is about, and beside each prompt what the metric is there."""
    traced = question.method == TRACING
    metric = "prob" if traced else question.metric
    of_these = run.request if is_about(run, alignment) and run.is_tracing == traced else None
    answer = question.answer or (text.answer_of(run) if of_these is not None else None)
    wrong = question.wrong or getattr(of_these, "wrong", None)
    as_asked = of_these is not None and getattr(of_these, "metric", "prob") == metric
    figures = _figures(metric, run) if as_asked else ("", "")
    if metric == "logit-diff":
        return tuple(map(Answered, ("answer", "wrong"), (answer, wrong), figures))
    if metric == "prob":
        return tuple(map(Answered, ("answer", ""), (answer, ""), figures))
    return tuple(map(Answered, ("", ""), ("", ""), figures)) if any(figures) else ()


def _figures(metric: str, run: PatchRun) -> tuple[str, str]:
    if run.ends is None:
        return "", ""
    name = FIGURES[metric]
    return figure(name, run.ends.clean), figure(name, run.ends.corrupt)


def _as_traced(alignment: Alignment, marked: Span | None) -> Span | None:
    """Where causal tracing puts its noise: on the marked words, as they first stand there."""
    return marked and (span_of(alignment.clean, text_at(alignment.clean, marked)) or marked)


def _elsewhere(question: PatchQuestion, alignment: Alignment, marked: Span | None) -> str:
    """Causal tracing finds its subject by text: why that may not be what was marked."""
    if question.method != TRACING or marked is None:
        return ""
    first = _as_traced(alignment, marked)
    if first is None or first == marked:
        return ""
    words = quoted(text_at(alignment.clean, marked))
    return (
        f"{words} stands at position {first[0]} first, and causal tracing takes that "
        "place; mark more words, so that there is one such place."
    )
