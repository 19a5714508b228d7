"""Lens runs made by hand, small enough to check every number."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from mlxterp_engine.experiments import Array, LogitLens, LogitLensRow
from mlxterp_tui.panes.lens.run import LensRun

VOCABULARY = 100


def floats(values: Sequence[float], *shape: int) -> Array:
    return Array("float32", shape or (len(values),), memoryview(array("f", values).tobytes()))


def ints(values: Sequence[int], *shape: int) -> Array:
    return Array("int32", shape or (len(values),), memoryview(array("i", values).tobytes()))


def word(token_id: int) -> str:
    """3 -> ' c'."""
    return " " + chr(ord("a") + token_id - 1)


def row(
    layer: int,
    top: Sequence[Sequence[int]],
    *,
    probs: Sequence[float] = (0.5, 0.25),
    kl: Sequence[float] | None = None,
    ranks: Sequence[int] | None = None,
    losses: Sequence[float] | None = None,
    target: Sequence[int] | None = None,
) -> LogitLensRow:
    """top: token ids [pos][k], best first, the k-th with probability probs[k]."""
    count, width = len(top), len(top[0])
    return LogitLensRow(
        layer=layer,
        top_ids=ints([token for best in top for token in best], count, width),
        top_probs=floats(list(probs[:width]) * count, count, width),
        top_tokens=[[word(token) for token in best] for best in top],
        entropy=floats([float(layer + 1)] * count),
        kl=floats([float(3 - layer)] * count if kl is None else kl),
        final_rank=ints([0] * count if ranks is None else ranks),
        next_loss=None if losses is None else floats(losses),
        target_prob=None if target is None else floats([1 / (1 + rank) for rank in target]),
        target_rank=None if target is None else ints(target),
    )


def run(
    *rows: LogitLensRow, ids: Sequence[int] = (1, 2, 3), layers: int = 2, target: str | None = None
) -> LensRun:
    request = LogitLens(prompt="abc", target=target)
    empty = LensRun(request, layers=layers, vocabulary=VOCABULARY)
    return empty.read([word(token) for token in ids], list(ids)).with_rows(list(rows))
