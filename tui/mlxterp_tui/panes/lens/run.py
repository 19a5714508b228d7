"""What is known of one run of a lens: grows as rows arrive. Knows nothing of the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mlxterp_engine.experiments import (
    Contract,
    LogitLens,
    LogitLensRow,
    ModelCard,
    Result,
    Started,
)
from mlxterp_engine.experiments.logit_lens import State
from mlxterp_tui.panes.lens.alignment import equal_at_front

import msgspec

READ = ("prompt", "model", "bos", "chat")
RunState = Literal["empty", "waiting", "running", "done", "cancelled", "failed"]


@dataclass(frozen=True)
class LensRun:
    """rows: by layer, as `LogitLensRow` counts them. layers: blocks of the model.

    recorded_as: its number in the log. Row 0 of a grid is the first layer: the embeddings, or
    block 0 where a state of its own is read.
    """

    request: LogitLens | None = None
    state: RunState = "empty"
    tokens: tuple[str, ...] = ()
    token_ids: tuple[int, ...] = ()
    rows: dict[int, LogitLensRow] = field(default_factory=dict)
    layers: int = 0
    vocabulary: int = 1
    result: Result | None = None
    reason: str = ""
    recorded_as: int | None = None

    def read(self, tokens: list[str], token_ids: list[int]) -> LensRun:
        """The prompt as the model reads it; the rows will come."""
        return replace(self, state="running", tokens=tuple(tokens), token_ids=tuple(token_ids))

    def with_rows(self, rows: list[LogitLensRow]) -> LensRun:
        return replace(self, rows=self.rows | {row.layer: row for row in rows})

    def with_parts(self, parts: Sequence[object], card: ModelCard | None) -> LensRun:
        """What came of the request so far; anything else that is told of a job is passed over."""
        run = self
        for part in parts:
            if isinstance(part, Started) and card is not None:
                begun = replace(self, layers=card.layers, vocabulary=card.vocab_size)
                run = begun.read(part.tokens[0], part.token_ids[0])
        return run.with_rows([part for part in parts if isinstance(part, LogitLensRow)])

    def finished(self, result: Result) -> LensRun:
        return replace(self, state="done", result=result)

    def ended(self, state: RunState, reason: str = "") -> LensRun:
        return replace(self, state=state, reason=reason)

    def reads_the_same(self, other: LogitLens | None) -> bool:
        """Whether another request is about the same tokens of the same model."""
        if self.request is None or other is None:
            return False
        return all(getattr(self.request, name) == getattr(other, name) for name in READ)

    def goes_on_from(self, other: LensRun) -> int:
        """How many tokens it has in common with a run of the same question about another prompt:
        as no token sees a later one, what the other run knows of them holds here too."""
        mine, others = self.request, other.request
        if mine is None or others is None or mine.intervention or mine.patch:
            return 0
        asked = msgspec.structs.replace(others, prompt=mine.prompt)
        return equal_at_front(self.token_ids, other.token_ids) if asked == mine else 0

    @property
    def running(self) -> bool:
        return self.state in ("waiting", "running")

    @property
    def positions(self) -> int:
        return len(self.tokens)

    @property
    def state_read(self) -> State:
        """Which state of each block the rows are."""
        return self.request.state if self.request else "resid_post"

    @property
    def all_layers(self) -> range:
        """One more than there are blocks: the embeddings before, or the end after them."""
        first = -1 if self.state_read == "resid_post" else 0
        return range(first, first + self.layers + 1)

    @property
    def last_layer(self) -> int:
        """Of the model's own prediction."""
        return self.all_layers[-1]

    def index(self, layer: int) -> int:
        """Its row in a grid."""
        return layer - self.all_layers[0]

    def layer_at(self, index: int) -> int:
        return self.all_layers[0] + index

    def site(self, layer: int) -> str:
        """The typed address of a row."""
        row = self.rows.get(layer)
        return (row.site if row else "") or address(layer, self.state_read, self.layers)

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
        row = self.rows.get(self.last_layer)
        return row.top_tokens[pos][0] if row else None

    def settled_from(self, pos: int) -> int | None:
        """First layer from which the final token is on top in every later row; None if unknown."""
        first = None
        for layer in reversed(self.all_layers):
            row = self.rows.get(layer)
            if row is None:
                return None
            if row.final_rank.values[pos] != 0:
                break
            first = layer
        return first


def address(layer: int, state: State, layers: int) -> str:
    """Of a row that is not known yet. The last row of `resid_pre` and `resid_mid` is the end."""
    if layer < 0:
        return "embed"
    end = state != "resid_post" and layer == layers
    return f"blocks.{layer - 1}.resid_post" if end else f"blocks.{layer}.{state}"
