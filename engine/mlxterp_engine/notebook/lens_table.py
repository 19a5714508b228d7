"""What each layer predicts, as Python lists and as a table in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from mlxterp_engine.notebook.predictions import top_tokens

import mlx.core as mx
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

Predictions = list[tuple[int, float, str]]
"""Best first: token id, logit, the token's exact text."""

WIDEST = 14  # cells of a column: most tokens whole


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
    layers = sorted(found, reverse=True)
    columns = [
        [repr(token), *(repr(found[layer][at][0][2]) for layer in layers)]
        for at, token in enumerate(tokens)
    ]
    shown = _fitting(columns, console.width)
    title = "logit lens: each layer's top token"
    if len(shown) < len(columns):
        title += f", last {len(shown)} of {len(columns)} positions"
    table = Table(title=title)
    table.add_column("layer", justify="right")
    for heading, *_ in shown:
        table.add_column(Text(heading), max_width=WIDEST, no_wrap=True, overflow="ellipsis")
    for row, layer in enumerate(layers, start=1):
        table.add_row(str(layer), *(Text(column[row]) for column in shown))
    console.print(table)


def _fitting(columns: Sequence[list[str]], width: int) -> list[list[str]]:
    """As many of the last columns as a table of this width holds, one at least."""
    left, shown = width - len("│ layer │"), 0
    for column in reversed(columns):
        left -= min(max(map(cell_len, column)), WIDEST) + len("  │")
        if left < 0 and shown:
            break
        shown += 1
    return list(columns[len(columns) - shown :])
