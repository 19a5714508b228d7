"""A Gemma 3 GGUF computes what its own tensors say, by a forward pass in NumPy beside it."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from mlxterp_engine.backend import Place
from mlxterp_engine.experiments import BadInput
from mlxterp_engine.models.anatomy import discover
from mlxterp_engine.models.gguf_architectures import config_of
from mlxterp_engine.models.gguf_file import GGUFModel, read_gguf
from mlxterp_engine.models.gguf_reader import GGUF
from mlxterp_engine.models.load import Network, load_gguf_network
from mlxterp_engine.models.tokens import Tokens
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.proofs import proven
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import numpy as np
import pytest

HEADS, KV_HEADS, HEAD, EPS, WINDOW = 4, 2, 32, 1e-5, 3
THETA_GLOBAL, THETA_LOCAL = 1e6, 1e4
IDS = [5, 90, 17, 17, 200, 3, 44]
# Block 0 looks back over its window, block 1 over everything; heads of 32 where d_model / heads
# is 64, so that the one cannot be taken for the other.
METADATA = {
    "gemma3.attention.key_length": HEAD,
    "gemma3.attention.sliding_window": WINDOW,
    "gemma3.attention.sliding_window_pattern": 2,
    "gemma3.rope.freq_base": THETA_GLOBAL,
}
ALL = len(IDS)
REAL_FILE = "MLXTERP_GEMMA3_GGUF"


@pytest.fixture
def written(tensors) -> dict[str, np.ndarray]:
    return tensors(norms=True, post_norms=True, head=HEAD)


@pytest.fixture
def gemma(tiny_gguf, written):
    """Write the tiny Gemma 3; metadata can be replaced."""

    def write(**changed) -> Path:
        metadata = METADATA | {f"gemma3.{key}": value for key, value in changed.items()}
        return tiny_gguf(written, architecture="gemma3", metadata=metadata)

    return write


def load(model: GGUFModel) -> Network:
    steps = load_gguf_network(model, Place("cpu", None))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def logits(network: Network, ids: list[int]) -> np.ndarray:
    return np.array(network.net(mx.array([ids]))[0])


def norm(x: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + EPS) * factor


def rotate(x: np.ndarray, theta: float) -> np.ndarray:
    """RoPE over the two halves of a head. x: [pos, head, d_head]."""
    half = x.shape[-1] // 2
    angles = np.outer(np.arange(len(x)), theta ** (-np.arange(half) / half))[:, None]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate(
        [a * np.cos(angles) - b * np.sin(angles), a * np.sin(angles) + b * np.cos(angles)], -1
    )


def gelu(x: np.ndarray) -> np.ndarray:
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def attention(h: np.ndarray, w: dict[str, np.ndarray], theta: float, window: int) -> np.ndarray:
    split = partial(np.reshape, shape=(len(h), -1, HEAD))
    q = rotate(norm(split(h @ w["attn_q"].T), w["attn_q_norm"]), theta)
    k = rotate(norm(split(h @ w["attn_k"].T), w["attn_k_norm"]), theta)
    k, v = (x.repeat(HEADS // KV_HEADS, 1) for x in (k, split(h @ w["attn_v"].T)))
    scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(HEAD)
    back = np.subtract.outer(np.arange(len(h)), np.arange(len(h)))
    scores[:, (back < 0) | (back >= window)] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    z = np.einsum("hqk,khd->qhd", weights, v).reshape(len(h), -1)
    return z @ w["attn_output"].T


def gemma_logits(
    stored: dict[str, np.ndarray],
    ids: list[int],
    thetas=(THETA_LOCAL, THETA_GLOBAL),
    windows=(WINDOW, ALL),
) -> np.ndarray:
    """Gemma 3 on a file's own tensors, norms as the file has them. [pos, vocabulary].

    The embeddings' scale is sqrt(d_model) = 16 here, which bfloat16 holds exactly: mlx-lm
    rounds it so, as the model was trained.
    """
    x = stored["token_embd.weight"][ids].astype(np.float64)
    x *= np.sqrt(x.shape[-1])
    for block, (theta, window) in enumerate(zip(thetas, windows, strict=True)):
        start = f"blk.{block}."
        w = {
            name.removeprefix(start).removesuffix(".weight"): values
            for name, values in stored.items()
            if name.startswith(start)
        }
        z = attention(norm(x, w["attn_norm"]), w, theta, window)
        x = x + norm(z, w["post_attention_norm"])
        h = norm(x, w["ffn_norm"])
        mlp = (gelu(h @ w["ffn_gate"].T) * (h @ w["ffn_up"].T)) @ w["ffn_down"].T
        x = x + norm(mlp, w["post_ffw_norm"])
    return norm(x, stored["output_norm.weight"]) @ stored["token_embd.weight"].T


def test_a_tiny_gemma_computes_what_its_tensors_say(gemma, written):
    expected = gemma_logits(written, IDS)

    found = logits(load(read_gguf(gemma())), IDS)

    # float32 against float64 through two blocks; the next test's differences are 1000 times it
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(
    "otherwise",
    [
        {"thetas": (THETA_GLOBAL, THETA_GLOBAL)},
        {"thetas": (THETA_LOCAL, THETA_LOCAL)},
        {"windows": (ALL, ALL)},
        {"windows": (WINDOW + 1, ALL)},
        {"windows": (WINDOW, WINDOW)},
    ],
)
def test_each_window_and_rotation_is_seen_by_that_comparison(gemma, written, otherwise):
    other = gemma_logits(written, IDS, **otherwise)

    found = logits(load(read_gguf(gemma())), IDS)

    assert np.abs(found - other).max() > 1e-3 * np.abs(other).max()


def test_mlx_lms_own_gemma_with_the_same_weights_gives_the_same_numbers(gemma):
    from mlx_lm.models import gemma3_text

    model = read_gguf(gemma())
    weights = {name: mx.array(values) for name, values in model.weights()}
    net = gemma3_text.Model(
        gemma3_text.ModelArgs(
            model_type="gemma3_text", hidden_size=256, num_hidden_layers=2,
            intermediate_size=512, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS,
            head_dim=HEAD, rms_norm_eps=EPS, vocab_size=264, rope_theta=THETA_GLOBAL,
            rope_local_base_freq=THETA_LOCAL, query_pre_attn_scalar=HEAD,
            sliding_window=WINDOW, sliding_window_pattern=2, max_position_embeddings=64,
        )
    )  # fmt: skip
    net.load_weights([*weights.items(), ("lm_head.weight", weights["model.embed_tokens.weight"])])

    expected = np.array(net(mx.array([IDS]))[0])
    np.testing.assert_allclose(logits(load(model), IDS), expected, rtol=0, atol=1e-4)


def test_norms_lose_the_one_that_the_file_adds(gemma, written):
    read = dict(read_gguf(gemma()).weights())

    for ours, theirs in {
        "model.norm": "output_norm",
        "model.layers.1.pre_feedforward_layernorm": "blk.1.ffn_norm",
        "model.layers.0.self_attn.q_norm": "blk.0.attn_q_norm",
    }.items():
        np.testing.assert_array_equal(read[f"{ours}.weight"], written[f"{theirs}.weight"] - 1)
    np.testing.assert_array_equal(
        read["model.layers.0.self_attn.q_proj.weight"], written["blk.0.attn_q.weight"]
    )


def test_an_output_matrix_of_its_own_is_used(tiny_gguf, gemma, written):
    tied = logits(load(read_gguf(gemma())), IDS)
    untied = written | {"output.weight": written["token_embd.weight"] * 2}
    path = tiny_gguf(untied, architecture="gemma3", metadata=METADATA)

    np.testing.assert_allclose(logits(load(read_gguf(path)), IDS), 2 * tied, rtol=1e-5, atol=1e-4)


def test_what_a_file_leaves_out_is_as_every_gemma_3_has_it(tiny_gguf, written):
    silent = {k: v for k, v in METADATA.items() if not k.endswith("pattern")}
    config = read_gguf(tiny_gguf(written, architecture="gemma3", metadata=silent)).config

    assert config["sliding_window_pattern"] == 6
    assert config["rope_local_base_freq"] == 10000.0
    assert config["query_pre_attn_scalar"] == config["head_dim"] == HEAD


def test_what_a_file_says_counts(gemma):
    assert config_of(GGUF(gemma(**{"rope.freq_base_swa": 5e4})))["rope_local_base_freq"] == 5e4
    assert config_of(GGUF(gemma(block_count=62)))["query_pre_attn_scalar"] == 256 // HEADS


def test_a_linear_rope_scaling_turns_the_global_blocks_only(gemma):
    path = gemma(**{"rope.scaling.type": "linear", "rope.scaling.factor": 8.0})
    blocks = load(read_gguf(path)).net["model"].layers
    scales = [block.self_attn.rope.scale for block in blocks]
    assert scales == [1.0, 1 / 8]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"final_logit_softcapping": 30.0}, r"final_logit_softcapping is 30\.0"),
        ({"attn_logit_softcapping": 50.0}, r"attn_logit_softcapping is 50\.0"),
        ({"attention.sliding_window": 0}, "sliding_window is 0; one positive number"),
    ],
)
def test_what_mlx_lms_gemma_3_cannot_do_is_refused(gemma, changed, message):
    with pytest.raises(BadInput, match=message):
        read_gguf(gemma(**changed))


@pytest.mark.parametrize("key", ["attention.sliding_window", "attention.key_length"])
def test_a_size_that_is_missing_is_named(tiny_gguf, written, key):
    silent = {k: v for k, v in METADATA.items() if k != f"gemma3.{key}"}
    with pytest.raises(BadInput, match=f"has no 'gemma3.{key}'"):
        read_gguf(tiny_gguf(written, architecture="gemma3", metadata=silent))


def test_the_five_contracts_hold_for_a_tiny_gemma(gemma):
    network, ids = load(read_gguf(gemma())), mx.array([IDS])
    found = proven(network.net, "tiny", discover(network.net, ids), {}, ids)

    assert len(found.contracts) == 5
    assert all(contract.ok for contract in found.contracts.values())


def test_gemma_3_270m_knows_the_capital_of_france():
    """On the real weights, which Gemma's terms keep out of this project.

    Set MLXTERP_GEMMA3_GGUF to the path of a Gemma 3 270M GGUF of your own, for example
    `gemma-3-270m-Q4_K_M.gguf`, SHA-256 a5fd3b62…6818, on which the numbers were seen.
    """
    path = os.environ.get(REAL_FILE)
    if not path:
        pytest.skip(f"set {REAL_FILE} to the path of a Gemma 3 270M GGUF of your own")
    model = read_gguf(path)
    tokens, network = Tokens.of(model.vocabulary), load(model)
    ids = tokens.encode("The capital of France is")
    assert ids == [2, 818, 5279, 529, 7001, 563]
    assert tokens.encode("a  b\n\n\nc", bos="off") == [
        tokens.single(piece) for piece in ("a", "  ", "b", "\n\n\n", "c")
    ]

    anatomy = discover(network.net, mx.array([ids]))
    site = Site("resid_post", 16)
    state = forward(network.net, anatomy, mx.array([ids]), [site]).sites[site]
    assert tokens.decode([int(mx.argmax(anatomy.unembed(state[0, -1])))]) == " Paris"
    best = np.argsort(-logits(network, ids)[-1])[:3]
    assert tokens.strings(best.tolist()) == [" the", " a", " Paris"]  # the last block hedges
    found = proven(network.net, "gemma3-270m", anatomy, {}, mx.array([ids]))
    assert all(contract.ok for contract in found.contracts.values())
