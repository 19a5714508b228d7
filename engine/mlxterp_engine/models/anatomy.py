"""Find an architecture's parts by watching one forward pass, not by knowing its file.

mlx-lm keeps the blocks of every model in `model.layers`. What each part does is read off a
pass over a few tokens: the residual stream is what one block hands to the next, the attention
is the child during whose call the attention kernel runs, and `attn_out` and `mlp_out` are the
two outputs that add up to what the block added. A part that is not found this way is listed
in `missing` with the reason; sites that need it then refuse, in those words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.anatomy_parts import Anatomy, Attention, Block, Term
from mlxterp_engine.models.calls import Around, calls_through

import mlx.core as mx
import mlx.nn as nn
import numpy as np

SUM_TOLERANCE = 1e-4  # of the largest entry: float32 additions in another order; 2e-2 below
LOW_PRECISION_TOLERANCE = 2e-2  # bfloat16 keeps 8 bits


@dataclass(eq=False)
class _Call:
    module: nn.Module
    args: tuple[Any, ...]
    output: Any = None
    inside: list[_Call] = field(default_factory=list)
    kernels: list[tuple[mx.array, mx.array]] = field(default_factory=list)

    def within(self) -> Iterator[_Call]:
        for call in self.inside:
            yield call
            yield from call.within()

    def all_kernels(self) -> list[tuple[mx.array, mx.array]]:
        return self.kernels + [k for call in self.within() for k in call.kernels]


def discover(net: nn.Module, ids: mx.array) -> Anatomy:
    """Watch `net(ids)` and name its parts. ids: [1, pos], a few varied tokens."""
    top = _watch(net, ids)
    calls = list(top.within())
    mx.eval([call.output for call in calls if isinstance(call.output, mx.array)])
    layers = list(net.layers)  # type: ignore[arg-type]
    of_layer = [_only_call(calls, layer) for layer in layers]
    embed = _producer(calls, of_layer[0].args[0])
    final_norm = _consumer(calls, of_layer[-1].output)
    blocks = tuple(_block(call) for call in of_layer)
    head = next((call for call in calls if call.output is top.output), None)
    return Anatomy(
        embed=embed.module,
        blocks=blocks,
        final_norm=final_norm.module,
        unembed=_unembed(embed.module, final_norm.module, head and head.module),
        d_model=of_layer[0].args[0].shape[-1],
        vocab_size=top.output.shape[-1],
        tied=head is None,
        dtype=top.output.dtype,
    )


def _watch(net: nn.Module, ids: mx.array) -> _Call:
    """Every module call of one forward pass, as a tree."""
    stack = [_Call(net, (ids,))]

    def around(module: nn.Module) -> Around:
        def watch(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            call = _Call(module, args)
            stack[-1].inside.append(call)
            stack.append(call)
            try:
                call.output = original(*args, **kwargs)
            finally:
                stack.pop()
            return call.output

        return watch

    def kernel(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        stack[-1].kernels.append((args[0], args[1]))
        return original(*args, **kwargs)

    parts = [(module, around(module)) for module in net.modules() if module is not net]
    with calls_through(parts, kernel):
        stack[0].output = net(ids)
    return stack[0]


def _only_call(calls: list[_Call], module: nn.Module | None) -> _Call:
    found = [call for call in calls if call.module is module]
    if len(found) != 1:
        raise BadInput(
            f"this architecture calls its {type(module).__name__} {len(found)} times in a pass; "
            "only models whose blocks run once each can be opened"
        )
    return found[0]


def _producer(calls: list[_Call], array: mx.array) -> _Call:
    """The innermost call that gave this array: the embedding of the first block's input."""
    found = [call for call in calls if call.output is array]
    if not found:
        raise BadInput(
            "this architecture changes its embeddings before the first block, "
            "so that no module's output is the residual stream there"
        )
    return found[-1]


def _consumer(calls: list[_Call], array: mx.array) -> _Call:
    """The call that takes the last block's output: the final norm."""
    found = [call for call in calls if call.args and call.args[0] is array]
    if not found:
        raise BadInput("this architecture has no final norm over the last block's output")
    return found[-1]


def _block(call: _Call) -> Block:
    missing: dict[str, str] = {}
    attention = _attention(call, missing)
    terms = _increments(call)
    if terms is None:
        reason = "no two outputs inside a block add up to what the block added"
        missing |= dict.fromkeys(("attn_out", "mlp_out", "resid_mid", "mlp.post"), reason)
        return Block(call.module, attention=attention, missing=missing)
    attn_out, mlp_out = terms
    if not _takes(call, call.args[0] + attn_out.output):
        missing["resid_mid"] = "attention and MLP run side by side in this architecture"
    neurons = _neurons(call, mlp_out)
    if neurons is None:
        missing["mlp.post"] = "no module reads the MLP's hidden activation alone"
    return Block(
        call.module,
        attention=attention,
        attn_out=(Term(attn_out.module),),
        mlp_out=(Term(mlp_out.module),),
        neurons=neurons and neurons.module,
        d_mlp=neurons.args[0].shape[-1] if neurons else 0,
        missing=missing,
    )


def _attention(block: _Call, missing: dict[str, str]) -> Attention | None:
    child = next((child for child in block.inside if child.all_kernels()), None)
    if child is None:
        missing["attn"] = "some blocks have no softmax attention"
        return None
    q, k = child.all_kernels()[0]
    return Attention(child.module, q.shape[1], k.shape[1], q.shape[3], k.shape[3])


def _increments(block: _Call) -> tuple[_Call, _Call] | None:
    """The two children whose outputs sum to the block's update, in the order of their calls."""
    if not isinstance(block.output, mx.array):
        return None
    after = as_numpy(block.output)
    update = after - as_numpy(block.args[0])
    outputs = [
        (call, as_numpy(call.output))
        for call in block.inside
        if isinstance(call.output, mx.array) and call.output.shape == after.shape
    ]
    tolerance = _tolerance(block.output)
    for (first, one), (second, other) in combinations(outputs, 2):
        if _same(one + other, update, after, tolerance):
            return first, second
    return None


def _takes(block: _Call, array: mx.array) -> bool:
    """Whether some child reads this value."""
    inputs = [call.args[0] for call in block.inside if call.args]
    wanted, tolerance = as_numpy(array), _tolerance(array)
    return any(
        x.shape == array.shape and _same(as_numpy(x), wanted, wanted, tolerance) for x in inputs
    )


def _tolerance(array: mx.array) -> float:
    return SUM_TOLERANCE if array.dtype == mx.float32 else LOW_PRECISION_TOLERANCE


def _same(a: np.ndarray, b: np.ndarray, scale: np.ndarray, tolerance: float) -> bool:
    return bool(np.abs(a - b).max() <= tolerance * np.abs(scale).max())


def _neurons(block: _Call, mlp_out: _Call) -> _Call | None:
    """The last linear map of the MLP: the call in it whose output is the MLP's output."""
    at = block.inside.index(mlp_out)
    mlp = next((c for c in reversed(block.inside[: at + 1]) if c.inside), None)
    if mlp is None:
        return None
    found = [call for call in mlp.within() if call.output is mlp.output and call.args]
    return found[-1] if found else None


def _unembed(
    embed: nn.Module, norm: nn.Module, head: nn.Module | None
) -> Callable[[mx.array], mx.array]:
    """Final norm and head as the model itself applies them: [..., d_model] -> [..., vocab].

    Without a head of its own a model unembeds with its embedding (tied).
    """
    project = head or getattr(embed, "as_linear", None)
    if project is None:
        raise BadInput("this architecture's unembedding was not found: no head, no tied embedding")
    return lambda hidden: project(norm(hidden))  # type: ignore[operator]
