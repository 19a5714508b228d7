"""Is this machine computing what it should? Device, BLAS, parity with NumPy, versions, folders."""

from __future__ import annotations

import platform
import time
from collections.abc import Generator
from importlib import metadata
from typing import Any

from mlxterp_engine import backend
from mlxterp_engine.experiments import Step
from mlxterp_engine.models.cache import models_folder
from mlxterp_engine.models.catalogue import LAST_RESORT
from mlxterp_engine.opening import opening, probe_ids
from mlxterp_engine.techniques.numpy_forward import LlamaShape, llama_logits
from mlxterp_engine.worker.tasks import Examine, Finding

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

PACKAGES = (
    "mlxterp-tui",
    "mlx",
    "mlx-cpu",
    "mlx-cuda-13",
    "mlx-lm",
    "cmeel-openblas",
    "numpy",
    "textual",
    "msgspec",
    "tokenizers",
    "gguf",
)
PARITY = 1e-5  # float32 sums of a few hundred terms in another order


def examine(task: Examine) -> Generator[Step, None, list[Finding]]:
    """Findings in the order in which they are to be read."""
    place = backend.choose(task.device)
    backend.settle(place)
    findings = _machine(place)
    yield Step(1, 4, "matrix product")
    findings += _matmul()
    yield Step(2, 4, "forward pass")
    findings += yield from _forward(task)
    yield Step(3, 4, "versions")
    return findings + _versions() + _libraries() + _folders()


def _machine(place: backend.Place) -> list[Finding]:
    return [
        Finding("device", "computing on", place.label),
        Finding("device", "GPU for MLX", "yes" if backend.gpu_available() else "none"),
        Finding(
            "device",
            "BLAS",
            backend.BLAS.name + (f": {backend.BLAS.note}" if backend.BLAS.note else ""),
            backend.BLAS.ok or not place.on_cpu,
        ),
        Finding("device", "system", f"{platform.system()} {platform.machine()}"),
    ]


def _matmul(size: int = 768) -> list[Finding]:
    """The same product by MLX and by NumPy in float64, and how fast MLX makes it."""
    draw = np.random.default_rng(0)
    a, b = (draw.standard_normal((size, size)).astype(np.float32) for _ in range(2))
    x, y = mx.array(a), mx.array(b)
    mx.eval(x @ y)
    start = time.perf_counter()
    product = x @ y
    mx.eval(product)
    rate = size**3 / (time.perf_counter() - start)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    error = _relative(np.array(product), exact)
    return [
        Finding("parity", f"matrix product {size}² against NumPy", f"{error:.1e}", error <= PARITY),
        Finding("speed", "matrix product", f"{2 * rate / 1e9:.0f} GFLOP/s"),
    ]


def _forward(task: Examine) -> Generator[Step, None, list[Finding]]:
    """One forward of the model that came along, by MLX and by NumPy; and its contracts."""
    parts = yield from opening(LAST_RESORT, task.device, "auto")
    ids = probe_ids(parts.tokens, 24)
    logits = np.array(parts.net(ids)[0].astype(mx.float32))
    error = _relative(
        logits, llama_logits(_weights(parts.net), _shape(parts.net), np.array(ids[0]).tolist())
    )
    what = f"forward pass of {LAST_RESORT} against NumPy"
    tolerance = 1e-4 if parts.card.dtype == "float32" else 5e-2
    findings = [Finding("parity", what, f"{error:.1e}", error <= tolerance)]
    for name, contract in parts.card.contracts.items():
        words = name.replace("_", " ")
        value = f"{contract.error:.1e} (tolerance {contract.tolerance:.0e})"
        findings.append(Finding("contracts", words, value, contract.ok))
    return findings


def _weights(net: Any) -> dict[str, np.ndarray]:
    return {
        name: np.array(value.astype(mx.float32)) for name, value in tree_flatten(net.parameters())
    }


def _shape(net: Any) -> LlamaShape:
    args = net.args
    return LlamaShape(
        args.num_hidden_layers,
        args.num_attention_heads,
        args.num_key_value_heads,
        args.rope_theta,
        args.rms_norm_eps,
    )


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _versions() -> list[Finding]:
    installed = {d.metadata["Name"].lower(): d.version for d in metadata.distributions()}
    versions = [(name, installed[name]) for name in PACKAGES if name in installed]
    return [Finding("versions", "python", platform.python_version())] + [
        Finding("versions", name, version) for name, version in versions
    ]


def _libraries() -> list[Finding]:
    """mlx-cpu and mlx-cuda ship the same file; say when the CPU's lies over the GPU's."""
    clash = backend.cuda_overwritten()
    return [Finding("versions", "CUDA library", clash, False)] if clash else []


def _folders() -> list[Finding]:
    return [Finding("folders", "models", str(models_folder()))]
