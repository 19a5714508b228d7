"""Stored blocks become exactly the numbers that ggml's format says."""

from __future__ import annotations

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.models.gguf_file import read_gguf
from mlxterp_engine.models.gguf_reader import dequantise

import numpy as np
import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf import quants as gguf_quants

Types = GGMLQuantizationType
READABLE = [kind for kind in Types if hasattr(gguf_quants, kind.name)]
WRITABLE = [Types.F16, Types.BF16, Types.Q4_0, Types.Q4_1, Types.Q5_0, Types.Q5_1, Types.Q8_0]


def half(data: bytes) -> float:
    return float(np.frombuffer(data, np.float16)[0])


def q4_0(block: bytes) -> list[float]:
    scale, nibbles = half(block[:2]), block[2:]
    low, high = [byte & 15 for byte in nibbles], [byte >> 4 for byte in nibbles]
    return [scale * (q - 8) for q in low + high]


def q4_1(block: bytes) -> list[float]:
    scale, least, nibbles = half(block[:2]), half(block[2:4]), block[4:]
    low, high = [byte & 15 for byte in nibbles], [byte >> 4 for byte in nibbles]
    return [scale * q + least for q in low + high]


def q8_0(block: bytes) -> list[float]:
    return [half(block[:2]) * q for q in np.frombuffer(block[2:], np.int8).tolist()]


def q4_k(block: bytes) -> list[float]:
    """256 numbers: 8 sub-blocks of 32, each with a 6-bit scale and a 6-bit minimum."""
    scale, least, packed, nibbles = half(block[:2]), half(block[2:4]), block[4:16], block[16:]
    values = []
    for pair in range(4):
        chunk = nibbles[32 * pair : 32 * pair + 32]
        for which, shift in ((2 * pair, 0), (2 * pair + 1, 4)):
            s, m = six_bits(packed, which)
            values += [scale * s * (byte >> shift & 15) - least * m for byte in chunk]
    return values


def six_bits(packed: bytes, j: int) -> tuple[int, int]:
    if j < 4:
        return packed[j] & 63, packed[j + 4] & 63
    high = packed[j - 4] >> 6, packed[j] >> 6
    return packed[j + 4] & 15 | high[0] << 4, packed[j + 4] >> 4 | high[1] << 4


def q6_k(block: bytes) -> list[float]:
    """256 numbers: 16 sub-blocks of 16 with an 8-bit scale; 4 low bits and 2 high ones apart."""
    low, high, scales = block[:128], block[128:192], np.frombuffer(block[192:208], np.int8)
    values = [0.0] * 256
    for half_block in (0, 1):
        for i in range(32):
            a, b = low[64 * half_block + i], low[64 * half_block + 32 + i]
            h = high[32 * half_block + i]
            parts = (a & 15, b & 15, a >> 4, b >> 4)
            for quarter, part in enumerate(parts):
                q = (part | (h >> 2 * quarter & 3) << 4) - 32
                at = 128 * half_block + 32 * quarter + i
                values[at] = half(block[208:]) * int(scales[at // 16]) * q
    return values


def random_rows(kind: Types, rows: int, blocks: int) -> np.ndarray:
    """Random bytes with tame half-float scales, as rows of `blocks` blocks."""
    size = GGML_QUANT_SIZES[kind][1]
    stored = np.random.default_rng(7).integers(0, 256, (rows, blocks, size), dtype=np.uint8)
    tame = np.array([0.03125], np.float16).view(np.uint8)
    for at in {0, min(2, size - 2), size - 2}:
        stored[..., at : at + 2] = tame
    return stored.reshape(rows, -1)


@pytest.mark.parametrize(
    ("kind", "by_hand"),
    [
        (Types.Q4_0, q4_0),
        (Types.Q4_1, q4_1),
        (Types.Q8_0, q8_0),
        (Types.Q4_K, q4_k),
        (Types.Q6_K, q6_k),
    ],
)
def test_blocks_read_as_worked_out_by_hand(kind, by_hand):
    stored = random_rows(kind, rows=3, blocks=2)
    size = GGML_QUANT_SIZES[kind][1]
    expected = [by_hand(bytes(block)) for block in stored.reshape(-1, size)]

    found = dequantise(stored, kind)

    np.testing.assert_allclose(found.reshape(len(expected), -1), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", READABLE, ids=lambda kind: kind.name)
def test_reading_in_chunks_is_reading_at_once(kind, monkeypatch):
    stored = random_rows(kind, rows=11, blocks=2)
    monkeypatch.setattr("mlxterp_engine.models.gguf_reader.CHUNK", stored.shape[1] * 3)

    np.testing.assert_array_equal(dequantise(stored, kind), gguf_quants.dequantize(stored, kind))


@pytest.mark.parametrize("kind", WRITABLE, ids=lambda kind: kind.name)
def test_a_file_of_each_type_gives_back_nearly_what_was_written(kind, tiny_gguf, tensors):
    written = tensors()
    model = read_gguf(tiny_gguf(written, kind=kind))
    read = dict(model.weights())

    assert model.quantisation == kind.name
    expected = written["blk.1.ffn_down.weight"]
    step = np.abs(expected).max() * {"F16": 2e-3, "BF16": 8e-3, "Q8_0": 0.01}.get(kind.name, 0.16)
    found = read["model.layers.1.mlp.down_proj.weight"]
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected).max() < step


def test_a_type_without_a_reader_is_refused():
    with pytest.raises(BadInput, match="Q8_1 cannot be read; convert the file to Q8_0"):
        dequantise(np.zeros((1, 36), np.uint8), Types.Q8_1)
