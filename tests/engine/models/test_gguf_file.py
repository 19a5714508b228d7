"""A GGUF file becomes the mlx-lm model that it was made from."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.models.gguf_architectures import llama3_divisors
from mlxterp_engine.models.gguf_file import GGUFModel, halves, read_gguf
from mlxterp_engine.models.gguf_reader import GGUF

import mlx.core as mx
import numpy as np
import pytest
from gguf import GGUFReader
from gguf import quants as gguf_quants

PROMPT = "The capital of France is"
LLAMA3 = {
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def mlx_logits(model: GGUFModel, ids: list[int]) -> np.ndarray:
    """[pos, vocabulary], by mlx-lm's own model file."""
    from mlx_lm.utils import _get_classes

    network, args = _get_classes(model.config)
    net = network(args.from_dict(model.config))
    net.load_weights([(name, mx.array(values)) for name, values in model.weights()], strict=True)
    return np.array(net(mx.array([ids]))[0])


def interleaved_logits(path: Path, ids: list[int]) -> np.ndarray:
    """A Llama in NumPy on the file's own rows: RoPE turns neighbouring numbers, as ggml does."""
    reader = GGUFReader(path)
    stored = {t.name: gguf_quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}

    def number(key: str) -> float:
        return reader.fields[f"llama.{key}"].contents()

    heads, kv_heads = int(number("attention.head_count")), int(number("attention.head_count_kv"))
    eps, base = number("attention.layer_norm_rms_epsilon"), number("rope.freq_base")

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * stored[name]

    def turn(x: np.ndarray) -> np.ndarray:
        d = x.shape[-1]
        angles = np.outer(np.arange(x.shape[0]), base ** (-np.arange(0, d, 2) / d))[:, None]
        even, odd, out = x[..., ::2], x[..., 1::2], np.empty_like(x)
        out[..., ::2] = even * np.cos(angles) - odd * np.sin(angles)
        out[..., 1::2] = even * np.sin(angles) + odd * np.cos(angles)
        return out

    def split(x: np.ndarray, n: int) -> np.ndarray:
        return x.reshape(len(ids), n, -1)

    x = stored["token_embd.weight"][ids]
    for block in range(int(number("block_count"))):
        w = {part: stored[f"blk.{block}.{part}.weight"] for part in PARTS}
        h = norm(x, f"blk.{block}.attn_norm.weight")
        q = turn(split(h @ w["attn_q"].T, heads))
        k = turn(split(h @ w["attn_k"].T, kv_heads)).repeat(heads // kv_heads, 1)
        v = split(h @ w["attn_v"].T, kv_heads).repeat(heads // kv_heads, 1)
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(q.shape[-1])
        scores += np.triu(np.full(scores.shape[1:], -np.inf), 1)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        z = np.einsum("hqk,khd->qhd", weights, v).reshape(len(ids), -1)
        x = x + z @ w["attn_output"].T
        h = norm(x, f"blk.{block}.ffn_norm.weight")
        gate = h @ w["ffn_gate"].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w["ffn_up"].T)) @ w["ffn_down"].T
    unembed = stored.get("output.weight", stored["token_embd.weight"])
    return norm(x, "output_norm.weight") @ unembed.T


PARTS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


def test_halves_takes_neighbours_apart():
    assert halves(8, heads=2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_a_tiny_llama_computes_what_interleaved_rope_computes(tiny_gguf):
    path, ids = tiny_gguf(), [5, 90, 17, 17, 200, 3]
    expected = interleaved_logits(path, ids)

    found = mlx_logits(read_gguf(path), ids)

    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_rows_left_in_the_files_order_compute_something_else(tiny_gguf, monkeypatch):
    path, ids = tiny_gguf(), [5, 90, 17, 17, 200, 3]
    expected = interleaved_logits(path, ids)
    monkeypatch.setattr(GGUFModel, "_row_order", lambda *_: None)

    found = mlx_logits(read_gguf(path), ids)

    assert np.abs(found - expected).max() > 0.1 * np.abs(expected).max()


def test_the_default_model_knows_the_capital_of_france(default_model_file):
    model = read_gguf(default_model_file)
    ids = model.vocabulary.tokenizer.encode(PROMPT).ids
    assert ids == [504, 3575, 282, 4649, 314]

    found = mlx_logits(model, ids)

    assert model.vocabulary.tokenizer.decode([int(found[-1].argmax())]) == " Paris"
    expected = interleaved_logits(default_model_file, ids)
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_the_default_models_header_is_read(default_model_file):
    model = read_gguf(default_model_file)

    assert (model.quantisation, model.file_type) == ("Q4_1", "MOSTLY_Q4_1")
    assert (model.licence, model.parameters) == ("apache-2.0", 134_515_008)
    assert model.config["rms_norm_eps"] == 1e-5  # as written, not as float32 widens it
    assert model.config["tie_word_embeddings"] is True
    assert (model.vocabulary.bos_id, model.vocabulary.eos_ids) == (1, (2,))
    assert model.vocabulary.adds_bos is False


def test_an_output_matrix_of_its_own_unties(tiny_gguf, tensors):
    untied = tensors() | {"output.weight": tensors()["token_embd.weight"] * 2}
    model = read_gguf(tiny_gguf(untied))

    assert model.config["tie_word_embeddings"] is False
    assert "lm_head.weight" in dict(model.weights())


def test_qwen2_keeps_its_rows_and_its_biases(tiny_gguf, tensors):
    written = tensors(bias=True)
    model = read_gguf(tiny_gguf(written, architecture="qwen2"))
    read = dict(model.weights())

    np.testing.assert_array_equal(
        read["model.layers.1.self_attn.q_proj.weight"], written["blk.1.attn_q.weight"]
    )
    assert mlx_logits(model, [5, 90, 17]).shape == (3, 264)


def test_a_llama_with_biases_has_them_in_the_order_of_their_rows(tiny_gguf, tensors):
    written = tensors(bias=True)
    written |= {f"blk.{i}.attn_output.bias": np.zeros(256, np.float32) for i in range(2)}
    read = dict(read_gguf(tiny_gguf(written)).weights())

    q = read["model.layers.0.self_attn.q_proj.bias"]
    np.testing.assert_array_equal(q, written["blk.0.attn_q.bias"][halves(256, 4)])


def test_qwen3_has_norms_on_queries_and_keys(tiny_gguf, tensors):
    model = read_gguf(tiny_gguf(tensors(norms=True), architecture="qwen3"))

    assert "model.layers.0.self_attn.q_norm.weight" in dict(model.weights())
    assert mlx_logits(model, [5, 90, 17]).shape == (3, 264)


def test_llama3_frequencies_are_recognised(tiny_gguf, tensors):
    stored = llama3_divisors(LLAMA3, 10000.0, 64).astype(np.float32)
    model = read_gguf(tiny_gguf(tensors() | {"rope_freqs.weight": stored}))

    assert model.config["rope_scaling"] == LLAMA3 | {"rope_type": "llama3"}
    assert "rope_freqs.weight" not in dict(model.weights())


def test_llama3_divisors_are_one_for_short_waves_and_the_factor_for_long_ones():
    divisors = llama3_divisors(LLAMA3, 500000.0, 64)
    assert divisors[0] == 1
    assert divisors[-1] == 32
    assert np.all(np.diff(divisors) >= 0)


def test_other_frequencies_are_refused(tiny_gguf, tensors):
    stored = np.linspace(1, 32, 32, dtype=np.float32)
    with pytest.raises(BadInput, match="not Llama 3's frequencies"):
        read_gguf(tiny_gguf(tensors() | {"rope_freqs.weight": stored}))


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, None),
        (
            {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0},
            {"type": "linear", "factor": 4.0},
        ),
        (
            {
                "llama.rope.scaling.type": "yarn",
                "llama.rope.scaling.factor": 4.0,
                "llama.rope.scaling.original_context_length": 32768,
            },
            {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
        ),
    ],
)
def test_rope_scaling_is_taken_over(tiny_gguf, metadata, expected):
    assert read_gguf(tiny_gguf(metadata=metadata)).config["rope_scaling"] == expected


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"llama.rope.scaling.type": "longrope", "llama.rope.scaling.factor": 4.0}, "longrope"),
        ({"llama.rope.dimension_count": 32}, "rotates 32 of 64 dimensions"),
        ({"llama.expert_count": 8}, "mixture of experts"),
        ({"split.count": 3}, "is one of 3 parts of a model; join them"),
    ],
)
def test_what_mlx_lms_llama_cannot_do_is_refused(tiny_gguf, metadata, message):
    with pytest.raises(BadInput, match=message):
        read_gguf(tiny_gguf(metadata=metadata))


def test_an_architecture_that_is_not_read_names_those_that_are(tiny_gguf):
    with pytest.raises(BadInput, match=r"holds a 'mamba' model; .* llama, qwen2, qwen3"):
        read_gguf(tiny_gguf(architecture="mamba"))


def test_a_missing_tensor_is_named(tiny_gguf, tensors):
    written = tensors()
    del written["blk.1.ffn_up.weight"]
    with pytest.raises(BadInput, match=r"no tensor blk\.1\.ffn_up\.weight"):
        read_gguf(tiny_gguf(written))


def test_a_tensor_that_would_be_ignored_is_refused(tiny_gguf, tensors):
    extra = tensors() | {"blk.0.attn_q.scale": np.ones(1, np.float32)}
    with pytest.raises(BadInput, match=r"1 tensors that a llama model does not have"):
        read_gguf(tiny_gguf(extra))


def test_a_file_cut_at_any_place_is_refused_in_one_sentence(tiny_gguf):
    whole = tiny_gguf().read_bytes()
    cut = tiny_gguf.folder / "cut.gguf"
    for size in [4, 7, 8, 20, 23, *range(24, len(whole), 40_009), len(whole) - 1]:
        cut.write_bytes(whole[:size])
        with pytest.raises(BadInput, match="cut off or corrupt; fetch the file again") as refusal:
            read_gguf(cut)
        assert "\n" not in str(refusal.value)


def test_flipped_header_bytes_never_get_past_the_refusal(tiny_gguf):
    whole = bytearray(tiny_gguf().read_bytes())
    draw = np.random.default_rng(3)
    bad = tiny_gguf.folder / "bad.gguf"
    for _ in range(150):
        copy = bytearray(whole)
        for at in draw.integers(4, 9000, 4):
            copy[at] = int(draw.integers(0, 256))
        bad.write_bytes(copy)
        with contextlib.suppress(BadInput):  # a lucky flip may leave a readable file
            read_gguf(bad)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a GGUF file"),
        (b"PK\x03\x04 a zip", "is not a GGUF file"),
        (b"GGUF" + struct.pack("<I", 9) + bytes(64), "cut off or corrupt"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "no 'general.architecture'"),
    ],
)
def test_foreign_files_are_refused(tmp_path, content, message):
    path = tmp_path / "foreign.gguf"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message):
        read_gguf(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(BadInput, match="there is no file"):
        read_gguf(tmp_path / "none.gguf")
    with pytest.raises(BadInput, match="cannot be read"):
        read_gguf(tmp_path)


def test_metadata_reads_as_the_package_reads_it(default_model_file):
    fast, slow = GGUF(default_model_file), GGUFReader(default_model_file)
    for key in ("tokenizer.ggml.merges", "tokenizer.ggml.token_type", "general.languages"):
        assert fast.get(key)[:2000] == slow.fields[key].contents(slice(0, 2000))
    assert fast.get("tokenizer.ggml.tokens") == slow.fields["tokenizer.ggml.tokens"].contents()
