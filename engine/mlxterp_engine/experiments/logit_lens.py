"""The logit lens (nostalgebraist 2020): what does each layer already predict?"""

from __future__ import annotations

from typing import Literal, get_args

from mlxterp_engine.experiments.array import Array
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.request import Request, check_choice, check_prompt, check_range

import msgspec

State = Literal["resid_post", "resid_mid", "resid_pre"]
STATES: tuple[str, ...] = get_args(State)


class LogitLens(Request, frozen=True, kw_only=True, tag="logit-lens"):
    """Unembed the residual stream after every block, at every position.

    state: which state of each block; the last row is always the model's own prediction.
    intervention: `SITE=OPERATION`; every row, the last one too, is then of the edited run.
    patch: `SITE@POS`, or `SITE@POS<FROM`: the state there is the one that the run on
    `patch_prompt` has at POS (at FROM), e.g. `blocks.5.resid_post@3`. Patches come before
    interventions.
    """

    prompt: str
    top_k: int = 5
    target: str | None = None
    state: State = "resid_post"
    intervention: list[str] = msgspec.field(default_factory=list)
    patch: list[str] = msgspec.field(default_factory=list)
    patch_prompt: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prompt("prompt", self.prompt)
        check_range("top_k", self.top_k, 1, 50)
        check_choice("state", self.state, STATES)
        if self.target is not None:
            check_prompt("target", self.target)
        if bool(self.patch) != (self.patch_prompt is not None):
            raise BadInput(
                "patch and patch_prompt go together: the places, e.g. blocks.5.resid_post@3, and "
                "the prompt whose states are written there"
            )

    @property
    def prompts(self) -> tuple[str, ...]:
        return (self.prompt,) if self.patch_prompt is None else (self.prompt, self.patch_prompt)


class LogitLensRow(msgspec.Struct, frozen=True, kw_only=True, tag="logit-lens-row"):
    """One layer. Of `resid_post`: -1 is the embeddings, l the state behind block l. Of `resid_pre`
    and `resid_mid`: l is block l's, and the last one (as many as there are blocks) the end.

    site: its address. top_ids, top_probs: [pos, k], best first. entropy: [pos], nats. kl: [pos],
    KL(final ‖ row), nats. final_rank: [pos], 0-based rank in this row of the token that is
    top in the last row. next_loss: [pos - 1], nats, -log p of the prompt's own next token.
    target_prob, target_rank: [pos], only with a target.
    """

    layer: int
    top_ids: Array
    top_probs: Array
    top_tokens: list[list[str]]
    entropy: Array
    kl: Array
    final_rank: Array
    site: str = ""
    next_loss: Array | None = None
    target_prob: Array | None = None
    target_rank: Array | None = None
