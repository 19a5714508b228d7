"""Results made by hand, whose exports can be written down beforehand."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mlxterp_engine.experiments import Array, Contract, Meta, ModelCard, Result
from mlxterp_tui.exports.naming import unrecorded
from mlxterp_tui.logbook import Stored

import msgspec
import numpy as np

NOON = datetime(2026, 11, 21, 12).timestamp()

CARD = ModelCard(
    reference="toy", architecture="llama", provenance="made by hand", sha256="ab" * 32, layers=1,
    heads=2, kv_heads=1, d_model=4, d_head=2, d_mlp=8, vocab_size=9, context=16, parameters=100,
    weight_bytes=400, quantisation="none", tied=True, adds_bos=False, has_chat_template=False,
    device="cpu", dtype="float32", sites=[], missing_sites={}, contracts={},
)  # fmt: skip


def result(
    experiment: dict[str, Any], arrays: dict[str, Any], tokens: list[str], **more: Any
) -> Result:
    """arrays: nested lists of floats or whole numbers. more: fields of the meta, `strings`."""
    strings = more.pop("strings", {})
    meta = Meta(
        experiment=experiment,
        model=CARD,
        tokens=[tokens],
        versions={"mlx": "1.2.3"},
        **({"seed": 0, "device": "cpu", "dtype": "float32", "load_s": 1.0, "elapsed_s": 0.25,
            "contracts": {}} | more),
    )  # fmt: skip
    return Result(meta=meta, arrays={n: array(v) for n, v in arrays.items()}, strings=strings)


def array(values: Any) -> Array:
    made = np.array(values)
    return Array.of(made.astype(np.int32 if made.dtype.kind == "i" else np.float32))


def tiny_lens(tokens: tuple[str, str] = ("a", "b"), top: tuple[str, str] = ("x", "y")) -> Result:
    """Two rows (the embeddings, one block), two positions, the two best tokens."""
    return result(
        {
            "name": "logit-lens",
            "model": "toy",
            "prompt": "".join(tokens).replace("\0", "0"),
            "top_k": 2,
        },
        {
            "token_ids": [5, 6],
            "layer": [-1, 0],
            "top_ids": [[[0, 1], [1, 0]], [[0, 1], [0, 1]]],
            "top_probs": [[[0.5, 0.25], [0.75, 0.125]], [[1.0, 0.0], [0.5, 0.5]]],
            "entropy": [[0.1, float("nan")], [0.0, 1.5]],
            "kl": [[2.0, 3.0], [0.0, 0.0]],
            "final_rank": [[0, 1], [0, 0]],
        },
        list(tokens),
        strings={"top_tokens": [[list(top), list(top)[::-1]], [list(top), list(top)]]},
        headline="it says x",
        figures={"entropy": 1.5},
        contracts={"lens_last_row": Contract(1e-6, 5e-4, True)},
    )


def stored(found: Result, **record: Any) -> Stored:
    """As the log would give it."""
    return Stored(msgspec.structs.replace(unrecorded(found, NOON), **record), found)
