"""OpenBLAS comes before MLX, whichever module of ours is imported first."""

import pkgutil
import subprocess
import sys

import mlxterp_engine
from mlxterp_engine import backend, openblas
from mlxterp_engine.experiments.errors import BadInput

import mlx.core as mx
import numpy as np
import pytest
from threadpoolctl import threadpool_info

WITH_MLX = (
    "interpretable",
    "lenses.translators",
    "models",
    "notebook",
    "opening",
    "reproductions",
    "running",
    "techniques",
    "tracing",
    "vocabulary",
)


def fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="the preload is for Linux CPUs")
@pytest.mark.parametrize("name", WITH_MLX)
def test_any_of_our_modules_loads_openblas_first(name):
    said = fresh(
        f"import mlxterp_engine.{name}\nfrom mlxterp_engine.backend import BLAS\n"
        "print(BLAS.ok, BLAS.name)"
    )
    assert said.startswith("True OpenBLAS")


@pytest.mark.skipif(sys.platform != "linux", reason="the preload is for Linux CPUs")
def test_mlx_imported_too_early_is_said_and_not_hidden():
    said = fresh(
        "import mlx.core\nfrom mlxterp_engine.backend import BLAS\nprint(BLAS.ok, BLAS.note)"
    )
    assert said.startswith("False mlx was imported first")


@pytest.mark.skipif(sys.platform != "linux", reason="ELF is Linux's")
def test_the_lent_library_is_found_under_the_name_that_openblas_asks_for():
    """In a fresh interpreter, where no one has loaded it before."""
    fresh(
        "import ctypes\nfrom mlxterp_engine.openblas import _lend_gfortran, _openblas_file\n"
        "_lend_gfortran()\nctypes.CDLL(str(_openblas_file()))"
    )


def threads():
    """Of every BLAS in this process: MLX's and NumPy's own."""
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


@pytest.mark.skipif(backend.BLAS.library is None, reason="no OpenBLAS of ours here")
def test_every_blas_takes_the_cores_that_are_free_and_at_least_one(monkeypatch):
    before = openblas.threads_now(backend.BLAS)
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setattr(openblas, "_cores", lambda: 4)
    for busy, taken in ((0, 4), (3, 1), (9, 1)):
        monkeypatch.setattr(openblas, "_busy_elsewhere", lambda busy=busy: busy)
        openblas.use_free_cores(backend.BLAS)
        assert threads() == {taken}
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    openblas.use_free_cores(backend.BLAS)  # chosen by hand: left alone
    assert threads() == {1}
    openblas.use_threads(backend.BLAS, before)


def test_the_needing_object_names_its_library_and_its_own_folder():
    elf = openblas._object_needing("libnothing.so.1", 62)
    assert elf[:4] == b"\x7fELF"
    assert elf.endswith(b"\0libnothing.so.1\0$ORIGIN\0")


def test_on_a_cpu_everything_is_float32_unless_asked():
    assert backend.choose("cpu").dtype == "float32"
    assert backend.choose("cpu", "bfloat16").dtype == "bfloat16"


@pytest.mark.skipif(backend.gpu_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(BadInput, match="MLX finds none"):
        backend.choose("gpu")


def test_numpy_reads_mlx_memory_in_place():
    array = mx.arange(4, dtype=mx.float32)
    view = backend.as_numpy(array)
    assert view.dtype == np.float32
    assert not view.flags.owndata


@pytest.mark.parametrize(
    ("dtype", "seen"), [(mx.bfloat16, np.float32), (mx.uint32, np.int32), (mx.bool_, np.bool_)]
)
def test_what_numpy_lacks_is_widened(dtype, seen):
    assert backend.as_numpy(mx.array([1, 0]).astype(dtype)).dtype == seen


def test_the_list_of_modules_above_is_whole():
    tops = {module.name for module in pkgutil.iter_modules(mlxterp_engine.__path__)}
    light = {"backend", "openblas", "experiments", "folders", "worker", "corpora", "runlog"}
    light |= {"array_files", "bootstrap", "thinning", "whole_files"}
    light |= {"lenses"}  # of lenses the shelf is for the screen too
    assert tops - light == {name for name in WITH_MLX if "." not in name}
