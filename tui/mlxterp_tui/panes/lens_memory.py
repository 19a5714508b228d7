"""How a lens is looked at, kept from one session to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlxterp_tui.panes.lens_metrics import METRICS
from mlxterp_tui.panes.lens_run import LensRun
from mlxterp_tui.panes.lens_view import DEFAULT_METRIC, Cell, LensView, within

import msgspec


class LensMemory(msgspec.Struct, frozen=True, kw_only=True):
    """cursor, pinned: (layer, position) in the lens of `prompt`. width: of a cell, 0 what fits.

    target: only asked of the model that it was a token of.
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


def remembered(run: LensRun, view: LensView, target: str | None, width: int) -> dict[str, Any]:
    """What JSON holds of it."""
    request = run.request
    memory = LensMemory(
        prompt=request.prompt if request else "",
        model=request.model if request else "",
        target=target,
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


def view_of(memory: LensMemory) -> LensView:
    """The view before there is anything to look at."""
    return LensView(
        metric=memory.metric,
        stride=memory.stride,
        embeddings_on_top=memory.embeddings_on_top,
        following=memory.following,
    )


def same_place(memory: LensMemory, run: LensRun, view: LensView) -> LensView:
    """The remembered cursor and pin, where it is the remembered prompt."""
    if run.request is None or run.request.prompt != memory.prompt or memory.cursor is None:
        return view
    pinned = within(Cell(*memory.pinned), run) if memory.pinned else None
    return view.moved(within(Cell(*memory.cursor), run)).pinned_at(pinned)
