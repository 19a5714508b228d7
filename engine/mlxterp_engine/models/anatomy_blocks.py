"""One block's parts, read off its call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.models.anatomy_attention import find_attention
from mlxterp_engine.models.anatomy_increments import Increments, increments
from mlxterp_engine.models.anatomy_parts import Attention, Block, Term
from mlxterp_engine.models.anatomy_watch import Call
from mlxterp_engine.models.calls import (
    Around,
    argument,
    calls_through,
    first_array,
    with_argument,
    with_first_array,
)
from mlxterp_engine.models.mlx_lm_file import mlx_lm_file

import mlx.core as mx
import mlx.nn as nn
import numpy as np

EXPERTS = mlx_lm_file("models.switch_layers")

SUMS = ("attn_out", "mlp_out", "resid_mid")
INSIDE = (*SUMS, "mlp.post", "attn")
STREAM = ("resid_pre", "resid_post")
NUDGE = 0.5  # of the array's spread: shows through any norm


def find_block(call: Call, stream: int | str | None) -> Block:
    """The parts of one block. stream: which argument of its call is the residual stream."""
    missing: dict[str, str] = {}
    attention = find_attention(call, missing)
    if stream is None:
        reason = _no_stream(call)
        missing |= dict.fromkeys((*STREAM, *SUMS), reason)
        missing["mlp.post"] = reason
        return _built(call, None, attention, None, [], [], None, missing)
    before = argument(call.args, call.kwargs, stream)
    found = increments(call, before)
    if found is None:
        reason = "no outputs inside this block add up to what it added to the residual stream"
        missing |= dict.fromkeys(SUMS, reason)
        missing["mlp.post"] = reason
        return _built(call, stream, attention, None, [], [], None, missing)
    first, second = _sides(call, stream, found)
    if len(call.all_kernels()) > 1:
        reason = f"this block runs attention {len(call.all_kernels())} times"
        missing |= dict.fromkeys((*SUMS, "mlp.post"), reason)
        return _built(call, stream, attention, found, [], [], None, missing)
    if not first:
        missing["attn_out"] = "this block has neither attention nor another mixer of positions"
    if not second:
        missing["mlp_out"] = missing["mlp.post"] = "this block adds its mixer's output alone"
    missing |= _no_middle(call, stream, first, second)
    neurons = _neurons(call, second)
    return _built(call, stream, attention, found, first, second, neurons, missing)


Terms = Sequence[tuple[Call, float]]


def _built(
    call: Call,
    stream: int | str | None,
    attention: Attention | None,
    found: Increments | None,
    first: Terms,
    second: Terms,
    neurons: Call | None,
    missing: dict[str, str],
) -> Block:
    if neurons is None:
        missing.setdefault("mlp.post", _no_neurons(call))
    width = 0 if neurons is None or neurons.input is None else neurons.input.shape[-1]
    return Block(
        call.module,
        stream,
        found.entry.module if found and found.entry else None,
        attention,
        tuple(Term(term.module, coefficient) for term, coefficient in first),
        tuple(Term(term.module, coefficient) for term, coefficient in second),
        None if "mlp.post" in missing or neurons is None else neurons.module,
        width,
        found.scale if found else 1.0,
        missing,
    )


def _no_stream(call: Call) -> str:
    array = call.array
    shape = "no array" if array is None else f"an array of {list(array.shape)}"
    return f"no single residual stream: a block hands on {shape}, not [batch, pos, d_model]"


def _sides(call: Call, stream: int | str, found: Increments) -> tuple[Terms, Terms]:
    """The token mixer's terms and the rest: up to and including the first after the kernel.

    Without a kernel, up to and including the first whose output at a position depends on
    another position.
    """
    seen = call.all_kernels() or call.all_softmaxes()
    if seen:
        ends = [i for i, (term, _) in enumerate(found.terms) if term.ended > seen[-1].at]
    else:
        ends = _mixing(call, stream, found)
    cut = ends[0] + 1 if ends else 0
    return found.terms[:cut], found.terms[cut:]


def _mixing(call: Call, stream: int | str, found: Increments) -> list[int]:
    """Which terms change at the last position when the stream changes at the one before."""
    before = argument(call.args, call.kwargs, stream)
    if before.shape[1] < 2:
        return []
    nudged = mx.array(before)
    nudged[:, -2] = _nudged(before)[:, -2]
    terms = [term for term, _ in found.terms]
    again = _again(call, with_argument(call.args, call.kwargs, stream, nudged), terms)
    return [
        i for i, (old, new) in enumerate(zip(terms, again, strict=True)) if _moved(old, new, -1)
    ]


def _no_middle(call: Call, stream: int | str, first: Terms, second: Terms) -> dict[str, str]:
    """Why there is no resid_mid; empty where the second side reads what the first has added."""
    if not first or not second:
        return {"resid_mid": "this block adds to the residual stream once"}
    terms = [term for term, _ in second]
    if _reads_sum(call, argument(call.args, call.kwargs, stream), first):
        return {}
    nudged = _again(call, (call.args, call.kwargs), terms, changed=first[-1][0])
    if any(_moved(old, new) for old, new in zip(terms, nudged, strict=True)):
        return {}
    return {"resid_mid": "attention and MLP run side by side in this architecture"}


def _reads_sum(block: Call, before: mx.array, first: Terms) -> bool:
    """Whether some module is given the stream with the first side added: the quick proof."""
    parts = [term.array * c for term, c in first if term.array is not None]
    total = as_numpy(sum(parts, before))
    inputs = [call.input for call in block.inside if call.ended > first[-1][0].ended]
    return any(
        x is not None and x.shape == before.shape and np.allclose(as_numpy(x), total, 1e-5, 0)
        for x in inputs
    )


def _again(
    call: Call, given: tuple[Any, Any], terms: Sequence[Call], changed: Call | None = None
) -> list[mx.array]:
    """Outputs of some terms when the block runs once more, `changed` putting out something else."""
    seen: dict[int, mx.array] = {}

    def around(module: nn.Module) -> Around:
        def note(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            output = original(*args, **kwargs)
            seen[id(module)] = first_array(output)
            return output

        return note

    def change(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        output = original(*args, **kwargs)
        return with_first_array(output, _nudged(first_array(output)))

    hooks = [(term.module, around(term.module)) for term in terms]
    if changed is not None:
        hooks.append((changed.module, change))
    args, kwargs = given
    with calls_through(hooks):
        call.module(*args, **kwargs)  # type: ignore[operator]
    outputs = [seen[id(term.module)] for term in terms]
    mx.eval(outputs)
    return outputs


def _nudged(x: mx.array) -> mx.array:
    """x and a random direction: a norm would undo a scaling, and LayerNorm a shift."""
    draw = mx.random.normal(x.shape, key=mx.random.key(0)).astype(x.dtype)
    return x + draw * (NUDGE * x.std())


def _moved(old: Call, new: mx.array, position: int | None = None) -> bool:
    """Whether an output differs by more than rounding, at one position or anywhere."""
    assert old.array is not None
    was, now = as_numpy(old.array), as_numpy(new)
    if position is not None:
        was, now = was[:, position], now[:, position]
    return bool(np.abs(now - was).max() > 1e-6 * max(np.abs(was).max(), 1e-30))


def _neurons(block: Call, second: Terms) -> Call | None:
    """The one linear map of the MLP back to the stream's width; its input is the neurons."""
    mlp = _mlp(block, second[0][0]) if second else None
    if mlp is None or mlp.array is None or _has_experts(mlp):
        return None
    width = mlp.array.shape[-1]
    maps = [call for call in (mlp, *mlp.within()) if _is_linear(call, width)]
    last = [call for call in maps if call.output is mlp.output]
    chosen = last[-1:] or maps
    return chosen[0] if len(chosen) == 1 else None


def _mlp(block: Call, term: Call) -> Call | None:
    """The call that holds the MLP: the term itself, or what a norm or gain after it was given."""
    if term.inside or _is_linear(term):
        return term
    before = [
        call
        for call in block.inside
        if call.inside and call.ended < term.ended and not call.all_kernels()
    ]
    return before[-1] if before else None


def _is_linear(call: Call, width: int | None = None) -> bool:
    """A call without calls in it, of a matrix: [batch, pos, in] -> [batch, pos, width]."""
    weight = call.module.get("weight")
    if call.inside or call.input is None or call.array is None:
        return False
    matrix = isinstance(weight, mx.array) and weight.ndim == 2
    return matrix and call.array.ndim == 3 and width in (None, call.array.shape[-1])


def _has_experts(call: Call) -> bool:
    kinds = EXPERTS.SwitchLinear, EXPERTS.QuantizedSwitchLinear
    return any(isinstance(c.module, kinds) for c in call.within())


def _no_neurons(block: Call) -> str:
    if _has_experts(block):
        return "a mixture of experts: the hidden activations of those chosen are not one array"
    return "no single linear map leads from the MLP's hidden activation to the residual stream"
