"""What may stand for a prompt in Python: text, ids, or several of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from numbers import Integral
from typing import Any

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.result import ModelCard

import mlx.core as mx
import numpy as np

Prompt = str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]] | mx.array | np.ndarray
"""A text, texts, ids [pos], rows of ids, or an array of ids [pos] or [batch, pos]."""


def rows_of(prompt: Prompt, encode: Callable[[str], list[int]], card: ModelCard) -> list[list[int]]:
    """The ids of each prompt. BadInput for ids that the model has not, and for too many."""
    rows = [encode(each) if isinstance(each, str) else _ids(each) for each in _several(prompt)]
    for row in rows:
        _check(row, card)
    return rows


def _several(prompt: Any) -> list[Any]:
    """Prompts, each a text or a row of ids."""
    if isinstance(prompt, str):
        return [prompt]
    if isinstance(prompt, mx.array | np.ndarray):
        prompt = np.array(prompt).tolist()
    given: list[Any] = list(prompt) if isinstance(prompt, Sequence) else [prompt]
    if given and all(isinstance(each, str | Sequence | mx.array) for each in given):
        return given
    return [given]


def _ids(row: Any) -> list[int]:
    values: Any = row.tolist() if isinstance(row, mx.array) else row
    odd = [v for v in values if isinstance(v, bool) or not isinstance(v, Integral)]
    if odd:
        raise BadInput(f"{odd[0]!r} is no token id; give a text, or whole numbers")
    return [int(value) for value in values]


def _check(ids: list[int], card: ModelCard) -> None:
    if not ids:
        raise BadInput("the prompt has no tokens; give some text, or at least one token id")
    bad = [i for i in ids if not 0 <= i < card.vocab_size]
    if bad:
        raise BadInput(f"token id {bad[0]} is outside 0..{card.vocab_size - 1}")
    if card.context and len(ids) > card.context:
        raise BadInput(
            f"the prompt has {len(ids)} tokens and {card.reference} reads at most "
            f"{card.context}; shorten it"
        )


def the_one(rows: Sequence[list[int]], card: ModelCard, room: int) -> list[int]:
    """The only row. BadInput for several, and where so many new tokens do not fit behind it."""
    if len(rows) != 1:
        raise BadInput(f"this reads one prompt and got {len(rows)}; call it for each")
    (row,) = rows
    if card.context and len(row) + room > card.context:
        raise BadInput(
            f"{len(row)} tokens and {room} new ones are more than the {card.context} that "
            f"{card.reference} reads; ask for {card.context - len(row)} at most"
        )
    return row


def listed(ids: Sequence[int] | mx.array) -> list[int]:
    """One row of ids. BadInput for several."""
    values: Any = ids.tolist() if isinstance(ids, mx.array) else ids
    if any(isinstance(value, Sequence) for value in values):
        raise BadInput("these are several rows of ids; give one row")
    return [int(value) for value in values]


def one_position(position: int, count: int) -> slice:
    """The slice that holds it alone, counted from the front. BadInput outside the prompt."""
    if not -count <= position < count:
        raise BadInput(f"position {position} is outside the prompt: 0 to {count - 1}")
    at = position % count
    return slice(at, at + 1)


def some_layers(layers: Iterable[int] | None, count: int) -> list[int]:
    """These blocks, or all. BadInput for none, and for one that is not there."""
    chosen = list(range(count) if layers is None else layers)
    bad = [layer for layer in chosen if not 0 <= layer < count]
    if bad or not chosen:
        raise BadInput(
            f"{f'layer {bad[0]}' if bad else 'no layer'} was asked for; "
            f"layers go from 0 to {count - 1}"
        )
    return chosen
