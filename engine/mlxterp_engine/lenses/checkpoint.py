"""A training that can go on: everything that the next step depends on, in one file.

`checkpoint.safetensors` in the lens's folder holds the translators, what the optimiser remembers,
the losses so far and the evaluations; its metadata holds the step and the settings. The order of
the sequences follows from seed and step. It is whole or the one before, whatever ends the process
or fills the disk; the losses are float64, for they were summed so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mlxterp_engine import backend  # noqa: F401  # OpenBLAS, before any mlx import
from mlxterp_engine.experiments import BadInput, RunFailed
from mlxterp_engine.lenses.gradients import Parameters
from mlxterp_engine.whole_files import put_in_place

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

FILE = "checkpoint.safetensors"
FORMAT = "mlxterp lens training"
VERSION = "1"

Settings = Mapping[str, Any]
"""What must not change between a training and its resumption, by name; JSON values."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """After `step` steps. optimizer: flat, as `optimizers.state_of` gives it. history: further
    arrays by name, such as the losses [step, layer].
    """

    step: int
    parameters: Parameters
    optimizer: dict[str, mx.array]
    history: dict[str, np.ndarray]


def path_in(folder: Path) -> Path:
    return folder / FILE


def save(folder: Path, checkpoint: Checkpoint, settings: Settings) -> None:
    """RunFailed where the disk takes no more: what was there before then still is."""
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "step": str(checkpoint.step),
        "settings": json.dumps(dict(settings)),
    }
    try:
        with put_in_place(path_in(folder)) as temporary:
            save_file(_arrays(checkpoint), temporary, metadata=metadata)
    except (OSError, SafetensorError) as error:
        before = "the one before is still there" if path_in(folder).exists() else "there is none"
        raise RunFailed(
            f"the checkpoint of step {checkpoint.step} can't be written to {folder} ({error}); "
            f"{before}: make room and resume"
        ) from None


def load(folder: Path, settings: Settings) -> Checkpoint:
    """BadInput where there is none, where it is damaged, or of a training with other settings."""
    path = path_in(folder)
    if not path.exists():
        raise BadInput(
            f"there is nothing to resume in {folder}: it holds no {FILE}; a lens that is finished "
            "has none any more"
        )
    try:
        with safe_open(path, framework="numpy") as file:
            said = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{path} can't be read ({error}); delete it and begin anew") from None
    if said.get("format") != FORMAT or said.get("version") != VERSION:
        raise BadInput(f"{path} is no checkpoint of this version's; delete it and begin anew")
    _check_same(path, json.loads(said["settings"]), settings)
    return _checkpoint(int(said["step"]), arrays)


def remove(folder: Path) -> None:
    path_in(folder).unlink(missing_ok=True)


def _check_same(path: Path, then: dict[str, Any], now: Settings) -> None:
    for name, value in now.items():
        if then.get(name) != value:
            raise BadInput(
                f"{path} is of a training with {name} {then.get(name)} and this one has {value}; "
                "resume it with the same, or begin anew in another folder"
            )


def _arrays(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    named = {
        **{f"parameters.{name}": a for name, a in tree_flatten(checkpoint.parameters)},
        **{f"optimizer.{name}": a for name, a in checkpoint.optimizer.items()},
    }
    mx.eval(named)
    # uint64 steps too, which as_numpy would narrow
    of_mlx = {name: np.ascontiguousarray(np.array(a, copy=False)) for name, a in named.items()}
    of_numpy = {f"history.{n}": np.ascontiguousarray(a) for n, a in checkpoint.history.items()}
    return of_mlx | of_numpy


def _checkpoint(step: int, arrays: dict[str, np.ndarray]) -> Checkpoint:
    parts: dict[str, dict[str, np.ndarray]] = {"parameters": {}, "optimizer": {}, "history": {}}
    for name, array in arrays.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = array
    parameters = tree_unflatten([(n, mx.array(a)) for n, a in parts["parameters"].items()])
    return Checkpoint(
        step,
        cast(Parameters, parameters),
        {name: mx.array(array) for name, array in parts["optimizer"].items()},
        parts["history"],
    )
