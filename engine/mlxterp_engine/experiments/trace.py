"""Record chosen sites of one forward pass."""

from __future__ import annotations

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.request import Request, check_prompt

import msgspec


class Trace(Request, frozen=True, kw_only=True, tag="trace"):
    """Every site that a glob matches, e.g. `blocks.*.resid_post`, `blocks.5.attn.pattern`.

    interventions: `SITE=OPERATION`, applied in the order given, e.g. `blocks.5.mlp_out=zero`.
    """

    prompt: str
    sites: list[str]
    intervention: list[str] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prompt("prompt", self.prompt)
        if not self.sites or not all(self.sites):
            raise BadInput("sites is empty; give globs, for example 'blocks.*.resid_post'")
