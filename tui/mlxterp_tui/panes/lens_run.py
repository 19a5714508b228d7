"""What is known of one logit-lens run: grows as rows arrive. Knows nothing of the screen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from mlxterp_engine.experiments import Contract, LogitLens, LogitLensRow, Result

import msgspec

RunState = Literal["empty", "waiting", "running", "done", "cancelled", "failed"]


@dataclass(frozen=True)
class LensRun:
    """rows: by layer, -1 the embeddings. layers: blocks of the model (the last row's + 1)."""

    request: LogitLens | None = None
    state: RunState = "empty"
    tokens: tuple[str, ...] = ()
    token_ids: tuple[int, ...] = ()
    rows: dict[int, LogitLensRow] = field(default_factory=dict)
    layers: int = 0
    vocabulary: int = 1
    result: Result | None = None
    reason: str = ""

    def read(self, tokens: list[str], token_ids: list[int]) -> LensRun:
        """The prompt as the model reads it; the rows will come."""
        return replace(self, state="running", tokens=tuple(tokens), token_ids=tuple(token_ids))

    def with_rows(self, rows: list[LogitLensRow]) -> LensRun:
        return replace(self, rows=self.rows | {row.layer: row for row in rows})

    def finished(self, result: Result) -> LensRun:
        return replace(self, state="done", result=result)

    def ended(self, state: RunState, reason: str = "") -> LensRun:
        return replace(self, state=state, reason=reason)

    def asks_the_same(self, other: LogitLens | None) -> bool:
        """Whether another request reads the same prompt by the same model in the same way."""
        if self.request is None or other is None:
            return False
        return replace_target(self.request) == replace_target(other)

    @property
    def running(self) -> bool:
        return self.state in ("waiting", "running")

    @property
    def positions(self) -> int:
        return len(self.tokens)

    @property
    def all_layers(self) -> range:
        return range(-1, self.layers)

    @property
    def contracts(self) -> dict[str, Contract]:
        return self.result.meta.contracts if self.result else {}

    @property
    def target(self) -> str | None:
        return self.request.target if self.request else None

    def row(self, layer: int) -> LogitLensRow | None:
        return self.rows.get(layer)

    def final_token(self, pos: int) -> str | None:
        """The token on top in the last row, once that row is known."""
        row = self.rows.get(self.layers - 1)
        return row.top_tokens[pos][0] if row else None

    def settled_from(self, pos: int) -> int | None:
        """First layer from which the final token is on top in every later row; None if unknown."""
        first = None
        for layer in reversed(self.all_layers):
            row = self.rows.get(layer)
            if row is None or row.final_rank.values[pos] != 0:
                break
            first = layer
        return first


def replace_target(request: LogitLens, target: str | None = None) -> LogitLens:
    return msgspec.structs.replace(request, target=target)


def site(layer: int) -> str:
    """The typed address of a lens row."""
    return "embed" if layer < 0 else f"blocks.{layer}.resid_post"
