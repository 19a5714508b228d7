"""A GGUF file as an mlx-lm model: config, weights, tokenizer, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlxterp_engine.models.gguf_architectures import architecture_of, config_of, tensor_names
from mlxterp_engine.models.gguf_reader import GGUF
from mlxterp_engine.models.gguf_tokenizer import Vocabulary, vocabulary_of

import numpy as np
from gguf import LlamaFileType


@dataclass(frozen=True)
class GGUFModel:
    """config: keys of mlx-lm's ModelArgs. quantisation: the type of most numbers, e.g. Q4_1."""

    path: Path
    architecture: str
    config: dict[str, Any]
    vocabulary: Vocabulary
    quantisation: str
    file_type: str
    licence: str
    name: str
    parameters: int
    _file: GGUF
    _names: dict[str, str]

    def weights(self) -> Iterator[tuple[str, np.ndarray]]:
        """(mlx-lm parameter name, float32 values), one tensor in memory at a time.

        Exact: every stored scale is taken in float32. Norms stored plus one are rounded once,
        by less than 1e-7 of the factor or of 1.
        """
        _, architecture = architecture_of(self._file)
        for ours, theirs in self._names.items():
            values = self._file.read(theirs, self._row_order(ours, theirs))
            shifted = architecture.norms_plus_one and ours.endswith("norm.weight")
            yield ours, values - np.float32(1) if shifted else values

    def _row_order(self, ours: str, theirs: str) -> np.ndarray | None:
        _, architecture = architecture_of(self._file)
        if not architecture.interleaved:
            return None
        if ".q_proj." in ours:
            return halves(self._file.shape(theirs)[0], self.config["num_attention_heads"])
        if ".k_proj." in ours:
            return halves(self._file.shape(theirs)[0], self.config["num_key_value_heads"])
        return None


def read_gguf(path: str | Path) -> GGUFModel:
    """Open a .gguf file. BadInput: missing, cut off, foreign, or of an unread architecture."""
    file = GGUF(Path(path))
    name, _ = architecture_of(file)
    return GGUFModel(
        path=file.path,
        architecture=name,
        config=config_of(file),
        vocabulary=vocabulary_of(file),
        quantisation=file.quantisation,
        file_type=_file_type(file),
        licence=str(file.get("general.license", "")),
        name=str(file.get("general.name", file.path.stem)),
        parameters=file.parameters,
        _file=file,
        _names=tensor_names(file),
    )


def halves(rows: int, heads: int) -> np.ndarray:
    """The order that takes each head's rows from (0, d/2, 1, d/2+1, …) to (0, 1, …, d-1).

    A GGUF Llama stores q and k rows so that RoPE turns neighbours; mlx-lm turns the two
    halves of a head. rows = heads * d.
    """
    return np.arange(rows).reshape(heads, -1, 2).swapaxes(1, 2).reshape(rows)


def _file_type(file: GGUF) -> str:
    try:
        return LlamaFileType(file.get("general.file_type")).name
    except ValueError:
        return ""
