"""A result as a .npz file: `meta` as JSON in a 0-d string array, and each array by its name."""

from __future__ import annotations

import os
from pathlib import Path

from mlxterp_engine.array_files import UNREADABLE
from mlxterp_engine.experiments import Array, BadInput, Meta, Result
from mlxterp_engine.runlog.npz import save_npz
from mlxterp_engine.whole_files import put_in_place

import msgspec
import numpy as np


def write_npz(result: Result, path: str | Path) -> None:
    """Written to a temporary file beside `path`, synced, renamed: whole or not at all."""
    target = Path(path)
    check_writable(target)
    try:
        with put_in_place(target) as temporary, temporary.open("wb") as file:
            save_npz(result, file)
    except OSError as error:
        raise BadInput(f"{target} could not be written: {error.strerror or error}") from None


def read_npz(path: str | Path) -> tuple[Meta, dict[str, np.ndarray]]:
    """What `write_npz` wrote. BadInput for a file of another kind."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file}
            meta = msgspec.json.decode(str(arrays.pop("meta")), type=Meta)
    except (*UNREADABLE, KeyError) as error:
        raise BadInput(
            f"{path} is not a result of mlxterp-tui ({error}); give a file written with --out"
        ) from None
    return meta, arrays


def check_writable(path: str | Path) -> None:
    """BadInput, before anything is computed, where `path` could not be written at the end."""
    target = Path(path)
    if target.suffix != ".npz":
        raise BadInput(f"out is {str(target)!r}; results are .npz files, e.g. {target.stem}.npz")
    if target.is_dir():
        raise BadInput(f"out is {str(target)!r}, which is a folder; name a file in it")
    if not target.parent.is_dir():
        raise BadInput(f"out is {str(target)!r} and {target.parent} is no folder; make it first")
    if not os.access(target.parent, os.W_OK):
        raise BadInput(
            f"out is {str(target)!r} and {target.parent} can't be written; choose another"
        )


def to_numpy(array: Array) -> np.ndarray:
    """A view of the array's bytes, with its shape."""
    return np.frombuffer(array.data, dtype=array.dtype).reshape(array.shape)
