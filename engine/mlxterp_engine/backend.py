"""Where and in what precision things are computed. Import this before mlx, everywhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata

from mlxterp_engine.openblas import Blas, preload, threads_now, use_free_cores, use_threads

_start = time.perf_counter()
BLAS: Blas = preload()

from mlxterp_engine.experiments.errors import BadInput  # noqa: E402
from mlxterp_engine.experiments.request import Device, DTypeChoice  # noqa: E402

try:
    import mlx.core as mx
except ImportError as error:
    raise ImportError(
        f"MLX can't be loaded here: {error}. Its CUDA build needs NVIDIA's driver; for the CPU: "
        f"python -m pip install --force-reinstall --no-deps mlx-cpu=={metadata.version('mlx')}"
    ) from error
import numpy as np  # noqa: E402

IMPORT_SECONDS = time.perf_counter() - _start

DTYPES = {"float32": mx.float32, "bfloat16": mx.bfloat16, "float16": mx.float16}


@dataclass(frozen=True)
class Place:
    """The device in use, and the dtype asked for; None keeps the model's own."""

    device: str
    dtype: str | None

    @property
    def on_cpu(self) -> bool:
        return self.device == "cpu"

    @property
    def label(self) -> str:
        """What a status line says: `cpu (OpenBLAS 0.3.31, up to 2 threads)`, `gpu (Metal)`."""
        if self.on_cpu:
            return (
                f"cpu ({BLAS.name}, up to {BLAS.threads} threads)"
                if BLAS.ok
                else f"cpu ({BLAS.name})"
            )
        return f"gpu ({'Metal' if sys.platform == 'darwin' else 'CUDA'})"


def gpu_available() -> bool:
    """Whether MLX was built with a GPU back end and a GPU answers."""
    return bool(mx.is_available(mx.gpu))


def choose(device: Device = "auto", dtype: DTypeChoice = "auto") -> Place:
    """The policy: a GPU where there is one; float32 on a CPU, where all else is 8-50 times slower.

    On a GPU, `auto` keeps the model's own dtype and quantisation.
    """
    if device == "gpu" and not gpu_available():
        raise BadInput("device is 'gpu' and MLX finds none here; give 'cpu' or 'auto'")
    chosen = "gpu" if device == "gpu" or (device == "auto" and gpu_available()) else "cpu"
    if dtype == "auto":
        return Place(chosen, "float32" if chosen == "cpu" else None)
    return Place(chosen, dtype)


def settle(place: Place) -> None:
    """Make `place` the one that MLX computes on from now, with the cores that are free now."""
    if place.on_cpu:
        use_free_cores(BLAS)
    mx.set_default_device(mx.cpu if place.on_cpu else mx.gpu)


@contextmanager
def put_back() -> Iterator[None]:
    """Put back, in the end, what one task's numbers depend on and another one sets: device,
    threads, and where MLX stands in its random numbers."""
    device, threads = mx.default_device(), threads_now(BLAS)
    high, low = np.array(mx.random.state[0]).tolist()  # type: ignore[index]
    try:
        yield
    finally:
        mx.set_default_device(device)
        use_threads(BLAS, threads)
        mx.random.seed(high << 32 | low)  # a seed's halves are the state that it begins with


def as_numpy(array: mx.array) -> np.ndarray:
    """The array's values, evaluated: float32, int32 or bool. Without a copy where possible."""
    if array.dtype in (mx.bfloat16, mx.float16, mx.float64):
        array = array.astype(mx.float32)
    elif array.dtype not in (mx.float32, mx.int32, mx.bool_):
        array = array.astype(mx.int32)
    return np.array(array, copy=False)


def memory() -> tuple[int, int]:
    """Bytes that MLX holds in arrays now, and the most since the last reset."""
    return mx.get_active_memory(), mx.get_peak_memory()


def cuda_overwritten() -> str:
    """What is wrong and the remedy when mlx-cpu's library lies over mlx-cuda's; else ''.

    Both wheels hold mlx/lib/libmlx.so, and whichever was installed last stays.
    """
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"].lower()
        if name.startswith("mlx-cuda") and not _is_its_own(distribution):
            return (
                f"{name} {distribution.version} is installed and mlx-cpu's library lies over it; "
                f"python -m pip install --force-reinstall --no-deps {name}=={distribution.version}"
            )
    return ""


def _is_its_own(distribution: metadata.Distribution) -> bool:
    """Whether libmlx.so on disk has the size that this distribution recorded for it."""
    for file in distribution.files or []:
        if file.name == "libmlx.so" and file.size is not None:
            return os.path.getsize(str(file.locate())) == file.size
    return True
