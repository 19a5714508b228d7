"""Tiny GGUF files, written with the package's own writer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter
from gguf import quants as gguf_quants

WIDTH, HEADS, KV_HEADS, INNER, BLOCKS = 256, 4, 2, 512, 2
LETTERS = [chr(c) for c in (*range(33, 127), *range(161, 173), *range(174, 256))]
LETTERS += [chr(256 + i) for i in range(256 - len(LETTERS))]
MERGES = ["t h", "th e", "Ġ the", "Ġ a", "1 2", "a b"]
BYTE_LEVEL = ["<|end|>", "<|start|>", *LETTERS, *(m.replace(" ", "") for m in MERGES)]

Types = GGMLQuantizationType


def shapes(
    bias: bool = False, norms: bool = False, post_norms: bool = False, head: int = WIDTH // HEADS
) -> dict[str, tuple[int, ...]]:
    """The tensors of a tiny Llama by GGUF's names. head: d_head."""
    block = {
        "attn_norm.weight": (WIDTH,),
        "ffn_norm.weight": (WIDTH,),
        "attn_q.weight": (HEADS * head, WIDTH),
        "attn_k.weight": (KV_HEADS * head, WIDTH),
        "attn_v.weight": (KV_HEADS * head, WIDTH),
        "attn_output.weight": (WIDTH, HEADS * head),
        "ffn_gate.weight": (INNER, WIDTH),
        "ffn_up.weight": (INNER, WIDTH),
        "ffn_down.weight": (WIDTH, INNER),
    }
    if bias:
        block |= {"attn_q.bias": (HEADS * head,)} | {
            f"attn_{x}.bias": (KV_HEADS * head,) for x in ("k", "v")
        }
    if norms:
        block |= {"attn_q_norm.weight": (head,), "attn_k_norm.weight": (head,)}
    if post_norms:
        block |= {"post_attention_norm.weight": (WIDTH,), "post_ffw_norm.weight": (WIDTH,)}
    blocks = {f"blk.{i}.{name}": shape for i in range(BLOCKS) for name, shape in block.items()}
    ends = {"token_embd.weight": (len(BYTE_LEVEL), WIDTH), "output_norm.weight": (WIDTH,)}
    return ends | blocks


def random_tensors(seed: int = 0, **variant: Any) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {
        name: (draw.normal(size=shape) / 8 + (len(shape) == 1)).astype(np.float32)
        for name, shape in shapes(**variant).items()
    }


class TinyGGUF:
    """Write a tiny model; every part can be replaced."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self,
        tensors: dict[str, np.ndarray] | None = None,
        architecture: str = "llama",
        kind: Types = Types.F32,
        tokenizer: Callable[[GGUFWriter], None] | None = None,
        metadata: dict[str, Any] | None = None,
        name: str = "tiny.gguf",
    ) -> Path:
        path = self.folder / name
        writer = GGUFWriter(path, architecture)
        self._sizes(writer)
        (tokenizer or byte_level_tokenizer())(writer)
        for key, value in (metadata or {}).items():
            add = {str: writer.add_string, float: writer.add_float32, int: writer.add_uint32}
            add[type(value)](key, value)
        for tensor, values in (tensors or random_tensors()).items():
            whole = values.ndim == 1 or kind is Types.F32
            if whole:
                writer.add_tensor(tensor, values)
            else:
                writer.add_tensor(tensor, gguf_quants.quantize(values, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def _sizes(self, writer: GGUFWriter) -> None:
        writer.add_block_count(BLOCKS)
        writer.add_context_length(64)
        writer.add_embedding_length(WIDTH)
        writer.add_feed_forward_length(INNER)
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(KV_HEADS)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_freq_base(10000.0)


def byte_level_tokenizer(
    pre: str | None = "gpt-2", adds_bos: bool | None = False
) -> Callable[[GGUFWriter], None]:
    def add(writer: GGUFWriter) -> None:
        writer.add_tokenizer_model("gpt2")
        if pre is not None:
            writer.add_tokenizer_pre(pre)
        writer.add_token_list(BYTE_LEVEL)
        writer.add_token_types([3, 3] + [1] * (len(BYTE_LEVEL) - 2))
        writer.add_token_merges(MERGES)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(0)
        if adds_bos is not None:
            writer.add_add_bos_token(adds_bos)

    return add


@pytest.fixture
def tiny_gguf(tmp_path: Path) -> TinyGGUF:
    return TinyGGUF(tmp_path)


@pytest.fixture
def byte_level() -> Callable[..., Callable[[GGUFWriter], None]]:
    return byte_level_tokenizer


@pytest.fixture
def tensors() -> Callable[..., dict[str, np.ndarray]]:
    return random_tensors
