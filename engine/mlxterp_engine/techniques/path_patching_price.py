"""What path patching costs, and which senders go through the model together."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlxterp_engine.experiments import Price
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.patching import Pair
from mlxterp_engine.techniques.patching_cells import Asked, Place, far_apart_first, places_of
from mlxterp_engine.techniques.patching_price import (
    BATCHED,
    at_once,
    bytes_of,
    method_of,
    trying_to_resume,
)
from mlxterp_engine.tracing.paths import Paths
from mlxterp_engine.tracing.resume import Method, first_different

# Of a block's time, measured on the default model: with all heads kept, and with its MLP too.
HEADS_KEPT, ALL_KEPT = 0.85, 0.1
COMPARED = 2  # senders whose runs are done by whole passes too
HEADS = Asked(("z",))


def price_of_paths(model: InterpretableModel, paths: Paths, pair: Pair, metric: str) -> Price:
    """The two runs, each sender's passes, and two senders by whole passes."""
    tokens, blocks, pace = len(pair.clean.ids), model.sites.blocks, model.pace
    method = method_of(model)
    first = first_different(pair.clean.ids, pair.corrupt.ids) if paths.receivers else tokens - 2
    count = tokens - max(first, 0) if method == "suffix" else tokens
    senders = [place.cell.block for place in places_of(model.sites, "z", (), HEADS)]
    work = sum(work_of(paths, b, blocks, method) for b in senders if paths.reaches(b))
    passes = 1 + bool(paths.receivers)
    starts = passes * math.ceil(work * count * 2 / at_once(model, tokens, metric))
    seconds = pace.seconds(2 * tokens) + passes * pace.seconds(COMPARED * tokens) * BATCHED
    seconds += pace.start * starts + pace.per_token * BATCHED * count * work
    seconds += trying_to_resume(model)
    asked = Asked(("z", "attn_out", "mlp_out"))
    return Price(seconds / pace.seconds(tokens), seconds, bytes_of(model, asked, tokens))


def work_of(paths: Paths, block: int, blocks: int, method: Method) -> float:
    """A sender's passes through the blocks, in passes of a token through the whole model."""
    kept = ALL_KEPT if any(site.kind == "mlp_out" for site in paths.kept) else HEADS_KEPT
    if method == "full":
        return kept + bool(paths.receivers)
    first = kept * ((paths.end or blocks) - block)
    second = blocks - paths.first_behind(block) if paths.receivers else 0
    return (first + second) / blocks


def in_turns(
    model: InterpretableModel, paths: Paths, live: Sequence[Place], count: int, tokens_at_once: int
) -> list[list[Place]]:
    """Groups of equal work, so that none takes long; blocks far apart before those between.

    count: tokens of a row. tokens_at_once: of rows that go through half of the model.
    """
    found = _even(model, paths, live, tokens_at_once / (2 * count))
    return [found[i] for i in far_apart_first(len(found))]


def _even(
    model: InterpretableModel, paths: Paths, live: Sequence[Place], most: float
) -> list[list[Place]]:
    """most: whole passes of a row in a group."""
    method, blocks = method_of(model), model.sites.blocks
    work = [work_of(paths, place.cell.block, blocks, method) for place in live]
    total = sum(work)
    groups: list[list[Place]] = [[] for _ in range(max(1, math.ceil(total / most)))]
    before = 0.0
    for place, own in zip(live, work, strict=True):
        groups[int((before + own / 2) / total * len(groups))].append(place)
        before += own
    return [group for group in groups if group]
