"""Activation patching (Vig et al. 2020, arXiv 2004.12265; Meng et al. 2022): which places of the
model carry what makes the answer?
"""

from __future__ import annotations

import re
from typing import NamedTuple, get_args

from mlxterp_engine.experiments.attention import Layers, check_layers
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.patching import Direction, Patching
from mlxterp_engine.experiments.request import check_choice

NEURONS = re.compile(r"(?:blocks\.)?(?P<block>\d+)(?:\.mlp\.post)?@(?P<position>-?\d+)")


class NeuronsAt(NamedTuple):
    """A block and a position; a negative one counts from the end."""

    block: int
    position: int


class ActivationPatching(Patching, frozen=True, kw_only=True, tag="activation-patching"):
    """Write one run's activation into the other, one place at a time, and see the metric move.

    direction: denoise writes clean values into the corrupt run, noise corrupt ones into the clean
    run. by_position: also each head of `layers` at each position: z_pos [layer, position, head].
    neurons: such as blocks.12@9, each neuron of that block's MLP at that position, one by one:
    neurons [d_mlp], and all of them at once: neurons_together. Then `sites` may be empty.
    resume: take the cells that the very same request had computed before it was stopped.
    """

    direction: Direction = "denoise"
    by_position: bool = False
    layers: Layers = "all"
    neurons: str | None = None
    resume: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("direction", self.direction, get_args(Direction))
        check_layers(self.layers)
        if self.layers != "all" and not self.by_position:
            raise BadInput(
                f"layers is {self.layers} and says which blocks' heads are patched by position; "
                "give by_position too, or leave layers out"
            )
        if self.neurons is not None and NEURONS.fullmatch(self.neurons) is None:
            raise BadInput(
                f"neurons is {self.neurons!r}; give a block and a position, e.g. blocks.12@9"
            )
        if self.neurons is not None and self.pairs is not None:
            raise BadInput(
                "neurons and pairs don't go together: neurons are patched in one pair of prompts; "
                "give clean and corrupt"
            )

    @property
    def names_others(self) -> bool:
        return self.neurons is not None

    @property
    def neurons_at(self) -> NeuronsAt | None:
        match = NEURONS.fullmatch(self.neurons or "")
        return match and NeuronsAt(int(match["block"]), int(match["position"]))
