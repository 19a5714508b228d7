"""What each layer predicts, as Python lists and as a table in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from mlxterp_engine.notebook.predictions import top_tokens

import mlx.core as mx
from rich.console import Console
from rich.table import Table
from rich.text import Text

Predictions = list[tuple[int, float, str]]
"""Best first: token id, logit, the token's exact text."""

COLUMN = 12  # cells a position: most tokens whole, and seven of them on 100 columns


def lens_predictions(
    states: Mapping[int, mx.array],
    unembed: Callable[[mx.array], mx.array],
    strings: Callable[[Iterable[int]], list[str]],
    top_k: int,
) -> dict[int, list[Predictions]]:
    """states: by layer, [pos, d_model] -> by layer, [pos][k]. One layer's logits at a time."""
    return {
        layer: [_named(row, strings) for row in top_tokens(unembed(state), top_k)]
        for layer, state in states.items()
    }


def _named(
    row: Sequence[tuple[int, float]], strings: Callable[[Iterable[int]], list[str]]
) -> Predictions:
    tokens = strings([i for i, _ in row])
    return [(i, score, token) for (i, score), token in zip(row, tokens, strict=True)]


def print_lens(
    found: Mapping[int, list[Predictions]],
    tokens: Sequence[str],
    console: Console | None = None,
) -> None:
    """The top token of each layer at each position, the last layer on top.

    tokens [pos]: what was read there. Where not all fit, the last positions are shown.
    """
    console = console or Console()
    shown = min(len(tokens), max((console.width - 8) // (COLUMN + 3), 1))
    title = "logit lens: each layer's top token"
    if shown < len(tokens):
        title += f", last {shown} of {len(tokens)} positions"
    table = Table(title=title)
    table.add_column("layer", justify="right")
    for token in tokens[-shown:]:
        table.add_column(Text(repr(token)), max_width=COLUMN, no_wrap=True, overflow="ellipsis")
    for layer in sorted(found, reverse=True):
        table.add_row(str(layer), *(Text(repr(best[0][2])) for best in found[layer][-shown:]))
    console.print(table)
