"""A real OpenBLAS for MLX on Linux CPUs, loaded before mlx is.

The mlx-cpu wheel links reference BLAS. A library with the same `cblas_*` names, loaded with
RTLD_GLOBAL before mlx.core, takes its place and makes a float32 forward tens of times faster.
The PyPI wheel `cmeel-openblas` has one, but it needs `libgfortran.so.5`, which many machines
lack. mlx-cpu brings that library along under another file name; see `_lend_gfortran`.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

GFORTRAN = "libgfortran.so.5"
CHOSEN = "OPENBLAS_NUM_THREADS"
LOOKS, PAUSE = 3, 0.002  # at how many threads run elsewhere; the fewest seen counts
ELF_MACHINES = {"x86_64": 62, "aarch64": 183}


@dataclass(frozen=True)
class Blas:
    """What multiplies matrices on this CPU, and why. threads: at most so many."""

    name: str
    threads: int
    ok: bool
    note: str = ""
    library: ctypes.CDLL | None = None


def preload() -> Blas:
    """Load OpenBLAS if this is Linux and mlx is not yet loaded. Never raises."""
    if sys.platform != "linux":
        return Blas("Accelerate", _cores(), True, "MLX's own on this system")
    if "mlx.core" in sys.modules:
        return Blas(
            "reference BLAS", 1, False, "mlx was imported first: import mlxterp_engine before it"
        )
    library = _openblas_file()
    if library is None:
        return Blas("reference BLAS", 1, False, "slow: python -m pip install cmeel-openblas")
    try:
        loaded = _load(library)
    except OSError as error:
        note = f"slow: {error}; install your system's libgfortran5"
        return Blas("reference BLAS", 1, False, note)
    version = metadata.version("cmeel-openblas")
    return Blas(f"OpenBLAS {version}", _wanted_threads(), True, library=loaded)


def use_free_cores(blas: Blas) -> None:
    """Set OpenBLAS to as many threads as cores are free now; a number set by hand stays.

    Its threads wait for each other by spinning, so that one that has to share its core holds
    up all: on two cores with two busy neighbours, two threads take 2 to 10 times as long as one.
    NumPy's wheel brings an OpenBLAS of its own, which is set too.
    """
    if blas.library is None or CHOSEN in os.environ:
        return
    _set_threads(max(1, _cores() - _busy_elsewhere()))


def threads_now(blas: Blas) -> int | None:
    """How many threads it computes with at this moment; None where that is not ours to say."""
    return None if blas.library is None else int(blas.library.openblas_get_num_threads())


def use_threads(blas: Blas, threads: int | None) -> None:
    """The number that `threads_now` told before: sums in another order have other last bits."""
    if blas.library is not None and threads is not None:
        _set_threads(threads)


def _set_threads(threads: int) -> None:
    """Of every BLAS in this process. Half a millisecond."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=threads, user_api="blas")


def _busy_elsewhere() -> int:
    """Threads that want a core at this moment, this one left out."""
    seen = []
    for look in range(LOOKS):
        if look:
            time.sleep(PAUSE)
        try:
            running = Path("/proc/loadavg").read_text().split()[3].partition("/")[0]
        except (OSError, IndexError):
            return 0
        seen.append(int(running) - 1)
    return max(0, min(seen))


def _wanted_threads() -> int:
    chosen = os.environ.get(CHOSEN, "")
    return int(chosen) if chosen.isdigit() and int(chosen) > 0 else _cores()


def _load(library: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    except OSError:
        _lend_gfortran()
        return ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def _cores() -> int:
    """Cores that this process may use: affinity, then the container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores or 1, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # no control group, or "max": no quota
    return cores or 1


def _openblas_file() -> Path | None:
    return _file_of("cmeel-openblas", "libopenblas.so.0")


def _file_of(distribution: str, name: str) -> Path | None:
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == name or (name.endswith("*") and file.name.startswith(name[:-1])):
            return Path(str(file.locate()))
    return None


def _lend_gfortran() -> None:
    """Have the linker know mlx-cpu's copy of libgfortran under the name OpenBLAS asks for.

    A tiny shared object that only needs `libgfortran.so.5` and looks for it in its own
    folder is loaded from a folder where that name is a link to mlx-cpu's copy. From then on
    the name is taken, whoever asks for it. The folder can go once that is done.
    """
    copy = _file_of("mlx-cpu", "libgfortran-*")
    machine = ELF_MACHINES.get(platform.machine())
    if copy is None or machine is None:
        raise OSError(f"{GFORTRAN} is missing")
    with tempfile.TemporaryDirectory(prefix="mlxterp-") as folder:
        for file in copy.parent.iterdir():
            os.symlink(file, Path(folder, file.name))
        os.symlink(copy, Path(folder, GFORTRAN))
        needing = Path(folder, "needs-gfortran.so")
        needing.write_bytes(_object_needing(GFORTRAN, machine))
        ctypes.CDLL(str(needing))


def _object_needing(library: str, machine: int) -> bytes:
    """An ELF64 shared object without code: DT_NEEDED `library`, DT_RUNPATH $ORIGIN."""
    strings = b"\0" + library.encode() + b"\0$ORIGIN\0"
    dynamic_at = 64 + 2 * 56
    symbols_at = dynamic_at + 8 * 16
    hash_at = symbols_at + 24
    strings_at = hash_at + 16
    size = strings_at + len(strings)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01", 3, machine, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0),
    )
    load = struct.pack("<IIQQQQQQ", 1, 6, 0, 0, 0, size, size, 4096)
    dynamic_header = struct.pack("<IIQQQQQQ", 2, 6, dynamic_at, dynamic_at, dynamic_at, 128, 128, 8)
    entries = [
        (1, 1),  # DT_NEEDED
        (29, 2 + len(library)),  # DT_RUNPATH
        (5, strings_at),
        (6, symbols_at),
        (10, len(strings)),
        (11, 24),
        (4, hash_at),
        (0, 0),
    ]
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    return (
        header
        + load
        + dynamic_header
        + dynamic
        + bytes(24)
        + struct.pack("<4I", 1, 1, 0, 0)
        + strings
    )
