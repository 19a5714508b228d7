"""Writing on after a prompt, under interventions or none."""

from __future__ import annotations

from mlxterp_engine.experiments.request import Request, check_number, check_prompt, check_range

import msgspec

MOST_TOKENS = 100_000


class Generate(Request, frozen=True, kw_only=True, tag="generate"):
    """Write on, token by token; interventions may be for the prompt, for new tokens, or both.

    temperature 0 takes the likeliest token each time. top_p 1, top_k 0 and min_p 0 leave the
    choice open. intervention: `SITE=OPERATION`, for some positions with `@prompt`, `@new`, ...
    """

    prompt: str
    max_tokens: int = 50
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    intervention: list[str] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prompt("prompt", self.prompt)
        check_range("max_tokens", self.max_tokens, 1, MOST_TOKENS)
        check_number("temperature", self.temperature, 0, 100)
        check_number("top_p", self.top_p, 0.0001, 1)
        check_range("top_k", self.top_k, 0, 10_000_000)
        check_number("min_p", self.min_p, 0, 1)


class GeneratedToken(msgspec.Struct, frozen=True, kw_only=True, tag="generated-token"):
    """One new token. index: 0 is the first new one. logprob: nats, before sampling limits.

    token: its exact string; text: what it adds to the text, empty while a character is not
    whole, and for the end token.
    """

    index: int
    id: int
    token: str
    text: str
    logprob: float
