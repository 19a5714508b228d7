"""Path patching (Wang et al. 2022, arXiv 2211.00593; Goldowsky-Dill et al. 2023, arXiv
2304.05969): which heads tell the chosen receivers what matters, and not somebody else?
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.patching import Direction, PairRequest
from mlxterp_engine.experiments.request import check_choice

import msgspec

Freeze = Literal["heads", "heads+mlps"]

FINAL = "final"
KINDS = ("q", "k", "v")
_RECEIVER = re.compile(r"blocks\.\d+\.attn\.(?P<kind>\w+)\[[^\]]*\]")
_COMMA = re.compile(r",(?![^\[]*\])")  # not one inside brackets


class PathPatching(PairRequest, frozen=True, kw_only=True, tag="path-patching"):
    """Let each head's z of the source run reach the receivers alone, and see the metric move.

    receivers: `final`, the last block's output; or heads' inputs, `blocks.20.attn.q[3]`,
    `blocks.20.attn.k[1]`, `blocks.20.attn.v[0,1]`, where k and v are counted in key-value heads;
    several are reached at once. freeze: heads, every other head stays as in the unpatched run
    while MLPs are recomputed; heads+mlps, the MLPs stay too, and only direct paths are left.
    direction: denoise sends clean values into the corrupt run, noise corrupt ones into the clean.
    """

    receivers: list[str] = msgspec.field(default_factory=lambda: [FINAL])
    freeze: Freeze = "heads"
    direction: Direction = "denoise"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("freeze", self.freeze, get_args(Freeze))
        check_choice("direction", self.direction, get_args(Direction))
        if not self.addresses:
            raise BadInput("receivers is empty; give final, or heads such as blocks.20.attn.q[3]")
        for address in self.addresses:
            _check_receiver(address)
        if len(set(self.addresses)) < len(self.addresses):
            raise BadInput(f"receivers is {self.receivers}; name each once")
        if FINAL in self.addresses and len(self.addresses) > 1:
            raise BadInput(
                "receivers has final beside heads; what is written into the final state hides "
                "what the heads do: ask for final in a run of its own"
            )

    @property
    def addresses(self) -> list[str]:
        """The receivers one by one: on a command line they may be joined by commas."""
        return [a.strip() for given in self.receivers for a in _COMMA.split(given) if a.strip()]


def _check_receiver(address: str) -> None:
    match = _RECEIVER.fullmatch(address)
    if address != FINAL and (match is None or match["kind"] not in KINDS):
        raise BadInput(
            f"receivers has {address!r}; give final, or the query, key or value of heads, such as "
            "blocks.20.attn.q[3], blocks.20.attn.k[1] or blocks.20.attn.v[0,1]"
        )
