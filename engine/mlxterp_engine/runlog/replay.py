"""Running a run of the log again: the same request, on the same weights."""

from __future__ import annotations

from typing import Any

from mlxterp_engine.experiments import (
    EXPERIMENTS,
    AnyRequest,
    BadInput,
    ModelCard,
    RunFailed,
    request_from,
)
from mlxterp_engine.experiments.registry import CARD
from mlxterp_engine.experiments.request import DEVICE_CHOICES
from mlxterp_engine.runlog.record import RunRecord


def request_of(record: RunRecord) -> AnyRequest:
    """What to ask to get the run once more, on the kind of device that it ran on.

    BadInput for a run of a model that only one Python program had, or of an experiment that
    this version does not know.
    """
    if record.model is not None and record.model.provenance.startswith("given"):
        raise BadInput(
            f"run {record.id} was of a model made in Python ({record.model.reference}), which "
            "can't be opened from here; run it again where that model is"
        )
    parameters = afresh(record)
    name = parameters.pop("name")
    if name not in EXPERIMENTS and name != CARD:  # of a card, `request_from` says more
        raise BadInput(
            f"run {record.id} was of {name!r}, which is no experiment that can be replayed; "
            "replay the runs that came from it, or ask for it as it was asked then"
        )
    if record.model is not None:
        device = record.model.device.split()[0]  # `cpu (OpenBLAS …)`
        if device in DEVICE_CHOICES:
            parameters["device"] = device
    return request_from(name, parameters)


def afresh(record: RunRecord) -> dict[str, Any]:
    """Its request from the beginning: a training neither goes on from a checkpoint nor writes
    over the lens that it made, and where there is a result to compare with, no cells are taken
    from a stopped run."""
    kept = ("resume", "out_dir")
    again = {name: value for name, value in record.request.items() if name not in kept}
    if record.request.get("resume") and record.state == "done":
        again["resume"] = False
    return again


def check_same_model(record: RunRecord, card: ModelCard) -> None:
    """RunFailed, naming both, unless the open model has the weights that the run had."""
    was = record.model
    if was is None or was.sha256 == card.sha256:
        return
    raise RunFailed(
        f"run {record.id} was of {was.reference} with the weights {was.sha256[:12]}… "
        f"({was.provenance}), and {card.reference} has {card.sha256[:12]}… now "
        f"({card.provenance}); get the old ones back, or give --any-model to run it on these"
    )
