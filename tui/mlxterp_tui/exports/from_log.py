"""Runs taken out of the log, to be written."""

from __future__ import annotations

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.runlog.log import RunLog
from mlxterp_tui.logbook import Stored


def taken(log: RunLog, run: int) -> Stored:
    """The run, with its result where it came to one. BadInput when that can't be read."""
    record = log.record(run)
    return Stored(record, log.result(run) if record.state == "done" else None)


def known(log: RunLog, run: int) -> tuple[Stored, str]:
    """The run with as much as can be read; and what can't, in words."""
    try:
        return taken(log, run), ""
    except BadInput as error:
        return Stored(log.record(run)), str(error)
