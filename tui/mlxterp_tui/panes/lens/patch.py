"""A patch from the cell under the cursor: which state is written where. Pure."""

from __future__ import annotations

from mlxterp_engine.experiments import BadInput
from mlxterp_tui.panes.lens.alignment import aligned
from mlxterp_tui.panes.lens.edits import Edit
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.panes.lens.view import Cell
from mlxterp_tui.token_text import quoted


def patch_at(run: LensRun, cell: Cell, source: LensRun | None) -> Edit:
    """`SITE@POS`, or `SITE@POS<FROM`: the state of the source's prompt, as the plain model has it.

    BadInput where there is no other prompt, or none of its positions to take it from.
    """
    if source is None or source.request is None:
        raise BadInput("there is nothing to patch from: o opens a second prompt, P pins this run")
    if run.request is None or source.request.prompt == run.request.prompt:
        raise BadInput(
            "the other run has the same prompt, so the state there is the same; "
            "o opens a second prompt"
        )
    place = aligned(source.token_ids, run.token_ids)[cell.pos]
    if place is None:
        raise BadInput(
            f"position {cell.pos} {quoted(run.tokens[cell.pos])} has no counterpart in "
            f"{quoted(source.request.prompt)}; prompts with as many tokens have one everywhere"
        )
    taken = f"{run.site(cell.layer)}@{cell.pos}" + (f"<{place}" if place != cell.pos else "")
    return Edit(taken, source.request.prompt)
