"""A patchscope in words: where the state came from, where it was written, what came of it."""

from __future__ import annotations

from collections.abc import Sequence

from mlxterp_tui.panes.patchscope.run import PatchscopeRun
from mlxterp_tui.token_text import quoted
from mlxterp_tui.widgets.bar_list import BarRow
from mlxterp_tui.widgets.chart_axis import compact
from mlxterp_tui.widgets.token_text import legible

from textual.content import Content


def source(run: PatchscopeRun) -> Content:
    """The state, with the exact site and token."""
    request = run.request
    if request is None:
        return Content("")
    return Content.assemble(
        ("read     ", "$foreground-muted"), (request.site, "$accent bold"),
        f" · position {run.source_position} ", (token(run.tokens, run.source_position), "bold"),
    )  # fmt: skip


def target(run: PatchscopeRun) -> Content:
    """Where it was written."""
    request = run.request
    if request is None:
        return Content("")
    other = "" if run.target_site == request.site else "another block: "
    position = run.target_position
    return Content.assemble(
        ("written  ", "$foreground-muted"), (other, "$warning"),
        (run.target_site, "$accent bold"), f" · position {position} of the target prompt ",
        (token(run.target_tokens, position), "bold"), f" · up to {request.max_tokens} tokens",
    )  # fmt: skip


def token(tokens: Sequence[str], position: int) -> str:
    return quoted(tokens[position]) if 0 <= position < len(tokens) else ""


def continuation(run: PatchscopeRun) -> Content:
    """The text with its line breaks; how it ended where that is no plain end."""
    words = {"waiting": "…", "running": "…", "cancelled": " (stopped)", "failed": ""}
    lines = ["".join(map(_kept, line)) for line in run.text.split("\n")]
    text = Content("\n").join([Content.styled(line, "bold") for line in lines])
    after = words.get(run.state, "")
    if run.state == "done" and not run.text:
        after = "(nothing: an end token came first)"
    return Content.assemble(text, (after, "$foreground-muted"))


def _kept(character: str) -> str:
    """Letters as they are, what would move the cursor made legible."""
    return character if character == " " else legible(character)


def best(run: PatchscopeRun) -> list[BarRow]:
    """What comes first, with its probabilities; the one that was taken stands out."""
    return [
        BarRow(text, prob, compact(prob), at == 0) for at, (text, _, prob) in enumerate(run.best)
    ]


def reading(run: PatchscopeRun) -> str:
    """One line of the list of readings: where, and what it said."""
    request = run.request
    if request is None:
        return ""
    here, there = request.site.removeprefix("blocks."), run.target_site.removeprefix("blocks.")
    into = "" if there == here else f" → {there}"
    place = f"{here}@{run.source_position}{into}"
    return f"{place}\t{legible(run.text.strip())}"


def tsv(runs: Sequence[PatchscopeRun]) -> str:
    """Readings as a table, the oldest first."""
    head = "site\tposition\ttoken\ttarget_site\ttarget_position\ttarget_prompt\ttext\n"
    return head + "".join(
        "\t".join(
            [
                run.request.site, str(run.source_position),
                repr(token(run.tokens, run.source_position)[1:-1]), run.target_site,
                str(run.target_position), repr(run.request.target_prompt), repr(run.text),
            ]
        ) + "\n"
        for run in runs
        if run.request is not None
    )  # fmt: skip
