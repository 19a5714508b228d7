"""What tracing a fact costs: its cells by the tokens and blocks that each has to run."""

from __future__ import annotations

from mlxterp_engine.experiments import Price
from mlxterp_engine.experiments.alignment import Span
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.causal_tracing_cells import Options, Restorations, column_order
from mlxterp_engine.techniques.causal_tracing_fact import recorded
from mlxterp_engine.techniques.patching_price import (
    BATCHED,
    BYTES_AT_ONCE,
    SECONDS_AT_ONCE,
    TOLD,
)


def price_of_fact(
    model: InterpretableModel,
    tokens: int,
    subject: Span,
    samples: int,
    options: Options,
    more: int = 0,
) -> Price:
    """Forward passes of the prompt, by time. more: passes beside those of the trace."""
    restorations = Restorations(model.anatomy, model.sites, options)
    pace = model.pace
    depth, cells = _depth(model, restorations, subject, tokens)
    each = BATCHED * pace.per_token * depth + pace.per_unembedding * cells
    evaluations = max(each / SECONDS_AT_ONCE, tokens - subject[0])
    each += pace.start * evaluations / 2  # half of the blocks deep
    each += pace.seconds(2 * tokens) + pace.seconds(tokens)  # the recorded runs, and the ends
    seconds = samples * each + more * pace.seconds(tokens)
    return Price(seconds / pace.seconds(tokens), seconds, _bytes(model, restorations, tokens))


def _depth(
    model: InterpretableModel, restorations: Restorations, subject: Span, tokens: int
) -> tuple[float, int]:
    """Tokens that run through all blocks, in sum over a draw's cells; and how many cells."""
    told = vars(model).get(TOLD)  # not tried before it is needed: that takes the engine's thread
    method = "suffix" if told is None else told.method
    blocks, depth, cells = model.sites.blocks, 0.0, 0
    for position in column_order(subject, tokens):
        count = tokens - position if method == "suffix" else tokens
        for name in restorations.maps:
            column = restorations.column(name, position)
            cells += len(column)
            for cell in column:
                depth += count * (1 if method == "full" else 1 - cell.patch.block / blocks)
    return depth, cells


def _bytes(model: InterpretableModel, restorations: Restorations, tokens: int) -> int:
    """Both runs' recorded sites, block inputs and caches, and what one evaluation holds."""
    card = model.card
    widths = len(recorded(model, restorations)) + card.layers * 2
    keys = 2 * card.layers * card.kv_heads * card.d_head
    return 2 * 4 * tokens * (widths * card.d_model + keys) + BYTES_AT_ONCE
