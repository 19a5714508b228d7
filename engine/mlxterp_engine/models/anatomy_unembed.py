"""Hidden states to logits, by the model's own code: [..., d_model] -> [..., vocab].

Where norm and head alone give the logits they are called directly. Where the model goes on
(a soft-cap, a scale), its own last part is replayed: the net runs on as many dummy tokens as
there are states, with its blocks left out and the states in place of the last one's output.
What the dummy tokens would lead to is in the graph and is never computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.anatomy_parts import Block
from mlxterp_engine.models.anatomy_watch import Call, Watched
from mlxterp_engine.models.calls import (
    Around,
    argument,
    calls_through,
    first_array,
    with_first_array,
)

import mlx.core as mx
import mlx.nn as nn

Unembed = Callable[[mx.array], mx.array]

TOLERANCE = {mx.float32: 1e-5, mx.float16: 1e-2, mx.bfloat16: 5e-2}  # of the largest logit


def find_unembed(
    net: nn.Module,
    watched: Watched,
    embed: nn.Module | None,
    norm: Call | None,
    last: Call | None,
    blocks: Sequence[Block],
) -> Unembed | None:
    """The fastest way that reproduces this pass's logits. last: the last block's call."""
    logits = watched.top.output
    state = last.array if last is not None else norm.input if norm is not None else None
    if state is None:
        return None
    ways = [*_direct(watched, embed, norm)]
    whole = {id(block.module) for block in blocks}
    outputs = {id(call.module): call.output for call in watched.calls if id(call.module) in whole}
    if last is not None:
        ways.append(_replay(net, [b for b in blocks if id(b.module) in outputs], outputs))
    for way in ways:
        if _gives(way, state, logits):
            return way
    if norm is None or norm.input is None:
        return None
    inner = _from_norm(net, norm.module)
    return inner if _gives(inner, norm.input, logits) else None


def no_unembed(reason: str) -> Unembed:
    """In place of an unembedding that was not found: refuses, in these words."""

    def unembed(_: mx.array) -> mx.array:
        raise BadInput(f"states of this model can't be unembedded: {reason}")

    return unembed


def _direct(watched: Watched, embed: nn.Module | None, norm: Call | None) -> list[Unembed]:
    if norm is None:
        return []
    vocab = watched.top.output.shape[-1]
    heads = [
        call.module
        for call in watched.calls
        if not call.inside
        and call.array is not None
        and call.array.shape[-1] == vocab
        and call.input is norm.output
    ]
    projects: list[Any] = heads[:1]
    if watched.unembedded is not None:
        projects += [
            call.module.as_linear  # type: ignore[attr-defined]
            for call in watched.calls
            if hasattr(call.module, "as_linear")
        ][:1]
    return [_after(norm.module, project) for project in projects]


def _after(norm: Any, project: Any) -> Unembed:
    return lambda hidden: project(norm(hidden))


def _gives(way: Unembed, state: mx.array, logits: mx.array) -> bool:
    """Whether states lead to their logits: all of them, and some without the others."""
    count = state.shape[1] - 1
    return _equals(way, state, logits) and _equals(way, state[:, :count], logits[:, :count])


def _equals(way: Unembed, state: mx.array, logits: mx.array) -> bool:
    try:
        found = way(state).astype(mx.float32)
    except (ValueError, TypeError, IndexError, RuntimeError):
        return False  # this model's last part can't be run in that way; the next is tried
    if found.shape != logits.shape:
        return False
    expected = logits.astype(mx.float32)
    error = mx.abs(found - expected).max() / mx.maximum(mx.abs(expected).max(), 1e-30)
    return float(as_numpy(error)) <= TOLERANCE.get(logits.dtype, 5e-2)


def _replay(net: Any, blocks: Sequence[Block], outputs: dict[int, Any]) -> Unembed:
    last = blocks[-1].module

    def unembed(hidden: mx.array) -> mx.array:
        states, ids = _as_tokens(hidden)

        def left_out(block: Block) -> Around:
            def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
                if block.module is last or block.stream is None:
                    here = states
                else:
                    here = argument(args, kwargs, block.stream)
                return with_first_array(outputs[id(block.module)], here)

            return around

        with calls_through([(block.module, left_out(block)) for block in blocks]):
            logits = first_array(net(ids))
        return logits.reshape(*hidden.shape[:-1], logits.shape[-1])

    return unembed


def _from_norm(net: Any, norm: nn.Module) -> Unembed:
    def unembed(hidden: mx.array) -> mx.array:
        states, ids = _as_tokens(hidden)

        def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return original(states, *args[1:], **kwargs)

        with calls_through([(norm, around)]):
            logits = first_array(net(ids))
        return logits.reshape(*hidden.shape[:-1], logits.shape[-1])

    return unembed


def _as_tokens(hidden: mx.array) -> tuple[mx.array, mx.array]:
    """States [..., d_model] as [1, count, d_model], and as many dummy ids [1, count]."""
    states = hidden.reshape(1, -1, hidden.shape[-1])
    return states, mx.zeros(states.shape[:2], dtype=mx.int32)
