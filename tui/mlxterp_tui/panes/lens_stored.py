"""A lens run out of the log: from its result, or from the rows that a cancelled one came to."""

from __future__ import annotations

from mlxterp_engine.experiments import (
    Array,
    BadInput,
    LogitLens,
    LogitLensRow,
    Result,
    Started,
    request_from,
)
from mlxterp_engine.experiments.array import struct_size
from mlxterp_engine.runlog.record import RunRecord
from mlxterp_tui.logbook import Stored
from mlxterp_tui.panes.lens_run import LensRun

PER_CELL = ("top_ids", "top_probs", "entropy", "kl", "final_rank")
OF_TARGET = ("target_prob", "target_rank")


def stored_run(stored: Stored) -> LensRun:
    """As the pane had it at the run's end. BadInput when there is nothing to show."""
    record, result = stored.record, stored.result
    request = asked_by(record)
    if result is not None:
        run = _begun(record, request, result.meta.tokens[0], result.arrays["token_ids"].tolist())
        return run.with_rows(rows_of(result)).finished(result)
    for part in stored.parts:
        if isinstance(part, Started):
            run = _begun(record, request, part.tokens[0], part.token_ids[0])
            rows = [part for part in stored.parts if isinstance(part, LogitLensRow)]
            return run.with_rows(rows).ended("cancelled", record.kept)
    raise BadInput(
        f"run {record.id} {record.state} before anything was computed; v shows what is known of it"
    )


def asked_by(record: RunRecord) -> LogitLens:
    """The request that the run answered."""
    parameters = dict(record.request)
    request = request_from(parameters.pop("name"), parameters)
    assert isinstance(request, LogitLens)
    return request


def rows_of(result: Result) -> list[LogitLensRow]:
    """The result's arrays cut into rows, as they once streamed; the data is not copied."""
    arrays = result.arrays
    names = [*PER_CELL, *(name for name in OF_TARGET if name in arrays)]
    return [
        LogitLensRow(
            layer=layer,
            top_tokens=result.strings["top_tokens"][at],
            **{name: row_of(arrays[name], at) for name in names},
        )
        for at, layer in enumerate(arrays["layer"].tolist())
    ]


def row_of(array: Array, at: int) -> Array:
    """array[at]: a view of one row."""
    shape = array.shape[1:]
    size = struct_size(array.dtype)
    for length in shape:
        size *= length
    return Array(array.dtype, shape, array.data.cast("B")[at * size : (at + 1) * size])


def _begun(
    record: RunRecord, request: LogitLens, tokens: list[str], token_ids: list[int]
) -> LensRun:
    card = record.model
    if card is None:
        raise BadInput(f"run {record.id} ended before its model was open; r runs it again")
    run = LensRun(request=request, layers=card.layers, vocabulary=card.vocab_size)
    return run.read(tokens, token_ids)
