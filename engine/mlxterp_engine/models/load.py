"""From a place on disk to an mlx module with its tokenizer, in the precision that is wanted."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mlxterp_engine.backend import DTYPES, Place
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.result import Step
from mlxterp_engine.models.gguf_file import GGUFModel
from mlxterp_engine.models.mlx_lm_file import mlx_lm_file
from mlxterp_engine.models.weights_hash import safetensors_header, weight_files

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten

_kept_free = 0  # bytes; see `keeping_free`


@dataclass(frozen=True)
class Network:
    """An mlx-lm model, evaluated. parameters: how many numbers, however they are stored."""

    net: nn.Module
    config: dict[str, Any]
    parameters: int
    bytes: int
    dtype: str


def load_gguf_network(model: GGUFModel, place: Place) -> Generator[Step, None, Network]:
    """A GGUF file's network, dequantised exactly to float32 unless another dtype is asked for."""
    classes = architecture_file(model.config["model_type"])
    net = classes.Model(classes.ModelArgs.from_dict(model.config))
    dtype = DTYPES[place.dtype or "float32"]
    _check_memory(model.parameters * dtype.size, str(model.path))
    weights: list[tuple[str, mx.array]] = []
    for name, values in model.weights():
        weights.append((name, mx.array(values).astype(dtype)))
        done = sum(array.size for _, array in weights) / model.parameters
        yield Step(min(done, 1.0), 1.0, "reading weights")
    try:
        # sanitize: Gemma 3 unembeds by its embeddings only when told so there
        net.load_weights(list(net.sanitize(dict(weights)).items()))
    except ValueError as error:
        raise BadInput(f"{model.path} does not fit its own header: {error}") from None
    return network_of(net, model.config)


def load_folder_network(folder: Path, place: Place) -> Network:
    """A folder that `mlx_lm.load` reads. On a CPU quantised weights are dequantised exactly."""
    from mlx_lm.utils import load_model  # imports transformers: 0.8 s, only where it is needed

    files = weight_files(folder)
    for file in files:
        safetensors_header(file)  # a file cut off is named before mlx meets it
    stored = sum(file.stat().st_size for file in files)
    _check_memory(stored, str(folder))
    try:
        net, config = load_model(folder, lazy=True)
    except (ValueError, FileNotFoundError, KeyError, RuntimeError, TypeError) as error:
        raise BadInput(f"{folder} can't be loaded by mlx-lm: {_first_line(error)}") from error
    except SystemExit as error:  # mlx-lm's olmo file exits where a package of its own lacks
        raise BadInput(f"{folder} needs a package that mlx-lm lacks here: {error}") from error
    if place.dtype is not None:
        dequantise(net, DTYPES[place.dtype])
        net.set_dtype(DTYPES[place.dtype])
    return network_of(net, config)


def architecture_file(model_type: str) -> ModuleType:
    """`mlx_lm.models.NAME`: the classes of one architecture."""
    return mlx_lm_file(f"models.{model_type}")


def dequantise(net: nn.Module, dtype: mx.Dtype) -> None:
    """Replace quantised layers by dense ones, in place; scales are taken in float32."""
    dense = {
        name: _dense(layer, dtype)
        for name, layer in net.named_modules()
        if isinstance(layer, nn.QuantizedLinear | nn.QuantizedEmbedding)
    }
    if dense:
        net.update_modules(tree_unflatten(list(dense.items())))


def _dense(layer: Any, dtype: mx.Dtype) -> nn.Module:
    biases = layer.get("biases")
    weight = mx.dequantize(
        layer.weight,
        layer.scales.astype(mx.float32) if layer.mode == "affine" else layer.scales,
        None if biases is None else biases.astype(mx.float32),
        group_size=layer.group_size,
        bits=layer.bits,
        mode=layer.mode,
    ).astype(dtype)
    if isinstance(layer, nn.QuantizedEmbedding):
        dense: nn.Module = nn.Embedding(1, 1)
    else:
        dense = nn.Linear(1, 1, bias="bias" in layer)
        if "bias" in layer:
            dense.bias = layer.bias.astype(dtype)
    dense.weight = weight
    return dense


def network_of(net: nn.Module, config: dict[str, Any]) -> Network:
    """A module that has its weights, evaluated and out of training. config: mlx-lm's keys."""
    net.eval()
    mx.eval(net.parameters())
    arrays = [value for _, value in tree_flatten(net.parameters())]
    floats = [a for a in arrays if mx.issubdtype(a.dtype, mx.floating)]
    dtype = max(floats, key=lambda a: a.size).dtype if floats else mx.float32
    return Network(
        net=net,
        config=config,
        parameters=parameter_count(net),
        bytes=sum(a.nbytes for a in arrays),
        dtype=str(dtype).removeprefix("mlx.core."),
    )


def parameter_count(net: nn.Module) -> int:
    """Numbers in the model; a packed 4-bit weight counts each of its eight."""
    total = 0
    for _, module in net.named_modules():
        bits = getattr(module, "bits", None)
        for name, value in module.items():
            if not isinstance(value, mx.array):
                continue
            if bits and name == "weight":
                total += value.size * 32 // bits
            elif not (bits and name in ("scales", "biases")):
                total += value.size
    return total


def _check_memory(needed: int, what: str) -> None:
    available = available_memory()
    if available is not None and needed > available - _kept_free:
        spoken_for = f", {_kept_free / 1e9:.1f} of them for a job that waits" if _kept_free else ""
        raise BadInput(
            f"{what} needs {needed / 1e9:.1f} GB of memory for its weights and "
            f"{available / 1e9:.1f} GB are free{spoken_for}; "
            "give --dtype bfloat16 or a smaller model"
        )


@contextmanager
def keeping_free(needed: int) -> Iterator[None]:
    """Open no model meanwhile that would leave less than this: somebody will need it again."""
    global _kept_free
    before, _kept_free = _kept_free, needed
    try:
        yield
    finally:
        _kept_free = before


def available_memory() -> int | None:
    """Bytes that can still be had, or None where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux: MLX knows what the GPU may use
    return mx.device_info().get("max_recommended_working_set_size")  # type: ignore[return-value]


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
