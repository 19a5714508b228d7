"""The logit lens (nostalgebraist 2020): what does each layer already predict?"""

from __future__ import annotations

from mlxterp_engine.experiments.array import Array
from mlxterp_engine.experiments.request import Request, check_prompt, check_range

import msgspec


class LogitLens(Request, frozen=True, kw_only=True, tag="logit-lens"):
    """Unembed the residual stream after every block, at every position."""

    prompt: str
    top_k: int = 5
    target: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prompt("prompt", self.prompt)
        check_range("top_k", self.top_k, 1, 50)
        if self.target is not None:
            check_prompt("target", self.target)


class LogitLensRow(msgspec.Struct, frozen=True, kw_only=True, tag="logit-lens-row"):
    """One layer: -1 is the embeddings, l is `resid_post` of block l.

    top_ids, top_probs: [pos, k], best first. entropy: [pos], nats. kl: [pos],
    KL(final ‖ row), nats. final_rank: [pos], 0-based rank in this row of the token that is
    top in the last row. target_prob, target_rank: [pos], only with a target.
    """

    layer: int
    top_ids: Array
    top_probs: Array
    top_tokens: list[list[str]]
    entropy: Array
    kl: Array
    final_rank: Array
    target_prob: Array | None = None
    target_rank: Array | None = None
