"""What a sweep costs, and how much of it goes through the model at once."""

from __future__ import annotations

from mlxterp_engine.experiments import Price
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.patching import COMPARED, Pair
from mlxterp_engine.techniques.patching_cells import (
    RECORDED,
    Asked,
    Place,
    column_order,
    in_turns,
)
from mlxterp_engine.tracing.resume import Method, first_different
from mlxterp_engine.tracing.resume_proof import foreseen

SECONDS_AT_ONCE = 0.15  # of one evaluation: between two of them a run can be cancelled
LEAST_TOKENS = 256  # of one evaluation: fewer keep a matrix product from its full speed
LEAST_READ = 160  # where every row is read by its whole vocabulary: that takes time too
BYTES_AT_ONCE = 128 << 20  # what the rows of one evaluation may hold beside the recorded runs
REDUCING = 1.3  # softmax over a vocabulary beside the unembedding itself, measured
BATCHED = 0.8  # a token's time among many, beside one of a short forward, measured
TOLD = "resumption"
TRIED_PASSES, TRIED_TOKENS = 6, 360  # of `resume_proof`, all rows together


def at_once(model: InterpretableModel, tokens: int, metric: str) -> int:
    """Rows times tokens of one evaluation."""
    by_time = int(SECONDS_AT_ONCE / max(model.pace.per_token * BATCHED / 2, 1e-9))
    by_memory = BYTES_AT_ONCE // _bytes_per_token(model, tokens, metric)
    by_kernel = LEAST_TOKENS if metric == "logit-diff" else LEAST_READ
    return max(1, min(max(by_time, by_kernel), by_memory))


def _bytes_per_token(model: InterpretableModel, tokens: int, metric: str) -> int:
    """Of a row, in float32: a block's inner arrays, its scores, keys and values, and logits."""
    card = model.card
    inner = 6 * card.d_model + 3 * card.d_mlp + 3 * card.heads * tokens
    logits = 0 if metric == "logit-diff" else 3 * card.vocab_size
    return 4 * (inner + 4 * card.kv_heads * card.d_head + logits)


def price_of(
    model: InterpretableModel, asked: Asked, pair: Pair, metric: str, direction: str
) -> Price:
    """Forward passes of the prompt, by time: the two runs, the checks, and each group's share."""
    tokens = len(pair.clean.ids)
    unpatched, source = pair.side_by_side(direction)
    tokens, first = len(unpatched), first_different(unpatched, source)
    order = column_order(unpatched, source, first)
    size = at_once(model, tokens, metric)
    groups = in_turns(model.sites, asked, order, tokens - 1, size)
    pace = model.pace
    seconds = pace.seconds(2 * tokens) + _checks(model, asked, tokens)
    for group in groups:
        seconds += _seconds(model, group, first, tokens)
        if metric != "logit-diff":
            seconds += REDUCING * pace.per_unembedding * len(group)
    return Price(seconds / pace.seconds(tokens), seconds, bytes_of(model, asked, tokens))


def price_of_attribution(
    model: InterpretableModel, asked: Asked, pair: Pair, steps: int, top: int
) -> Price:
    """The two runs, a forward and a backward for each step, and the exact cells."""
    tokens = len(pair.clean.ids)
    first = first_different(pair.clean.ids, pair.corrupt.ids)
    pace = model.pace
    cells = 2 * top * len(asked.maps)
    seconds = pace.seconds(2 * tokens) + 2 * steps * pace.seconds(tokens - first)
    seconds += _checks(model, asked, tokens)
    seconds += len(asked.maps) * pace.start
    seconds += BATCHED * pace.per_token * cells * (tokens - first) / 2  # half of the blocks deep
    return Price(seconds / pace.seconds(tokens), seconds, bytes_of(model, asked, tokens, 3))


def _checks(model: InterpretableModel, asked: Asked, tokens: int) -> float:
    """The cells that are computed whole, a patch of everything, and trying how runs are resumed."""
    pace = model.pace
    return pace.seconds(COMPARED * len(asked.maps) * tokens) + pace.start + trying_to_resume(model)


def trying_to_resume(model: InterpretableModel) -> float:
    """Seconds, of the first patching of a model alone."""
    if TOLD in vars(model):
        return 0.0
    return TRIED_PASSES * model.pace.start + BATCHED * model.pace.per_token * TRIED_TOKENS


def _seconds(model: InterpretableModel, group: list[Place], first: int, tokens: int) -> float:
    blocks = model.sites.blocks
    method = method_of(model)
    starts = {first if place.cell.position is None else place.cell.position for place in group}
    count = tokens - min(starts) if method == "suffix" else tokens
    depths = [blocks - (0 if method == "full" else place.cell.block) for place in group]
    per_token = model.pace.per_token * BATCHED
    return model.pace.start * max(depths) / blocks + per_token * count * sum(depths) / blocks


def method_of(model: InterpretableModel) -> Method:
    """How runs are resumed; as the model's parts have it, until it was tried: that takes the
    engine's thread."""
    told = vars(model).get(TOLD)
    return foreseen(model.net, model.anatomy) if told is None else told.method


def bytes_of(model: InterpretableModel, asked: Asked, tokens: int, copies: int = 1) -> int:
    """Both runs' recorded sites, what one evaluation holds, and the result. copies: of what is
    recorded, with gradients there are more."""
    card = model.card
    sizes = {
        "attn.z": card.heads * card.d_head,
        "attn.q": card.heads * card.d_head,
        "attn.k": card.kv_heads * card.d_head,
        "attn.v": card.kv_heads * card.d_head,
        "attn.pattern": card.heads * tokens,
        "mlp.post": card.d_mlp,
    }
    kinds = {RECORDED[name] for name in asked.maps}
    recorded = sum(sizes.get(kind, card.d_model) for kind in kinds) + 2 * card.d_model
    return copies * 2 * 4 * card.layers * tokens * recorded + BYTES_AT_ONCE
