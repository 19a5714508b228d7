"""From rows of logits to the tokens that they favour."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments.errors import BadInput

import mlx.core as mx
import mlx.nn as nn
import numpy as np

# Of a float32 mean of squares over a row, and what a norm's own epsilon takes off a small one.
NORMED_TOLERANCE = 1e-3


def are_states(vectors: mx.array, d_model: int, vocab: int) -> bool:
    """Whether these are states [..., d_model] and not logits [..., vocab], by their size."""
    if d_model == vocab:
        raise BadInput(
            f"states and logits both have {vocab} numbers here and can't be told apart; "
            "call predict_from_state or predict_from_logits"
        )
    width = vectors.shape[-1] if vectors.ndim else 0
    if width not in (d_model, vocab):
        raise BadInput(
            f"an array of {vectors.shape} is neither a state [{d_model}] nor logits [{vocab}]"
        )
    return width == d_model


def predicted(logits: mx.array, top_k: int, with_scores: bool) -> list[Any]:
    """The best of logits [vocab]: ids, or (id, logit) pairs; of [row, vocab] a list of such."""
    if logits.ndim not in (1, 2):
        raise BadInput(f"logits of {logits.shape} are too many axes; give [vocab] or [row, vocab]")
    rows = top_tokens(logits if logits.ndim > 1 else logits[None], top_k)
    found = rows if with_scores else [[i for i, _ in row] for row in rows]
    return found if logits.ndim > 1 else found[0]


def top_tokens(logits: mx.array, top_k: int) -> list[list[tuple[int, float]]]:
    """The best ids of each row with their logits, best first, equal ones by id.

    logits [row, vocab] -> [row][k]. BadInput: top_k outside the vocabulary, a NaN.
    """
    values = as_numpy(logits.astype(mx.float32))
    vocab = values.shape[-1]
    if not 1 <= top_k <= vocab:
        raise BadInput(f"top_k is {top_k}; give a number from 1 to {vocab}")
    if np.isnan(values).any():
        raise BadInput("these logits hold NaN, so that nothing is the best; look where it began")
    return [_best(row, top_k) for row in values]


def _best(row: np.ndarray, k: int) -> list[tuple[int, float]]:
    least = np.partition(row, -k)[-k]
    above = np.flatnonzero(row > least)
    equal = np.flatnonzero(row == least)[: k - len(above)]
    ids = np.concatenate([above[np.argsort(-row[above], kind="stable")], equal])
    return [(int(i), float(row[i])) for i in ids]


def refuse_normed(states: mx.array, norm: Callable[[mx.array], mx.array] | None) -> None:
    """BadInput for states [d_model] or [row, d_model] that are outputs of this norm."""
    if is_normed(states if states.ndim > 1 else states[None], norm):
        raise BadInput(
            "this state has been through the final norm already, which would be applied "
            "twice; give its logits: get_token_predictions(model.project(state))"
        )


def is_normed(rows: mx.array, norm: Callable[[mx.array], mx.array] | None) -> bool:
    """Whether every row looks like an output of this norm. rows [row, d_model].

    Divided by the norm's weights such a row has a mean square of 1; a state of the residual
    stream has that by a rare chance only. For RMS norms of any class and MLX's LayerNorm.
    """
    if norm is None:
        return False
    ones = mx.ones((1, rows.shape[-1]), dtype=rows.dtype)
    shift, gain = norm(0 * ones), norm(ones)
    if isinstance(norm, nn.LayerNorm):  # of ones it gives its bias
        gain = norm["weight"][None] if "weight" in norm else ones
    if gain.shape != ones.shape:
        return False
    unit = (rows - shift).astype(mx.float32) / gain.astype(mx.float32)
    squares = as_numpy((unit * unit).mean(axis=-1))
    return bool(np.all(np.abs(squares - 1) < NORMED_TOLERANCE))
