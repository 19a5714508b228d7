"""Patchscopes (Ghandeharioun et al. 2024, arXiv 2401.06102): let the model read out a state."""

from __future__ import annotations

from mlxterp_engine.experiments.request import Request, check_prompt, check_range

# The identity prompt of the paper (section 4.1), whose last token is written over.
IDENTITY_PROMPT = "cat -> cat\n1135 -> 1135\nhello -> hello\n?"


class Patchscope(Request, frozen=True, kw_only=True, tag="patchscope"):
    """Write a hidden state into another prompt, and let the model go on from there, greedily.

    site: where the state is taken, e.g. `blocks.8.resid_post`, at `position` of `prompt`.
    target_layer: the block whose same site it replaces, at `target_position` of `target_prompt`;
    None: the same block. top_k: of the first new token.
    """

    prompt: str
    site: str
    position: int = -1
    target_prompt: str = IDENTITY_PROMPT
    target_position: int = -1
    target_layer: int | None = None
    max_tokens: int = 12
    top_k: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prompt("prompt", self.prompt)
        check_prompt("site", self.site)
        check_prompt("target_prompt", self.target_prompt)
        check_range("position", self.position, -1_000_000, 1_000_000)
        check_range("target_position", self.target_position, -1_000_000, 1_000_000)
        if self.target_layer is not None:
            check_range("target_layer", self.target_layer, 0, 10_000)
        check_range("max_tokens", self.max_tokens, 1, 1000)
        check_range("top_k", self.top_k, 1, 50)

    @property
    def prompts(self) -> tuple[str, ...]:
        return (self.prompt, self.target_prompt)

    @property
    def in_chat(self) -> tuple[bool, ...]:
        """The target prompt stands as it is: its last token is the one that is written over."""
        return (self.chat, False)
