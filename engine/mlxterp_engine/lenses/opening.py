"""A lens for a model that is open: found by name or folder, in either format, and checked.

What was read last is kept while its files are unchanged: a lens is asked for at every keystroke.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.result import ModelCard
from mlxterp_engine.lenses import folder as own
from mlxterp_engine.lenses import published, shelf
from mlxterp_engine.lenses.description import LensDescription, check_fits
from mlxterp_engine.lenses.identity import identity, unembedding_matrix
from mlxterp_engine.lenses.translators import Translators
from mlxterp_engine.models.anatomy_parts import Anatomy

import mlx.core as mx
import mlx.nn as nn


@dataclass(frozen=True, eq=False)
class FittedLens:
    """A lens that fits the model it was opened for.

    name: its folder's. sha256: over weight and bias in float32, so that a run can tell which lens
    it was. unchecked: what could not be known about its fit, in words, or nothing.
    """

    name: str
    kind: str
    sha256: str
    translators: Translators
    unchecked: str = ""

    @classmethod
    def of(cls, name: str, kind: str, translators: Translators) -> FittedLens:
        """One that is in memory."""
        return cls(name, kind, _sha256(translators), translators)

    def __call__(self, states: mx.array, layer: int) -> mx.array:
        """States [..., d_model] behind a block (-1: the embeddings) -> what is unembedded.

        The last block's are what the model itself unembeds, and stay as they are.
        """
        last = self.translators.layers[-1] + 1
        if not -1 <= layer <= last:
            raise BadInput(f"layer {layer} is none of this lens's: they go from -1 to {last}")
        return states if layer == last else self.translators.translate(states, layer)


def open_lens(named: str, card: ModelCard, net: nn.Module, anatomy: Anatomy) -> FittedLens:
    """The lens of a name on the shelf or of a folder. BadInput where it is none of this model."""
    folder = shelf.resolve(named).absolute()
    found = _read(folder, _stamps(folder))
    if isinstance(found.said, published.Config):
        matrix = unembedding_matrix(net, anatomy)
        unchecked = published.check_fits(folder.name, found.said, card, matrix)
        return FittedLens(folder.name, "tuned", found.sha256, found.translators, unchecked)
    check_fits(folder.name, found.said.model, identity(card, net, anatomy))
    return FittedLens(folder.name, found.said.kind, found.sha256, found.translators)


class _Read(NamedTuple):
    said: LensDescription | published.Config
    translators: Translators
    sha256: str


Stamps = tuple[tuple[str, int, int], ...]
"""Name, size and time of change of each file in a folder."""


def _stamps(folder: Path) -> Stamps:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)


@lru_cache(maxsize=1)  # of a large model a lens is gigabytes
def _read(folder: Path, _: Stamps) -> _Read:
    said, translators = (published if published.is_published(folder) else own).read(folder)
    return _Read(said, translators, _sha256(translators))


def _sha256(translators: Translators) -> str:
    digest = hashlib.sha256()
    for array in (translators.weight, translators.bias):
        digest.update(as_numpy(array).data.cast("B"))
    return digest.hexdigest()
