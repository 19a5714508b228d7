"""Experiments in plain Python, in this process: `run(LogitLens(prompt="..."))`."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from mlxterp_engine import folders
from mlxterp_engine.experiments import AnyPart, AnyRequest, Meta, Result, Started, Step
from mlxterp_engine.experiments.request import Device, DTypeChoice
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.record import NOTHING_SAID, Recording
from mlxterp_engine.runlog.recording import Known, Recorder, Steps, is_wanted
from mlxterp_engine.techniques.execute import execute, price
from mlxterp_engine.techniques.npz import to_numpy, write_npz

import msgspec
import numpy as np


@dataclass(frozen=True, eq=False)
class Run:
    """A finished experiment. arrays: NumPy, under the names of the command line's contract.

    id: its number in the research log; None when it is not kept there.
    """

    result: Result
    arrays: dict[str, np.ndarray]
    id: int | None = None

    @property
    def meta(self) -> Meta:
        return self.result.meta

    @property
    def strings(self) -> dict[str, Any]:
        """The words beside token ids, e.g. `top_tokens` for `top_ids`."""
        return self.result.strings

    def save(self, path: str) -> None:
        """The same .npz that `mlxterp-tui run --out` writes."""
        write_npz(self.result, path)


def run(
    request: AnyRequest,
    model: InterpretableModel | None = None,
    on_part: Callable[[Started | Step | AnyPart], None] | None = None,
    *,
    log: bool | RunLog = True,
    recording: Recording = NOTHING_SAID,
) -> Run:
    """Run an experiment here. Without `model`, the one that the request names is opened.

    log: the research log that is to keep the run; True is the user's own (unless
    MLXTERP_NO_LOG=1), False none. recording: what is expected of it, tags, a note.
    """
    if model is None:
        model = InterpretableModel(request.model, device=request.device, dtype=request.dtype)
    else:
        request = _on(model, request)
    ids: list[int | None] = [None]
    recorder = _recorder(log)
    steps = execute(model, request, unfinished=recorder.unfinished() if recorder else None)
    if recorder is not None:
        steps = recorder.follow(
            request,
            cast(Steps, steps),
            recording,
            known=lambda: Known(price(model, request), model.card),
            noted=ids.append,
        )
    with contextlib.closing(steps):  # a run that `on_part` breaks off is kept as cancelled
        while True:
            try:
                part = next(steps)
            except StopIteration as end:
                result: Result = end.value
                arrays = {name: to_numpy(array) for name, array in result.arrays.items()}
                return Run(result, arrays, ids[-1])
            if on_part is not None:
                on_part(part)


def _on(model: InterpretableModel, request: AnyRequest) -> AnyRequest:
    """The request as it is on this model, whatever it names itself: what is kept has to be true."""
    return msgspec.structs.replace(
        request,
        model=model.card.reference,
        device=cast(Device, model.place.device),
        dtype=cast(DTypeChoice, model.place.dtype or "auto"),
    )


def _recorder(log: bool | RunLog) -> Recorder | None:
    if isinstance(log, RunLog):
        return Recorder(lambda: log, _warn)
    return _users_recorder(folders.home()) if log and is_wanted() else None


@cache
def _users_recorder(home: Path | None) -> Recorder:
    """One for all runs of this process: a log is opened once."""
    return Recorder(tell=_warn)


def _warn(trouble: str) -> None:
    warnings.warn(trouble, RuntimeWarning, stacklevel=2)
