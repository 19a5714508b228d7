"""A Llama-shaped forward pass in NumPy, written from the papers: the reference for parity.

RMSNorm (Zhang & Sennrich 2019), rotary positions (Su et al. 2021, halves of a head turned
against each other), grouped-query attention (Ainslie et al. 2023), SwiGLU (Shazeer 2020).
Slow and obvious on purpose; shares nothing with MLX but the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Weights = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class LlamaShape:
    blocks: int
    heads: int
    kv_heads: int
    rope_theta: float
    epsilon: float


def llama_logits(weights: Weights, shape: LlamaShape, ids: list[int]) -> np.ndarray:
    """ids [pos] -> logits [pos, vocab]. weights under mlx-lm's parameter names, float32."""
    embedding = weights["model.embed_tokens.weight"]
    x = embedding[ids]
    for block in range(shape.blocks):
        w = {
            name.removeprefix(f"model.layers.{block}."): value
            for name, value in weights.items()
            if name.startswith(f"model.layers.{block}.")
        }
        x = x + _attention(w, shape, _rms_norm(x, w["input_layernorm.weight"], shape.epsilon))
        x = x + _swiglu(w, _rms_norm(x, w["post_attention_layernorm.weight"], shape.epsilon))
    x = _rms_norm(x, weights["model.norm.weight"], shape.epsilon)
    return x @ weights.get("lm_head.weight", embedding).T


def _rms_norm(x: np.ndarray, weight: np.ndarray, epsilon: float) -> np.ndarray:
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + epsilon) * weight


def _attention(w: Weights, shape: LlamaShape, x: np.ndarray) -> np.ndarray:
    q = _rotated(_heads(x @ w["self_attn.q_proj.weight"].T, shape.heads), shape.rope_theta)
    k = _rotated(_heads(x @ w["self_attn.k_proj.weight"].T, shape.kv_heads), shape.rope_theta)
    v = _heads(x @ w["self_attn.v_proj.weight"].T, shape.kv_heads)
    group = shape.heads // shape.kv_heads
    mixed = [_mix(q[h], k[h // group], v[h // group]) for h in range(shape.heads)]
    return np.concatenate(mixed, axis=-1) @ w["self_attn.o_proj.weight"].T


def _heads(x: np.ndarray, heads: int) -> np.ndarray:
    """[pos, heads * d] -> [head, pos, d]."""
    return x.reshape(len(x), heads, -1).swapaxes(0, 1)


def _rotated(x: np.ndarray, theta: float) -> np.ndarray:
    """Turn dimension i against i + d/2 by position * theta^(-2i/d). x [head, pos, d]."""
    half = x.shape[-1] // 2
    angles = np.outer(np.arange(x.shape[1]), theta ** (-np.arange(half) / half))
    cos, sin = np.cos(angles), np.sin(angles)
    first, second = x[..., :half], x[..., half:]
    turned = [first * cos - second * sin, second * cos + first * sin]
    return np.concatenate(turned, axis=-1).astype(x.dtype)


def _mix(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """One head's causal softmax attention: q, k, v [pos, d]."""
    scores = q @ k.T / np.sqrt(q.shape[-1])
    scores = np.where(np.tri(len(q), dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return (weights / weights.sum(axis=-1, keepdims=True)).astype(v.dtype) @ v


def _swiglu(w: Weights, x: np.ndarray) -> np.ndarray:
    gate = x @ w["mlp.gate_proj.weight"].T
    up = x @ w["mlp.up_proj.weight"].T
    return (gate / (1 + np.exp(-gate)) * up) @ w["mlp.down_proj.weight"].T
