"""Which heads look where: scores of every head on random tokens that are repeated once.

Random tokens, because on text a head may find the next word for other reasons. No BOS is put in
front: a model whose sink is its BOS is asked with `tokens` of your own.
"""

from __future__ import annotations

from collections.abc import Callable

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.notebook.prompts import Prompt
from mlxterp_engine.tracing.pattern_scores import (
    duplicate_token_score,
    first_token_score,
    induction_score,
    previous_token_score,
)
from mlxterp_engine.tracing.trace import attention_patterns

import numpy as np


def head_scores(
    model: InterpretableModel,
    tokens: Prompt | None = None,
    *,
    length: int = 25,
    batch: int = 4,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """`induction`, `previous_token`, `duplicate_token`, `first_token`: [layer, head] each, 0..1.

    tokens [batch, 2·length]: a block repeated once; by default `repeated_random_tokens`. Means
    over the batch. NaN where a block has no attention, or fewer heads than others.
    """
    if tokens is None:
        tokens = repeated_random_tokens(model, length, batch, seed)
    trace = model.trace(tokens, sites=["*.attn.pattern"])
    half = len(trace.ids[0]) // 2
    _check_repeated(trace.ids, half)
    scores: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "induction": lambda pattern: induction_score(pattern, half),
        "previous_token": previous_token_score,
        "duplicate_token": lambda pattern: duplicate_token_score(pattern, half),
        "first_token": first_token_score,
    }
    shape = model.card.layers, model.card.heads
    found = {name: np.full(shape, np.nan, dtype=np.float32) for name in scores}
    for layer, array in attention_patterns(trace).items():
        pattern = as_numpy(array)
        for name, score in scores.items():
            found[name][layer, : pattern.shape[1]] = score(pattern).mean(axis=0)
    return found


def repeated_random_tokens(
    model: InterpretableModel, length: int = 25, batch: int = 4, seed: int = 0
) -> np.ndarray:
    """Ids [batch, 2·length]: `length` different ordinary tokens, then the same again."""
    ordinary = np.setdiff1d(
        np.arange(min(model.tokens.vocab_size, model.vocab_size)), list(model.tokens.special_ids)
    )
    if not 1 <= length <= len(ordinary) or batch < 1:
        raise BadInput(
            f"{batch} rows of {length} different tokens can't be drawn; give at least one row, "
            f"and 1 to {len(ordinary)} tokens"
        )
    draw = np.random.default_rng(seed)
    block = np.stack([draw.choice(ordinary, length, replace=False) for _ in range(batch)])
    return np.concatenate([block, block], axis=1).astype(np.int32)


def _check_repeated(rows: list[list[int]], half: int) -> None:
    for row in rows:
        if len(row) != 2 * half or row[:half] != row[half:]:
            raise BadInput(
                f"{len(row)} tokens that are no block repeated once; give rows that hold the "
                "same tokens twice"
            )
