"""`mlxterp-tui runs replay`: a run once more, and how far its numbers moved."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import cast

from mlxterp_engine.experiments import BadInput, Result, RunFailed
from mlxterp_engine.runlog.comparison import Comparison
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.record import Recording, RunRecord
from mlxterp_engine.runlog.replay import check_same_model, request_of
from mlxterp_engine.worker.blocking import BlockingEngine
from mlxterp_engine.worker.tasks import ModelOpened, OpenModel
from mlxterp_tui.commands.following import failures_name_the_log
from mlxterp_tui.commands.output import as_json, table
from mlxterp_tui.commands.progress import Progress
from mlxterp_tui.commands.run import PATIENCE, run_in
from mlxterp_tui.commands.runs_table import drift_in_words, drift_lines


def run(given: Namespace) -> int:
    with RunLog.open() as log:
        record = log.record(given.id)
        before = _result(log, record)
        again = _run_again(record, given.any_model)
        comparison = (
            _compare(before, log.result(again))
            if before is not None
            else _compared_by_hash(record, log.record(again), log.result(again))
        )
    for name, why in comparison.unlike.items():
        print(f"{name}: {why}", file=sys.stderr)
    if given.json:
        print(as_json({"id": again, "of": record.id, "drift": comparison.drift}))
    else:
        print(f"run {again} replays run {record.id}: {drift_in_words(comparison)}\n")
        print(table([["array", "largest difference"], *drift_lines(comparison)]))
    return 0


def _result(log: RunLog, record: RunRecord) -> Result | None:
    """What to hold the new result against; None where its file is lost, which is said.

    BadInput, before anything is computed, for a run that never had one.
    """
    try:
        return log.result(record.id)
    except BadInput as error:
        if record.state != "done":
            raise
        print(f"mlxterp-tui: {error}", file=sys.stderr)
        return None


def _run_again(record: RunRecord, any_model: bool) -> int:
    """The new run's number."""
    request = request_of(record)
    with BlockingEngine.private() as engine:
        opening = OpenModel(model=request.model, device=request.device, dtype=request.dtype)
        with failures_name_the_log(engine), Progress(sys.stderr, PATIENCE) as progress:
            job = engine.submit(opening, folder=record.folder)
            opened = cast(ModelOpened, engine.finish(job, progress))
        if not any_model:
            check_same_model(record, opened.card)
        with failures_name_the_log(engine):
            _, run = run_in(engine, request, None, Recording(parent=record.id), record.folder)
    if run is None:
        raise RunFailed(f"run {record.id} ran again, and the log could not keep it; see above")
    return run


def _compare(before: Result, after: Result) -> Comparison:
    from mlxterp_engine.runlog.compare import compare  # numpy

    return compare(before, after)


def _compared_by_hash(before: RunRecord, after: RunRecord, result: Result) -> Comparison:
    """The same bytes, or not: all that can be said without the earlier arrays."""
    same = before.result_sha256 == after.result_sha256
    why = {} if same else dict.fromkeys(result.arrays, "not the same; how far off can't be said")
    drift = dict.fromkeys(result.arrays, 0.0 if same else float("nan"))
    return Comparison(drift=drift, unlike=why, differences={}, fields={})
