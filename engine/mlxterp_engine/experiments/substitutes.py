"""Other words for a span of a prompt, of equally many tokens: how a corrupt prompt is made."""

from __future__ import annotations

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.request import Request, check_prompt, check_range


class Substitutes(Request, frozen=True, kw_only=True, tag="substitutes"):
    """Texts that can stand in a span's place, so that all other tokens stay where they are.

    span: its first token, and the one behind its last; of the prompt's tokens as the model reads
    them, BOS and chat template included. count: how many at most.
    """

    prompt: str
    span: list[int]
    count: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prompt("prompt", self.prompt)
        check_range("count", self.count, 1, 100)
        whole = all(type(end) is int for end in self.span)
        if len(self.span) != 2 or not whole or not 0 <= self.span[0] < self.span[1]:
            raise BadInput(
                f"span is {self.span}; give two numbers, the first token's and the one behind the "
                "last, e.g. 3 5 for the tokens 3 and 4"
            )
