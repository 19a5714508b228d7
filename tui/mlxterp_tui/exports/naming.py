"""What a run and its files are called."""

from __future__ import annotations

from datetime import datetime

from mlxterp_engine.experiments import Result
from mlxterp_engine.runlog.record import RunRecord

UNRECORDED = 0
"""The id of a run that no log knows."""


def unrecorded(result: Result, created: float) -> RunRecord:
    """What is known of a run from its result alone."""
    meta = result.meta
    return RunRecord(
        id=UNRECORDED,
        request=meta.experiment,
        state="done",
        created=created,
        model=meta.model,
        tokens=meta.tokens,
        versions=meta.versions,
        load_s=meta.load_s,
        seconds=meta.elapsed_s,
        contracts=meta.contracts,
        failed_cells=meta.failed_cells,
        headline=meta.headline,
        figures=meta.figures,
    )


def name(record: RunRecord) -> str:
    """`Run 42`, or what stands for the number."""
    return f"Run {record.id}" if record.id else "An unrecorded run"


def title(record: RunRecord) -> str:
    """`Run 42, logit-lens: ' Paris' p 0.34, top from block 29 on`."""
    reason = record.reason.partition("\n")[0]
    came = record.headline or reason or record.state
    return f"{name(record)}, {record.request['name']}: {came}"


def day(record: RunRecord) -> str:
    """2026-11-21, by this place's clock."""
    return f"{datetime.fromtimestamp(record.created):%Y-%m-%d}"


def moment(record: RunRecord) -> str:
    """2026-11-21 14:03:07."""
    return f"{datetime.fromtimestamp(record.created):%Y-%m-%d %H:%M:%S}"


def stem(record: RunRecord) -> str:
    """`2026-11-21-42-logit-lens`: sorted by date in any listing."""
    return f"{day(record)}-{record.id}-{record.request['name']}"
