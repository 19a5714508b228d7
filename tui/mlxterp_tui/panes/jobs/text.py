"""Jobs as lines of a list: what, how far, at what price, how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mlxterp_engine.worker.protocol import JobInfo
from mlxterp_tui.amounts import price_in_words, seconds
from mlxterp_tui.token_text import quoted
from mlxterp_tui.widgets.paint import bar

from rich.cells import set_cell_size
from textual.content import Content

SIGNS = {
    "queued": ("○", "$foreground-muted"),
    "running": ("●", "$text-accent"),
    "done": ("✓", "$text-success"),
    "cancelled": ("–", "$text-warning"),
    "failed": ("✗", "$text-error"),
}
EXPERIMENT = 17  # columns: train-tuned-lens is the longest name
ROOM_FOR_STATE = 96
Pieces = list[tuple[str, str]]
TAIL_BYTES = 16_384


def newest_first(jobs: Iterable[JobInfo]) -> list[JobInfo]:
    return sorted(jobs, key=lambda info: info.submitted, reverse=True)


def heading(width: int) -> str:
    """Above `job_line`, of the same width."""
    state = f"{'state':<10} " if width >= ROOM_FOR_STATE else ""
    progress = f"{'progress':<{_bar_width(width) + 5}}"
    return f"  {'job':<8} {'experiment':<{EXPERIMENT}} {state}{progress} {'took':>7}  what"


def job_line(info: JobInfo, width: int) -> Pieces:
    """One line; the reason of a failure takes the place of the prompt, progress that of both."""
    sign, style = SIGNS[info.state]
    state = [(f"{info.state:<10} ", style)] if width >= ROOM_FOR_STATE else []
    return [
        (f"{sign} ", style),
        (f"{info.id[:8]:<8} ", ""),
        (f"{info.experiment:<{EXPERIMENT}} ", "bold"),
        *state,
        (f"{bar(info.progress, _bar_width(width))} {info.progress:>4.0%} ", ""),
        (f"{elapsed(info):>7}  ", ""),
        *_about(info),
    ]


def _bar_width(width: int) -> int:
    return 8 if width >= ROOM_FOR_STATE else 4


def elapsed(info: JobInfo) -> str:
    """How long it took; empty while it runs, as the screen keeps no clock."""
    if info.started is None or info.ended is None:
        return ""
    return seconds(info.ended - info.started)


def detail(info: JobInfo) -> Content:
    """Everything known of the job, line by line."""
    lines = [
        ("job", info.id),
        ("experiment", info.experiment),
        ("state", f"{info.state} {info.what}".strip()),
        ("model", info.model),
        ("prompt", quoted(info.prompt) if info.prompt else ""),
        ("price", price_in_words(info.price)),
        ("took", elapsed(info)),
        ("reason", info.reason),
    ]
    return Content("\n").join(
        Content.assemble((f"{name:<11}", "$foreground-muted"), value)
        for name, value in lines
        if value
    )


def job_tsv(info: JobInfo) -> str:
    names = "job\texperiment\tstate\tprogress\tmodel\tprompt\treason\n"
    values = (
        info.id, info.experiment, info.state, f"{info.progress:.3f}", info.model,
        quoted(info.prompt), info.reason,
    )  # fmt: skip
    return names + "\t".join(values) + "\n"


def log_tail(path: str, lines: int) -> list[str]:
    """The engine's last words; empty when there is no log to read."""
    if not path or lines < 1:
        return []
    try:
        with Path(path).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-lines:]


def _about(info: JobInfo) -> list[tuple[str, str]]:
    if info.reason:
        return [(info.reason, "$text-error")]
    if info.state == "running" and info.what:
        return [(info.what, "")]
    return [(set_cell_size(quoted(info.prompt), 60).rstrip() if info.prompt else info.model, "")]
