"""Experiments in plain Python, in this process: `run(LogitLens(prompt="..."))`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlxterp_engine.experiments import AnyPart, AnyRequest, Meta, Result, Started, Step
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.execute import execute
from mlxterp_engine.techniques.npz import to_numpy, write_npz

import numpy as np


@dataclass(frozen=True, eq=False)
class Run:
    """A finished experiment. arrays: NumPy, under the names of the command line's contract."""

    result: Result
    arrays: dict[str, np.ndarray]

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
) -> Run:
    """Run an experiment here. Without `model`, the one that the request names is opened."""
    if model is None:
        model = InterpretableModel(request.model, device=request.device, dtype=request.dtype)
    steps = execute(model, request)
    while True:
        try:
            part = next(steps)
        except StopIteration as end:
            result: Result = end.value
            return Run(result, {name: to_numpy(a) for name, a in result.arrays.items()})
        if on_part is not None:
            on_part(part)
