"""Activation patching (Vig et al. 2020, arXiv 2004.12265; Meng et al. 2022): which places of the
model carry what makes the answer?
"""

from __future__ import annotations

import re
from typing import NamedTuple, get_args

from mlxterp_engine.experiments.attention import Layers, check_layers
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.patching import Aligning, Direction, Patching
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
    align: exact, prompts of equally many tokens; spans, of any, and positions are patched that
    correspond: those of shared words, and the last ones of words that differ.
    neurons: such as blocks.12@9, each neuron of that block's MLP at that position, one by one:
    neurons [d_mlp], and all of them at once: neurons_together. Then `sites` may be empty.
    resume: take the cells that the very same request had computed before it was stopped.
    """

    direction: Direction = "denoise"
    by_position: bool = False
    layers: Layers = "all"
    align: Aligning = "exact"
    neurons: str | None = None
    resume: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("direction", self.direction, get_args(Direction))
        check_choice("align", self.align, get_args(Aligning))
        if self.align == "spans":
            self._check_spans()
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

    def _check_spans(self) -> None:
        others = ("pairs", "pad", "neurons")
        if other := next((name for name in others if getattr(self, name) is not None), None):
            raise BadInput(f"align spans and {other} don't go together; leave one of them out")
        if "pattern" in self.kinds:
            raise BadInput(
                "pattern can't be patched with align spans: its sources shift; leave it out of "
                "sites, or give pad, a token to fill the shorter prompt up with"
            )

    @property
    def names_others(self) -> bool:
        return self.neurons is not None

    @property
    def neurons_at(self) -> NeuronsAt | None:
        match = NEURONS.fullmatch(self.neurons or "")
        return match and NeuronsAt(int(match["block"]), int(match["position"]))
