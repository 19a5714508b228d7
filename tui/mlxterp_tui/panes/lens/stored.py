"""A lens run out of the log: from its result, or from the rows that a cancelled one came to."""

from __future__ import annotations

from collections.abc import Mapping

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
from mlxterp_tui.panes.lens.run import LensRun


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
    sites = result.strings.get("sites")
    return [
        LogitLensRow(
            layer=layer,
            site=sites[at] if sites else _state_behind(layer),
            top_tokens=result.strings["top_tokens"][at],
            top_ids=row_of(arrays["top_ids"], at),
            top_probs=row_of(arrays["top_probs"], at),
            entropy=row_of(arrays["entropy"], at),
            kl=row_of(arrays["kl"], at),
            final_rank=row_of(arrays["final_rank"], at),
            next_loss=_row_if_there(arrays, "next_loss", at),
            target_prob=_row_if_there(arrays, "target_prob", at),
            target_rank=_row_if_there(arrays, "target_rank", at),
        )
        for at, layer in enumerate(arrays["layer"].tolist())
    ]


def _state_behind(layer: int) -> str:
    """The address of a row of older runs, which read no other state than this one."""
    return "embed" if layer < 0 else f"blocks.{layer}.resid_post"


def _row_if_there(arrays: Mapping[str, Array], name: str, at: int) -> Array | None:
    """Only runs with a target have its arrays, and older ones lack the loss."""
    return row_of(arrays[name], at) if name in arrays else None


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
