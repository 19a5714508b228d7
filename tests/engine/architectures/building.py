"""Each architecture of mlx-lm at a tiny size, with random weights."""

from __future__ import annotations

import importlib
import pkgutil

import mlxterp_engine.openblas  # noqa: F401  before mlx

import mlx.core as mx
import mlx.nn as nn
import mlx_lm.models
from engine.architectures.sizes import config_of
from mlx.utils import tree_map

# Files in mlx_lm/models that hold no model.
PARTS = {
    "activations",
    "base",
    "bitlinear_layers",
    "cache",
    "gated_delta",
    "mla",
    "pipeline",
    "rope_utils",
    "ssm",
    "switch_layers",
}
NOT_BUILT = {
    "bitnet": "its kernel is for Metal alone",
    "muse_spark": "its kernel is for Metal alone",
    "olmo": "its file ends the interpreter when the package ai2-olmo is missing",
    "phi3small": "its block-sparse attention ends the process on a CPU (a crash in native code)",
    "prism_hadamard_qwen35": "it is read from packed 2-bit weights and has no other form",
}
IDS = mx.array([[1, 5, 9, 30, 44, 71, 2, 88, 17, 60, 33, 12]])


def architectures() -> list[str]:
    """The names of all model files but those in NOT_BUILT."""
    files = {module.name for module in pkgutil.iter_modules(mlx_lm.models.__path__)}
    return sorted(files - PARTS - NOT_BUILT.keys())


def build(architecture: str) -> nn.Module:
    """The model in float32, every weight moved off its initial value: a head of zeros or a norm
    of ones would hide a mistake."""
    mx.random.seed(0)
    file = importlib.import_module(f"mlx_lm.models.{architecture}")
    net = file.Model(file.ModelArgs.from_dict(config_of(architecture)))
    net.update(tree_map(_moved, net.parameters()))
    return net.eval()


def _moved(weight: mx.array) -> mx.array:
    if weight.dtype != mx.float32:
        return weight
    spread = 0.1 if weight.ndim < 2 else 0.05
    return weight + spread * mx.random.normal(weight.shape)
