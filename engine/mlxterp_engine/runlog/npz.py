"""A result in the .npz format: the one writer of it."""

from __future__ import annotations

import io
from typing import BinaryIO

from mlxterp_engine.experiments import Result

import msgspec


def save_npz(result: Result, file: BinaryIO) -> None:
    """`meta` as JSON in a 0-d string array, and each array by its name. Imports numpy.

    The same result gives the same bytes: numpy stamps no times on what it stores.
    """
    import numpy as np

    arrays = {
        name: np.frombuffer(array.data, dtype=array.dtype).reshape(array.shape)
        for name, array in result.arrays.items()
    }
    meta = np.array(msgspec.json.encode(result.meta).decode())
    np.savez(file, allow_pickle=False, meta=meta, **arrays)


def npz_bytes(result: Result) -> bytes:
    """The whole file."""
    file = io.BytesIO()
    save_npz(result, file)
    return file.getvalue()
