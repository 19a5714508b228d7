"""How a lens is looked at, kept from one session to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from mlxterp_engine.experiments.logit_lens import State
from mlxterp_tui.panes.lens.beside import Kind, LensBeside
from mlxterp_tui.panes.lens.edits import Edit, Edits
from mlxterp_tui.panes.lens.metrics import METRICS
from mlxterp_tui.panes.lens.question import LensQuestion
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.panes.lens.view import DEFAULT_METRIC, Cell, LensView, within

import msgspec


class LensMemory(msgspec.Struct, frozen=True, kw_only=True):
    """cursor, pinned: (layer, position) in the lens of `prompt`. width: of a cell, 0 what fits.

    target, lens, state, edits: only asked of the model that they were asked of. edits: (words,
    the prompt that a patch is from). second: the second prompt. pinned_run: its number in the log.
    """

    prompt: str = ""
    model: str = ""
    target: str | None = None
    cursor: tuple[int, int] | None = None
    pinned: tuple[int, int] | None = None
    metric: str = DEFAULT_METRIC
    stride: int = 1
    embeddings_on_top: bool = False
    following: bool = False
    width: int = 0
    lens: str = ""
    state: State = "resid_post"
    edits: tuple[tuple[str, str], ...] = ()
    second: str | None = None
    pinned_run: int | None = None
    look: tuple[Kind | Literal[""], bool] = ("", False)


def remembered(
    run: LensRun, question: LensQuestion, view: LensView, beside: LensBeside, width: int
) -> dict[str, Any]:
    """What JSON holds of it."""
    request, pinned_run = run.request, beside.run_of("pinned")
    memory = LensMemory(
        prompt=request.prompt if request else "",
        model=request.model if request else "",
        target=question.target,
        lens=question.lens,
        state=question.state,
        edits=tuple((edit.words, edit.prompt) for edit in question.edits.made),
        second=beside.second_prompt,
        pinned_run=pinned_run.recorded_as if pinned_run else None,
        look=(beside.look.of, beside.look.difference),
        cursor=(view.cursor.layer, view.cursor.pos) if request else None,
        pinned=(view.pinned.layer, view.pinned.pos) if view.pinned else None,
        metric=view.metric,
        stride=view.stride,
        embeddings_on_top=view.embeddings_on_top,
        following=view.following,
        width=width,
    )
    return msgspec.to_builtins(memory)


def recalled(found: Mapping[str, Any]) -> LensMemory:
    """The defaults where it is not what was written, or names what is no more."""
    try:
        memory = msgspec.convert(dict(found), LensMemory, strict=False)
    except msgspec.ValidationError:
        return LensMemory()
    known = memory.metric in METRICS and memory.stride >= 1 and memory.width >= 0
    return memory if known else LensMemory()


def question_of(memory: LensMemory, model: str) -> LensQuestion:
    """What was asked, as far as it can be asked of a model."""
    if model != memory.model:
        return LensQuestion()
    edits = Edits(tuple(Edit(*edit) for edit in memory.edits))
    return LensQuestion(memory.lens, memory.state, memory.target, edits)


def view_of(memory: LensMemory) -> LensView:
    """The view before there is anything to look at."""
    return LensView(
        metric=memory.metric,
        stride=memory.stride,
        embeddings_on_top=memory.embeddings_on_top,
        following=memory.following,
    )


def same_place(memory: LensMemory, run: LensRun, view: LensView) -> LensView:
    """The remembered cursor and pin, where it is the remembered prompt and model."""
    asked = run.request
    if asked is None or (asked.prompt, asked.model) != (memory.prompt, memory.model):
        return view
    if memory.cursor is None:
        return view
    pinned = within(Cell(*memory.pinned), run) if memory.pinned else None
    return view.moved(within(Cell(*memory.cursor), run)).pinned_at(pinned)
