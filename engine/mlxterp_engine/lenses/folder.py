"""A lens as a folder: `lens.safetensors` and `lens.json`. engine/LENSES.md says what is in them.

`weight` [layer, d_model, d_model] and `bias` [layer, d_model], float32, as in `Translators`. The
description stands in the arrays' file too, so that the two are known to be of one writing.
"""

from __future__ import annotations

from pathlib import Path

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments.errors import BadInput, RunFailed
from mlxterp_engine.lenses.description import (
    DESCRIPTION,
    LensDescription,
    decoded,
    encoded,
    read_description,
)
from mlxterp_engine.lenses.translators import Translators
from mlxterp_engine.whole_files import put_in_place, write_whole

import mlx.core as mx
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

ARRAYS = "lens.safetensors"
_SAID = "description"  # in the metadata of the arrays' file


def write(folder: Path, translators: Translators, description: LensDescription) -> None:
    """Put a lens into a folder, which may be there. Each file is whole or the old one; where the
    writing ended between the two, `read` refuses them.

    BadInput for a folder that can't be made, and for translators that are not finite; RunFailed
    where the disk takes no more.
    """
    arrays = _arrays(translators)
    for name, array in arrays.items():
        _check_finite(folder, name, array)
    _make(folder)
    said = encoded(description)
    try:
        with put_in_place(folder / ARRAYS) as temporary:
            save_file(arrays, temporary, metadata={_SAID: said.decode()})
        write_whole(folder / DESCRIPTION, said)
    except (OSError, SafetensorError) as error:
        raise RunFailed(
            f"the lens can't be written to {folder} ({error}); make room and try again"
        ) from None


def read(folder: Path) -> tuple[LensDescription, Translators]:
    """The lens in a folder. BadInput by name: missing, cut off, foreign, of other shapes, with
    values that are not finite, or of a newer version."""
    description = read_description(folder)
    path = folder / ARRAYS
    try:
        with safe_open(path, framework="numpy") as file:
            said = (file.metadata() or {}).get(_SAID, "")
            found = {name: file.get_tensor(name) for name in ("weight", "bias")}
    except (OSError, SafetensorError) as error:
        raise BadInput(
            f"{path} can't be read as a lens's arrays ({error}); fit the lens again"
        ) from None
    if decoded(said.encode(), path) != description:
        raise BadInput(
            f"{path} and {DESCRIPTION} beside it are not of one writing; fit the lens again"
        )
    return description, _checked(path, found, description)


def _arrays(translators: Translators) -> dict[str, np.ndarray]:
    """Contiguous: safetensors writes memory as it lies."""
    return {
        "weight": np.ascontiguousarray(as_numpy(translators.weight.astype(mx.float32))),
        "bias": np.ascontiguousarray(as_numpy(translators.bias.astype(mx.float32))),
    }


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder} can't be made ({error.strerror}); name another folder") from None


def _checked(path: Path, found: dict[str, np.ndarray], description: LensDescription) -> Translators:
    layers, d_model = description.model.layers, description.model.d_model
    shapes = {"weight": (layers, d_model, d_model), "bias": (layers, d_model)}
    for name, array in found.items():
        if array.dtype != np.float32 or array.shape != shapes[name]:
            raise BadInput(
                f"{path}: {name} is {array.dtype} {list(array.shape)} and should be float32 "
                f"{list(shapes[name])}; fit the lens again"
            )
        _check_finite(path, name, array)
    return Translators(mx.array(found["weight"]), mx.array(found["bias"]))


def _check_finite(where: Path, name: str, array: np.ndarray) -> None:
    for index, one in enumerate(array):
        if not np.isfinite(one).all():
            raise BadInput(
                f"{where}: {name} of layer {index - 1} holds values that are not finite; a lens of "
                "them would say nothing, fit it again"
            )
