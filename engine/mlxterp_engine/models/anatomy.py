"""Find an architecture's parts by watching one forward pass, not by knowing its file.

mlx-lm keeps the blocks of every model in `model.layers`. What each part does is read off a
pass over a few tokens: the residual stream is what one block hands to the next, the attention
is the child during whose call the attention kernel runs, and `attn_out` and `mlp_out` are the
outputs that add up to what the block added. A part that is not found this way is listed in
`missing` with the reason; sites that need it then refuse, in those words.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.anatomy_blocks import INSIDE, STREAM, find_block
from mlxterp_engine.models.anatomy_parts import Anatomy, Attention, Block, Term
from mlxterp_engine.models.anatomy_unembed import find_unembed, no_unembed
from mlxterp_engine.models.anatomy_watch import Call, Watched, watch
from mlxterp_engine.models.calls import argument

import mlx.core as mx
import mlx.nn as nn
import numpy as np

__all__ = ["Anatomy", "Attention", "Block", "Term", "discover"]


def discover(net: nn.Module, ids: mx.array) -> Anatomy:
    """Watch `net(ids)` and name its parts. ids: [1, pos], a few varied tokens."""
    layers = list(getattr(net, "layers", ()))
    if not layers:
        raise BadInput("this model has no `layers`; mlx-lm's models keep their blocks there")
    watched = watch(net, ids)
    calls = watched.calls
    runs = [[call for call in calls if call.module is layer] for layer in layers]
    streams = _streams(runs, ids)
    blocks = tuple(
        find_block(run[0], stream) if len(run) == 1 else _not_once(layer, run)
        for layer, run, stream in zip(layers, runs, streams, strict=True)
    )
    return _anatomy(net, watched, [run[0] if len(run) == 1 else None for run in runs], blocks)


def _anatomy(
    net: nn.Module, watched: Watched, of_layer: Sequence[Call | None], blocks: tuple[Block, ...]
) -> Anatomy:
    first, last = of_layer[0], of_layer[-1]
    whole = last is not None and "resid_post" not in blocks[-1].missing
    missing: dict[str, str] = {}
    embed = _embed(watched, first, blocks[0], missing)
    norm = _final_norm(watched, last if whole else None)
    if norm is None:
        missing["final_norm"] = "no module norms the last block's output"
    unembed = find_unembed(net, watched, embed, norm, last if whole else None, blocks)
    if unembed is None:
        missing["unembed"] = "its last part does not give the logits from the last state alone"
        unembed = no_unembed(missing["unembed"])
    logits = watched.top.output
    width = norm.input if norm is not None else last and last.array
    return Anatomy(
        embed=embed,
        blocks=blocks,
        final_norm=None if norm is None else norm.module,
        unembed=unembed,
        d_model=0 if width is None else width.shape[-1],
        vocab_size=logits.shape[-1],
        tied=watched.unembedded is not None,
        dtype=logits.dtype,
        missing=missing,
    )


def _not_once(layer: nn.Module, run: Sequence[Call]) -> Block:
    times = f"runs its blocks {len(run)} times in a pass" if run else "never calls its blocks whole"
    reason = f"this architecture {times} ({type(layer).__name__})"
    return Block(layer, stream=None, missing=dict.fromkeys((*STREAM, *INSIDE), reason))


def _streams(runs: Sequence[Sequence[Call]], ids: mx.array) -> list[int | str | None]:
    """For each block, which argument is the residual stream; None where there is no single one.

    It has the shape of the block's output, and of several such it is the previous output.
    """
    found: list[int | str | None] = []
    before: mx.array | None = None
    for run in runs:
        call = run[0] if len(run) == 1 else None
        found.append(None if call is None else _stream(call, before, ids))
        before = call and call.array
    if len(found) > 1 and runs[0] and found[0] != found[1] and found[1] is not None:
        found[0] = found[1]  # the first block's has no previous output to be told by
    return found


def _stream(call: Call, before: mx.array | None, ids: mx.array) -> int | str | None:
    after = call.array
    if after is None or after.ndim != 3 or after.shape[:2] != ids.shape:
        return None
    given = [*enumerate(call.args), *call.kwargs.items()]
    alike = [
        (where, value)
        for where, value in given
        if isinstance(value, mx.array) and value.shape == after.shape
    ]
    if len(alike) > 1 and before is not None:
        alike = [(w, x) for w, x in alike if x is before or _equal(x, before)] or alike
    return alike[0][0] if alike else None


def _equal(a: mx.array, b: mx.array) -> bool:
    return a.shape == b.shape and bool(np.array_equal(as_numpy(a), as_numpy(b)))


def _embed(
    watched: Watched, first: Call | None, block: Block, missing: dict[str, str]
) -> nn.Module | None:
    """The module whose output is the first block's input; None where the input is changed.

    Also in place, as by `states += positions`: what the module put out is then that very array,
    and only running it again tells.
    """
    if first is None or "resid_pre" in block.missing:
        found = [call for call in watched.calls if isinstance(call.module, nn.Embedding)]
        if found:
            return found[0].module
        missing["embed"] = "no embedding was found"
        return None
    assert block.stream is not None  # it has a resid_pre
    stream = argument(first.args, first.kwargs, block.stream)
    found = [call for call in watched.calls if call.output is stream]
    if not found or not _equal(found[-1].module(found[-1].input), stream):
        return None
    return found[-1].module


def _final_norm(watched: Watched, last: Call | None) -> Call | None:
    """The call that norms the last block's output; else the one whose output the head reads."""
    if last is not None:
        found = [c for c in watched.calls if c.input is last.array and _keeps_shape(c)]
        if found:
            return found[-1]
    shape = watched.top.output.shape
    heads = [
        call.input
        for call in watched.calls
        if call.array is not None and call.array.shape == shape and not call.inside
    ]
    read = watched.unembedded if watched.unembedded is not None else (heads or [None])[0]
    found = [call for call in watched.calls if call.output is read and _keeps_shape(call)]
    return found[-1] if found else None


def _keeps_shape(call: Call) -> bool:
    return (
        call.input is not None and call.array is not None and call.array.shape == call.input.shape
    )
