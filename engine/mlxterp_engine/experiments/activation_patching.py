"""Activation patching (Vig et al. 2020, arXiv 2004.12265; Meng et al. 2022): which places of the
model carry what makes the answer?
"""

from __future__ import annotations

from typing import get_args

from mlxterp_engine.experiments.attention import Layers, check_layers
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.patching import Direction, Patching
from mlxterp_engine.experiments.request import check_choice


class ActivationPatching(Patching, frozen=True, kw_only=True, tag="activation-patching"):
    """Write one run's activation into the other, one place at a time, and see the metric move.

    direction: denoise writes clean values into the corrupt run, noise corrupt ones into the clean
    run. by_position: also each head of `layers` at each position: z_pos [layer, position, head].
    resume: take the cells that the very same request had computed before it was stopped.
    """

    direction: Direction = "denoise"
    by_position: bool = False
    layers: Layers = "all"
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
