"""Which model a lens belongs to: its weights, and what it is unembedded through.

The second hash runs over every parameter that stands outside the blocks (embeddings, final
norm, head), sorted by path: the path, the shape, and the bytes in float32, quantised ones
dequantised. A module that was changed in memory has another one under the same weights' hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments.result import ModelCard
from mlxterp_engine.lenses.description import LensModel
from mlxterp_engine.models.anatomy_parts import Anatomy

import mlx.core as mx
import mlx.nn as nn
import numpy as np

_known: WeakKeyDictionary[Anatomy, str] = WeakKeyDictionary()


def identity(card: ModelCard, net: nn.Module, anatomy: Anatomy) -> LensModel:
    """What a lens of this model keeps, and is compared with. The hash is computed once a model."""
    if anatomy not in _known:
        _known[anatomy] = unembedding_sha256(net, anatomy)
    return LensModel(
        reference=card.reference,
        architecture=card.architecture,
        sha256=card.sha256,
        unembedding_sha256=_known[anatomy],
        dtype=card.dtype,
        d_model=card.d_model,
        layers=card.layers,
    )


def unembedding_sha256(net: nn.Module, anatomy: Anatomy) -> str:
    digest = hashlib.sha256()
    for path, array in sorted(_outside_the_blocks(net, anatomy), key=lambda found: found[0]):
        digest.update(json.dumps([path, list(array.shape)]).encode())
        digest.update(as_numpy(mx.contiguous(array.astype(mx.float32))).data.cast("B"))
    return digest.hexdigest()


def unembedding_matrix(net: nn.Module, anatomy: Anatomy) -> np.ndarray | None:
    """What the normed state is multiplied by, [vocab, d_model], float32; None where no one
    matrix of this size stands outside the blocks, beside the embeddings'."""
    shape = (anatomy.vocab_size, anatomy.d_model)
    found = {
        isinstance(module, nn.Embedding | nn.QuantizedEmbedding): array
        for _, module in _modules_outside(net, anatomy)
        for name, array in _own(module)
        if name == "weight" and array.shape == shape
    }
    matrix = found.get(anatomy.tied)
    return None if matrix is None else as_numpy(mx.contiguous(matrix.astype(mx.float32)))


def _outside_the_blocks(net: nn.Module, anatomy: Anatomy) -> Iterator[tuple[str, mx.array]]:
    for path, module in _modules_outside(net, anatomy):
        for name, array in _own(module):
            yield f"{path}.{name}", array


def _modules_outside(net: nn.Module, anatomy: Anatomy) -> Iterator[tuple[str, nn.Module]]:
    inside = {id(module) for block in anatomy.blocks for module in block.module.modules()}
    for path, module in net.named_modules():
        if id(module) not in inside:
            yield path, module


def _own(module: nn.Module) -> Iterator[tuple[str, mx.array]]:
    """A module's parameters, those of its children left out."""
    own: dict[str, Any] = {
        name: value
        for name, value in module.items()
        if isinstance(value, mx.array) and not name.startswith("_")
    }
    if isinstance(module, nn.QuantizedLinear | nn.QuantizedEmbedding):
        scales, biases = own.pop("scales"), own.pop("biases", None)
        own["weight"] = mx.dequantize(
            own["weight"], scales, biases, module.group_size, module.bits, module.mode
        )
    yield from own.items()
