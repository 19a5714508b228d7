"""A second witness: a Llama forward pass in NumPy that can be written into, sharing only weights.

Nothing is resumed, batched or cached: each patched run is a whole pass. Pieces come from the
NumPy forward of `doctor`, which the model's own agrees with.
"""

from __future__ import annotations

from mlxterp_engine.techniques.doctor import _shape, _weights
from mlxterp_engine.techniques.numpy_forward import _heads, _mix, _rms_norm, _rotated, _swiglu

import numpy as np


class NumpyModel:
    def __init__(self, model):
        self.weights, self.shape = _weights(model.net), _shape(model.net)
        self.embedding = self.weights["model.embed_tokens.weight"]

    def run(self, ids, write=None, noise=None):
        """Logits of the last token, and every site by (kind, block).

        write(kind, block, array) gives what goes on in its place: [pos, d], of z [head, pos, d].
        noise: (first position, [pos, d]), added to the embeddings.
        """
        sites = {}

        def told(kind, block, array):
            array = array if write is None else write(kind, block, array)
            sites[kind, block] = array
            return array

        x = self.embedding[ids].copy()
        if noise is not None:
            first, added = noise
            x[first : first + len(added)] += added
        for block in range(self.shape.blocks):
            w = self._of_block(block)
            x = told("resid_pre", block, x)
            z = self._z(w, _rms_norm(x, w["input_layernorm.weight"], self.shape.epsilon))
            z = told("z", block, z)
            flat = np.concatenate(list(z), axis=-1)
            x = x + told("attn_out", block, flat @ w["self_attn.o_proj.weight"].T)
            inner = _rms_norm(x, w["post_attention_layernorm.weight"], self.shape.epsilon)
            x = x + told("mlp_out", block, _swiglu(w, inner))
            x = told("resid_post", block, x)
        last = _rms_norm(x[-1:], self.weights["model.norm.weight"], self.shape.epsilon)
        return (last @ self.weights.get("lm_head.weight", self.embedding).T)[0], sites

    def _of_block(self, block):
        start = f"model.layers.{block}."
        return {k.removeprefix(start): v for k, v in self.weights.items() if k.startswith(start)}

    def _z(self, w, x):
        """What each query head read: [head, pos, d]."""
        shape = self.shape
        q = _rotated(_heads(x @ w["self_attn.q_proj.weight"].T, shape.heads), shape.rope_theta)
        k = _rotated(_heads(x @ w["self_attn.k_proj.weight"].T, shape.kv_heads), shape.rope_theta)
        v = _heads(x @ w["self_attn.v_proj.weight"].T, shape.kv_heads)
        group = shape.heads // shape.kv_heads
        return np.stack([_mix(q[h], k[h // group], v[h // group]) for h in range(shape.heads)])


def writing(changes):
    """changes: {(kind, block): {index: values}}, index into [pos, d] or [head, pos, d]."""

    def write(kind, block, array):
        found = changes.get((kind, block))
        if found is None:
            return array
        array = array.copy()
        for index, values in found.items():
            array[index] = values
        return array

    return write


def probability(logits, token):
    shifted = logits.astype(np.float64) - logits.max()
    return float(np.exp(shifted[token]) / np.exp(shifted).sum())
