"""New tokens as running text: a character whose bytes are spread over tokens comes out whole."""

from __future__ import annotations

from collections.abc import Sequence

from mlxterp_engine.models.tokens import Tokens

CONTEXT = 8  # tokens decoded together with a new one: a character has at most 4 of bytes
INCOMPLETE = "\N{REPLACEMENT CHARACTER}"  # what half a character decodes to


class TextStream:
    """What each token adds to the text after a prompt, spaces as the whole would have them."""

    def __init__(self, tokens: Tokens, prompt: Sequence[int]) -> None:
        self._tokens = tokens
        self._ids = list(prompt[-CONTEXT:])
        self._before = tokens.decode(self._ids).rstrip(INCOMPLETE)

    def add(self, token: int) -> str:
        """The text that this token completes; empty while a character lacks bytes."""
        self._ids.append(token)
        text = self._tokens.decode(self._ids)
        return "" if text.endswith(INCOMPLETE) else self._advance(text)

    def rest(self) -> str:
        """What was held back: bytes that never became a character."""
        return self._advance(self._tokens.decode(self._ids))

    def _advance(self, text: str) -> str:
        new = text[len(self._before) :]
        self._ids = self._ids[-CONTEXT:]
        self._before = self._tokens.decode(self._ids)
        return new
