"""Lenses in the format of the published package tuned-lens: `config.json` and `params.pt`.

https://github.com/AlignmentResearch/tuned-lens, version 0.2.0 and older ones. Translator i is
for the input of block i, which is row i of `Translators`: 0 the embeddings, i the state behind
block i - 1. Older files hold the embeddings' apart, the unembedding too, and say probe or
adapter for translator.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.result import ModelCard
from mlxterp_engine.lenses.torch_file import read_tensors
from mlxterp_engine.lenses.translators import Translators

import mlx.core as mx
import msgspec
import numpy as np

CONFIG, PARAMETERS = "config.json", "params.pt"
LINEAR = "linear_tuned_lens"
_OF_INPUT = re.compile(r"input_(?:translator|probe|adapter)\.(weight|bias)")
_OF_LAYER = re.compile(r"(?:layer_(?:translators|probes|adapters)\.)?(\d+)\.(weight|bias)")


class Config(msgspec.Struct, frozen=True, rename={"layers": "num_hidden_layers"}):
    """What of config.json counts here; older files say num_layers."""

    d_model: int
    layers: int | None = None
    num_layers: int | None = None
    base_model_name_or_path: str | None = None
    unembed_hash: str | None = None
    lens_type: str = LINEAR
    extra_layers: int = 0
    reuse_unembedding: bool = True

    @property
    def blocks(self) -> int | None:
        return self.layers if self.layers is not None else self.num_layers


class Published(NamedTuple):
    """A lens as the package wrote it."""

    config: Config
    translators: Translators


def is_published(folder: Path) -> bool:
    return (folder / CONFIG).is_file() and (folder / PARAMETERS).is_file()


def read(folder: Path) -> Published:
    """BadInput by name: damaged, of another kind, incomplete, of other shapes, not finite."""
    config = _config(folder / CONFIG)
    blocks, d_model = config.blocks, config.d_model
    assert blocks is not None  # _config
    path = folder / PARAMETERS
    found = _named(path, read_tensors(path, _most_numbers(blocks, d_model)))
    weight = np.zeros((blocks, d_model, d_model), np.float32)
    bias = np.zeros((blocks, d_model), np.float32)
    for row in range(blocks):
        weight[row] = _checked(path, found, row, "weight", (d_model, d_model))
        if any(name == "bias" for _, name in found):  # a lens may be fitted without
            bias[row] = _checked(path, found, row, "bias", (d_model,))
    return Published(config, Translators(mx.array(weight), mx.array(bias)))


def check_fits(name: str, config: Config, card: ModelCard, unembedding: np.ndarray | None) -> str:
    """What could not be checked, in words, or nothing. BadInput where the lens can't be of the
    model: other sizes, or another unembedding by the package's own hash of it.

    unembedding: [vocab, d_model]; None where the model has none that is one matrix.
    """
    if (config.blocks, config.d_model) != (card.layers, card.d_model):
        raise BadInput(
            f"lens {name} is for {config.base_model_name_or_path} with {config.blocks} blocks of "
            f"width {config.d_model}, and {card.reference} has {card.layers} of width "
            f"{card.d_model}; open the model that it was trained on"
        )
    if config.unembed_hash is None or unembedding is None:
        why = "it keeps no hash" if unembedding is not None else "this model's is no matrix"
        return f"that {name} was trained through this model's unembedding: {why}"
    if unembedding_hash(unembedding) == config.unembed_hash:
        return ""
    if card.quantisation != "none":
        return f"that {name} was trained through this model's unembedding: it is quantised here"
    raise BadInput(
        f"lens {name} was trained through another unembedding ({config.base_model_name_or_path}, "
        f"hash {config.unembed_hash[:8]}…) than that of {card.reference} "
        f"({unembedding_hash(unembedding)[:8]}…); open the model that it was trained on"
    )


def unembedding_hash(matrix: np.ndarray) -> str:
    """The package's `tensor_hash`: SHA-256 of how NumPy prints the corners of [vocab, d_model]."""
    with np.printoptions(edgeitems=3, threshold=1000, linewidth=75, suppress=False):
        return hashlib.sha256(np.array_str(matrix, precision=1).encode()).hexdigest()


def _config(path: Path) -> Config:
    try:
        config = msgspec.json.decode(path.read_bytes(), type=Config)
    except (OSError, msgspec.DecodeError) as error:
        raise BadInput(f"{path} is no config of a tuned lens ({error})") from None
    if config.lens_type != LINEAR or config.extra_layers or not config.reuse_unembedding:
        raise BadInput(
            f"{path} is of a lens that is more than one affine map a layer; only {LINEAR} without "
            "extra_layers, through the model's own unembedding, is read"
        )
    if not config.blocks or not 1 <= config.blocks <= 10_000 or not 1 <= config.d_model <= 1 << 20:
        raise BadInput(f"{path} gives no sensible num_hidden_layers and d_model")
    return config


def _most_numbers(blocks: int, d_model: int) -> int:
    """The translators, and in older files an unembedding of up to a million tokens."""
    return (blocks + 1) * (d_model + 1) * d_model + d_model * (1 << 20)


def _named(path: Path, tensors: dict[str, np.ndarray]) -> dict[tuple[int, str], np.ndarray]:
    """By row of `Translators` and what it is. What belongs to no translator is left out."""
    older = any(_OF_INPUT.fullmatch(name) for name in tensors)
    found = {}
    for name, array in tensors.items():
        if match := _OF_INPUT.fullmatch(name):
            found[0, match[1]] = array
        elif match := _OF_LAYER.fullmatch(name):
            found[int(match[1]) + older, match[2]] = array
    if not found:
        names = ", ".join(sorted(tensors)[:4]) or "nothing"
        raise BadInput(f"{path} holds no translators ({names}); it is not of a tuned lens")
    return found


def _checked(
    path: Path,
    found: dict[tuple[int, str], np.ndarray],
    row: int,
    name: str,
    shape: tuple[int, ...],
) -> np.ndarray:
    array = found.get((row, name))
    if array is None:
        raise BadInput(f"{path} has no {name} of translator {row}; the file is not whole")
    if array.shape != shape:
        raise BadInput(
            f"{path}: the {name} of translator {row} is {list(array.shape)} and should be "
            f"{list(shape)}"
        )
    if not np.isfinite(array).all():
        raise BadInput(f"{path}: the {name} of translator {row} holds values that are not finite")
    return array
