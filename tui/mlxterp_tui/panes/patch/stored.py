"""A patching run out of the log: from its result, or from the cells that a cancelled one had."""

from __future__ import annotations

from mlxterp_engine.experiments import BadInput, Started, request_from
from mlxterp_engine.experiments.request import Request
from mlxterp_engine.runlog.record import RunRecord
from mlxterp_tui.logbook import Stored
from mlxterp_tui.panes.patch.run import PatchRun


def stored_run(stored: Stored) -> PatchRun:
    """As the pane had it at the run's end. BadInput when there is nothing to show."""
    record = stored.record
    run = PatchRun(asked_by(record), recorded_as=record.id)
    if stored.result is not None:
        return run.finished(stored.result)
    begun = any(isinstance(part, Started) for part in stored.parts)
    if not begun or record.model is None:
        raise BadInput(
            f"run {record.id} {record.state} before anything was computed; "
            "v shows what is known of it"
        )
    return run.with_parts(stored.parts, record.model).ended("cancelled", record.kept)


def asked_by(record: RunRecord) -> Request:
    """The request that the run answered."""
    parameters = dict(record.request)
    return request_from(parameters.pop("name"), parameters)
