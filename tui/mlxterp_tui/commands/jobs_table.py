"""Jobs as lines of a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mlxterp_engine.worker.protocol import JobInfo
from mlxterp_tui.amounts import seconds
from mlxterp_tui.commands.output import table

LONGEST_PROMPT = 40


def jobs_table(jobs: Sequence[JobInfo]) -> str:
    """Newest first, as they come; a sentence when there are none."""
    if not jobs:
        return "no jobs"
    return table([["id", "experiment", "state", "begun", "took", "prompt"], *map(_line, jobs)])


def job_page(job: JobInfo) -> str:
    """All of one job."""
    lines = [
        ["id", job.id],
        ["experiment", job.experiment],
        ["state", _state(job)],
        ["model", job.model],
        ["prompt", repr(job.prompt)],
        ["submitted", _moment(job.submitted)],
        ["begun", _moment(job.started)],
        ["ended", _moment(job.ended)],
        ["took", _duration(job)],
    ]
    known = {"run": "" if job.run is None else str(job.run), "reason": job.reason}
    return table([*lines, *([name, value] for name, value in known.items() if value)])


def _line(job: JobInfo) -> list[str]:
    prompt = repr(job.prompt) if job.prompt else ""
    short = prompt if len(prompt) <= LONGEST_PROMPT else prompt[: LONGEST_PROMPT - 1] + "…"
    return [job.id, job.experiment, _state(job), _moment(job.started), _duration(job), short]


def _state(job: JobInfo) -> str:
    return f"{job.progress:.0%} {job.what}".rstrip() if job.state == "running" else job.state


def _moment(when: float | None) -> str:
    return datetime.fromtimestamp(when).isoformat(" ", "seconds") if when else "-"


def _duration(job: JobInfo) -> str:
    return seconds(job.ended - job.started) if job.started and job.ended else "-"
