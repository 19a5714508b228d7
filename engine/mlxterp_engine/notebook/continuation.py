"""Text that a model writes on, piece by piece or at once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from mlxterp_engine.models.tokens import Tokens
from mlxterp_engine.tracing.generation import Generated, NewToken, Read
from mlxterp_engine.tracing.text_stream import TextStream


@dataclass(frozen=True)
class Piece:
    """One new token, and what it adds to the text: nothing while a character lacks bytes, and
    nothing for an end token. logprob: nats, before sampling limits."""

    text: str
    token_id: int
    logprob: float


@dataclass(frozen=True)
class Continuation:
    """What was written after a prompt. token_ids hold the end token too, where one was drawn.

    logprobs: nats, one a token, under the model as edited, before sampling limits. stopped:
    whether the model itself came to an end.
    """

    text: str
    token_ids: list[int]
    logprobs: list[float]
    stopped: bool


Parts = Generator[Read | NewToken, None, Generated]


def pieces(
    parts: Parts, tokens: Tokens, prompt: Sequence[int]
) -> Generator[Piece, None, Continuation]:
    """Yields each new token; returns the whole, with the bytes that became no character."""
    stream, texts = TextStream(tokens, prompt), []
    while True:
        try:
            part = next(parts)
        except StopIteration as end:
            made: Generated = end.value
            text = "".join([*texts, stream.rest()])
            return Continuation(text, made.ids, made.logprobs, made.stopped)
        if isinstance(part, NewToken):
            texts.append("" if part.id in tokens.eos_ids else stream.add(part.id))
            yield Piece(texts[-1], part.id, part.logprob)
