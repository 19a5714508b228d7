"""Attention patterns (Vaswani et al. 2017): what does each head read, from each token?"""

from __future__ import annotations

from typing import Literal

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.request import Request, check_prompt

Layers = list[int] | Literal["all"]


class Attention(Request, frozen=True, kw_only=True, tag="attention"):
    """The attention patterns of some blocks, or of all that have any."""

    prompt: str
    layers: Layers = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prompt("prompt", self.prompt)
        check_layers(self.layers)


def check_layers(layers: Layers) -> None:
    """BadInput unless it is "all" or a list of different block numbers."""
    if layers == "all":
        return
    whole = isinstance(layers, list) and all(type(layer) is int for layer in layers)
    if not whole or not layers or min(layers) < 0:
        raise BadInput(f"layers is {layers!r}; give block numbers from 0, e.g. 4,17, or 'all'")
    if len(set(layers)) < len(layers):
        raise BadInput(f"layers is {layers!r} and names a block twice; name each once")
