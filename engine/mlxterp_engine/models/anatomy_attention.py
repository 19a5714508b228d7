"""A block's one attention: through the kernel, or with its softmax written out."""

from __future__ import annotations

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.models.anatomy_parts import Attention
from mlxterp_engine.models.anatomy_watch import Call, Scores

import mlx.core as mx
import numpy as np

TOLERANCE = 2e-2  # of the largest entry, for bfloat16; an output that is not v is off by all


def find_attention(block: Call, missing: dict[str, str]) -> Attention | None:
    """The attention of a block's call; without one, the reason goes into `missing`."""
    kernels, softmaxes = block.all_kernels(), block.all_softmaxes()
    seen = kernels or softmaxes
    if not seen:
        missing["attn"] = "this block has no softmax attention"
    elif len(seen) > 1:
        missing["attn"] = f"this block runs attention {len(seen)} times"
    elif kernels:
        return _through_kernel(block, kernels[0], missing)
    else:
        return _by_hand(block, softmaxes[0], missing)
    return None


def _through_kernel(block: Call, seen: Scores, missing: dict[str, str]) -> Attention | None:
    q, k, v = seen.q, seen.k, seen.v
    assert q is not None
    assert k is not None
    assert v is not None
    if k.shape[2] != q.shape[2]:
        missing["attn"] = (
            f"attention reads {k.shape[2]} sources for {q.shape[2]} queries: compressed keys, "
            "not the tokens"
        )
        return None
    return Attention(_holder(block, seen), q.shape[1], k.shape[1], q.shape[3], v.shape[3])


def _holder(block: Call, seen: Scores):
    """The child of the block in whose call the attention ran, or the block itself."""
    for child in block.inside:
        if seen in (*child.all_kernels(), *child.all_softmaxes()):
            return child.module
    return block.module


def _by_hand(block: Call, seen: Scores, missing: dict[str, str]) -> Attention | None:
    """v and z of a softmax in the model's file: the outputs that its pattern leads to.

    z is the first input after the softmax that pattern · V gives, V some output before it.
    """
    assert seen.pattern is not None
    batch, *groups, destinations, sources = seen.pattern.shape
    if destinations != sources:
        missing["attn"] = f"its softmax is over {sources} things for {destinations} tokens"
        return None
    heads = int(np.prod(groups))
    pattern = as_numpy(seen.pattern).reshape(batch, heads, destinations, sources)
    after = [call for call in block.within() if _started_after(call, seen)]
    for output in after:
        z = output.input
        if z is None or z.ndim != 3 or tuple(z.shape[:2]) != (batch, destinations):
            continue
        for call in block.within():
            kv_heads = _kv_heads(call, seen, pattern, z, heads)
            if kv_heads:
                missing |= dict.fromkeys(
                    ("attn.q", "attn.k"),
                    "its softmax is written out, and only v and z show beside it",
                )
                width = z.shape[-1] // heads
                return Attention(
                    _holder(block, seen),
                    heads,
                    kv_heads,
                    width,
                    width,
                    True,
                    call.module,
                    output.module,
                )
    missing["attn"] = "its softmax is written out, and no output was found that is its V"
    return None


def _started_after(call: Call, seen: Scores) -> bool:
    return call.ended > seen.at and not call.inside


def _kv_heads(call: Call, seen: Scores, pattern: np.ndarray, z: mx.array, heads: int) -> int:
    """The number of key-value heads with which this call's output is V; 0 when it is not V."""
    v = call.array
    if v is None or call.ended > seen.at or v.ndim != 3 or v.shape[:2] != z.shape[:2]:
        return 0
    width = z.shape[-1] // heads
    if v.shape[-1] % width or heads % (v.shape[-1] // width):
        return 0
    kv_heads = v.shape[-1] // width
    values = as_numpy(v).reshape(*v.shape[:2], kv_heads, width).swapaxes(1, 2)
    found = (pattern @ values.repeat(heads // kv_heads, axis=1)).swapaxes(1, 2)
    expected = as_numpy(z).reshape(found.shape)
    return kv_heads if np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max() else 0
