"""Pattern and z of four kinds of attention against the definition, from the weights alone."""

import math

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.models.anatomy import discover
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.sites import Site

import numpy as np
import pytest
from engine.architectures.building import IDS, build

HEADS, KV_HEADS, D_HEAD, BLOCK = 4, 2, 8, 1


def parts_of(architecture):
    net = build(architecture)
    anatomy = discover(net, IDS)
    kinds = ("resid_pre", "attn.pattern", "attn.z", "attn_out", "mlp_out", "resid_mid")
    sites = {kind: Site(kind, BLOCK) for kind in kinds}
    run = forward(net, anatomy, IDS, list(sites.values()))
    found = {kind: as_numpy(run.sites[site])[0] for kind, site in sites.items()}
    return net.layers[BLOCK], found


def rms(x, weight):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * weight


def heads_of(x, linear, count):
    """[pos, d_model] through a linear map, as [head, pos, d_head]."""
    y = x @ as_numpy(linear.weight).T
    if "bias" in linear:
        y = y + as_numpy(linear.bias)
    return y.reshape(len(x), count, -1).swapaxes(0, 1)


def rotated(x):
    """Rotary embedding by halves, base 10000: x [head, pos, d]."""
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[1])[:, None] * 10000.0 ** (-np.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return np.concatenate(
        [a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], axis=-1
    )


def pattern_of(q, k, scale, cap=None, window=None):
    """[head, destination, source], one destination and head at a time."""
    heads, length = q.shape[:2]
    pattern = np.zeros((heads, length, length))
    for head in range(heads):
        for at in range(length):
            first = 0 if window is None else max(0, at - window + 1)
            scores = k[head * len(k) // heads, first : at + 1] @ q[head, at] * scale
            if cap is not None:
                scores = np.tanh(scores / cap) * cap
            weights = np.exp(scores - scores.max())
            pattern[head, at, first : at + 1] = weights / weights.sum()
    return pattern


def read(pattern, v):
    return np.stack([pattern[h] @ v[h * len(v) // len(pattern)] for h in range(len(pattern))])


def attention_inputs(attention, x):
    """q, k, v before any rotation."""
    return (
        heads_of(x, attention.q_proj, HEADS),
        heads_of(x, attention.k_proj, KV_HEADS),
        heads_of(x, attention.v_proj, KV_HEADS),
    )


# Sums of some dozen products in float32 against float64.
CLOSE = {"rtol": 0, "atol": 2e-6}


def check(found, pattern, v):
    np.testing.assert_allclose(found["attn.pattern"], pattern, **CLOSE)
    np.testing.assert_allclose(found["attn.z"], read(pattern, v), **CLOSE)


@pytest.mark.parametrize("architecture", ["llama", "mistral3", "qwen2", "olmoe", "mixtral"])
def test_grouped_heads_with_and_without_experts_biases_and_norms_of_q_and_k(architecture):
    block, found = parts_of(architecture)
    attention = block.self_attn
    x = rms(found["resid_pre"].astype(np.float64), as_numpy(block.input_layernorm.weight))
    q, k, v = attention_inputs(attention, x)
    if "q_norm" in attention:  # OLMoE norms all heads together
        q, k = (
            rms(y.swapaxes(0, 1).reshape(len(x), -1), as_numpy(norm.weight))
            .reshape(len(x), len(y), -1)
            .swapaxes(0, 1)
            for y, norm in ((q, attention.q_norm), (k, attention.k_norm))
        )
    check(found, pattern_of(rotated(q), rotated(k), D_HEAD**-0.5), v)


def test_soft_capped_scores_whose_softmax_is_written_out():
    """Gemma 2: tanh before the softmax; a post-norm makes attn_out."""
    block, found = parts_of("gemma2")
    x = rms(found["resid_pre"].astype(np.float64), 1 + as_numpy(block.input_layernorm.weight))
    q, k, v = attention_inputs(block.self_attn, x)
    pattern = pattern_of(rotated(q), rotated(k), 8**-0.5, cap=4.0)
    check(found, pattern, v)
    out = read(pattern, v).swapaxes(0, 1).reshape(len(x), -1)
    out = out @ as_numpy(block.self_attn.o_proj.weight).T
    expected = rms(out, 1 + as_numpy(block.post_attention_layernorm.weight))
    np.testing.assert_allclose(found["attn_out"], expected, rtol=0, atol=2e-5)


def test_a_residual_multiplier_is_in_the_increment():
    """Granite: the stream receives 0.4 · attention, and scores are scaled by 0.3."""
    block, found = parts_of("granite")
    x = rms(found["resid_pre"].astype(np.float64), as_numpy(block.input_layernorm.weight))
    q, k, v = attention_inputs(block.self_attn, x)
    pattern = pattern_of(rotated(q), rotated(k), 0.3)
    check(found, pattern, v)
    out = read(pattern, v).swapaxes(0, 1).reshape(len(x), -1)
    expected = 0.4 * (out @ as_numpy(block.self_attn.o_proj.weight).T)
    np.testing.assert_allclose(found["attn_out"], expected, **CLOSE)
    np.testing.assert_allclose(found["resid_mid"], found["resid_pre"] + expected, **CLOSE)


def test_a_sink_takes_mass_that_no_token_gets():
    """gpt-oss: a logit per head beside the scores; rows sum to less than 1. Window: 5."""
    block, found = parts_of("gpt_oss")
    attention = block.self_attn
    sinks = as_numpy(attention.sinks)
    pattern, sums = found["attn.pattern"], found["attn.pattern"].sum(-1)
    assert (sums < 1 - 1e-3).all()
    assert pattern.shape == (HEADS, IDS.shape[1], IDS.shape[1])
    # At position 0 there is one score s: its weight is e^s / (e^s + e^sink).
    x = rms(found["resid_pre"].astype(np.float64), as_numpy(block.input_layernorm.weight))
    q, k, _ = attention_inputs(attention, x)
    for head in range(HEADS):
        score = q[head, 0] @ k[head // 2, 0] / math.sqrt(D_HEAD)  # unrotated at position 0
        expected = 1 / (1 + math.exp(sinks[head] - score))
        assert pattern[head, 0, 0] == pytest.approx(expected, abs=2e-6)
