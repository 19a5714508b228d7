"""The line over a pane that shows a run of the log: which one, of which model."""

from __future__ import annotations

from datetime import datetime

from mlxterp_engine.experiments import ModelCard
from mlxterp_engine.runlog.record import RunRecord
from mlxterp_tui.panes.runs.text import short_model

from textual.content import Content


def stored_text(record: RunRecord, open_model: ModelCard | None, width: int) -> Content:
    """`run 42 of the log · Nov 21 14:03 · glass-tiny, while smollm2-135m is open · r …`."""
    at = datetime.fromtimestamp(record.created).strftime("%Y-%m-%d %H:%M")
    other = otherwise(record, open_model)
    line = Content.assemble(
        (f" run {record.id} of the log", "bold"),
        f" · {short_model(model_of(record))}",
        (f", {other}" if other else "", "$text-warning bold"),
        (" · r runs it again", "$foreground-muted"),
        (f" · {at}", "$foreground-muted"),
        (f" · {record.kept}" if record.kept else "", "$foreground-muted"),
    )
    return line.truncate(width, ellipsis=True)


def otherwise(record: RunRecord, open_model: ModelCard | None) -> str:
    """How the open model differs from the run's, in words; "" when it is the same or none."""
    if open_model is None:
        return ""
    if open_model.reference != model_of(record):
        return f"while {short_model(open_model.reference)} is open"
    if record.model is not None and record.model.sha256 != open_model.sha256:
        return "whose weights are others now"
    return ""


def refusal(record: RunRecord, open_model: ModelCard | None) -> str:
    """Why a question about this run would be answered by another model; "" when it would not."""
    other = otherwise(record, open_model)
    return other and (
        f"run {record.id} is of {model_of(record)}, {other}; "
        "r runs it again as it was, or Enter in the prompt asks the model that is open"
    )


def model_of(record: RunRecord) -> str:
    return record.model.reference if record.model else str(record.request.get("model", ""))
