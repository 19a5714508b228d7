"""The GGUF architectures that are read, as a table, and their metadata as an mlx-lm config."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.models.gguf_reader import GGUF

import numpy as np
from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, get_tensor_name_map

Config = dict[str, Any]

ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
MLP = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
PRE_NORMS = ("input_layernorm", "post_attention_layernorm")
POST_NORMS = ("post_attention_layernorm", "post_feedforward_layernorm")
QK_NORMS = ("self_attn.q_norm", "self_attn.k_norm")
SANDWICH_NORMS = ("pre_feedforward_layernorm", "post_feedforward_layernorm")


@dataclass(frozen=True)
class Architecture:
    """How one `general.architecture` lies in a file and what mlx-lm calls it.

    interleaved: q and k rows are stored for RoPE over neighbouring pairs, and have to be put
    back in two halves. norms_plus_one: the file holds RMSNorm's factor 1 + weight, mlx-lm the
    weight. block: the modules of a block. extra: config keys of its own.
    """

    model_type: str
    interleaved: bool
    norms_plus_one: bool = False
    block: tuple[str, ...] = ATTENTION + MLP + PRE_NORMS
    extra: Callable[[GGUF, str], Config] = lambda file, prefix: {}


def _granite(file: GGUF, prefix: str) -> Config:
    keys = {
        "embedding_multiplier": "embedding_scale",
        "residual_multiplier": "residual_scale",
        "attention_multiplier": "attention.scale",
        "logits_scaling": "logit_scale",
    }
    return {ours: required(file, f"{prefix}.{theirs}") for ours, theirs in keys.items()}


def _gemma3(file: GGUF, prefix: str) -> Config:
    """Gemma 3 (arXiv:2503.19786). What the files leave out stands here as llama.cpp has it."""
    for key in ("attn_logit_softcapping", "final_logit_softcapping"):
        if cap := file.get(f"{prefix}.{key}"):
            raise BadInput(f"{file.path}: {prefix}.{key} is {cap}; mlx-lm's Gemma 3 caps nothing")
    return {
        "rope_theta": float(required(file, f"{prefix}.rope.freq_base")),
        "rope_local_base_freq": float(file.get(f"{prefix}.rope.freq_base_swa", 10000.0)),
        "sliding_window": _number(file, f"{prefix}.attention.sliding_window"),
        "sliding_window_pattern": _number(file, f"{prefix}.attention.sliding_window_pattern", 6),
        "query_pre_attn_scalar": _gemma3_query_scalar(file, prefix),
    }


def _gemma3_query_scalar(file: GGUF, prefix: str) -> int:
    """Scores are divided by its root: d_head, but d_model / heads in the 27B, whose 62 blocks
    are the only sign of it in a file."""
    if _number(file, f"{prefix}.block_count") != 62:
        return _number(file, f"{prefix}.attention.key_length")
    width = _number(file, f"{prefix}.embedding_length")
    return width // _number(file, f"{prefix}.attention.head_count")


ARCHITECTURES: dict[str, Architecture] = {
    "llama": Architecture("llama", interleaved=True),
    "qwen2": Architecture("qwen2", interleaved=False),
    "qwen3": Architecture("qwen3", interleaved=False, block=ATTENTION + MLP + PRE_NORMS + QK_NORMS),
    "olmo2": Architecture(
        "olmo2", interleaved=False, block=ATTENTION + MLP + POST_NORMS + QK_NORMS
    ),
    "granite": Architecture("granite", interleaved=True, extra=_granite),
    "smollm3": Architecture("smollm3", interleaved=True),
    "gemma3": Architecture(
        "gemma3_text",
        interleaved=False,
        norms_plus_one=True,
        block=ATTENTION + MLP + PRE_NORMS + SANDWICH_NORMS + QK_NORMS,
        extra=_gemma3,
    ),
}


def architecture_of(file: GGUF) -> tuple[str, Architecture]:
    parts = file.get("split.count", 1)
    if parts > 1:
        raise BadInput(
            f"{file.path} is one of {parts} parts of a model; join them with llama.cpp's "
            "`llama-gguf-split --merge`"
        )
    name = required(file, "general.architecture")
    if name not in ARCHITECTURES:
        raise BadInput(
            f"{file.path} holds a {name!r} model; GGUF files are read for: "
            f"{', '.join(ARCHITECTURES)}; open the same model as an mlx-lm folder"
        )
    if file.get(f"{name}.expert_count", 0):
        raise BadInput(f"{file.path} is a mixture of experts; open it as an mlx-lm folder")
    return name, ARCHITECTURES[name]


def required(file: GGUF, key: str) -> Any:
    value = file.get(key)
    if value is None:
        raise BadInput(f"{file.path} has no {key!r}; convert it again with a current llama.cpp")
    return value


def config_of(file: GGUF) -> Config:
    """The file's metadata under the keys of mlx-lm's ModelArgs."""
    name, architecture = architecture_of(file)
    heads = _number(file, f"{name}.attention.head_count")
    width = _number(file, f"{name}.embedding_length")
    config: Config = {
        "model_type": architecture.model_type,
        "hidden_size": width,
        "num_hidden_layers": _number(file, f"{name}.block_count"),
        "intermediate_size": _number(file, f"{name}.feed_forward_length"),
        "num_attention_heads": heads,
        "num_key_value_heads": _number(file, f"{name}.attention.head_count_kv", heads),
        "head_dim": _number(file, f"{name}.attention.key_length", width // heads),
        "rms_norm_eps": required(file, f"{name}.attention.layer_norm_rms_epsilon"),
        "vocab_size": _vocabulary(file),
        "max_position_embeddings": _number(file, f"{name}.context_length"),
        "rope_theta": float(file.get(f"{name}.rope.freq_base", 10000.0)),
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "attention_bias": "blk.0.attn_q.bias" in file.tensors,
        "mlp_bias": "blk.0.ffn_up.bias" in file.tensors,
    }
    if config["head_dim"] * heads != width and architecture.model_type in ("qwen2", "granite"):
        raise BadInput(f"{file.path}: heads of {config['head_dim']} do not fit a {name} model")
    _check_whole_rotation(file, name, config["head_dim"])
    scaling = _rope_scaling(file, name, config)
    return config | {"rope_scaling": scaling} | architecture.extra(file, name)


def tensor_names(file: GGUF) -> dict[str, str]:
    """mlx-lm's parameter names -> the file's tensors. Refuses both gaps and left-overs."""
    name, architecture = architecture_of(file)
    blocks = _number(file, f"{name}.block_count")
    kind = next(kind for kind in MODEL_ARCH if MODEL_ARCH_NAMES[kind] == name)
    table = get_tensor_name_map(kind, blocks)
    found: dict[str, str] = {}
    for module in _modules(architecture, blocks):
        stem = table.get_name(module)
        for suffix in ("weight", "bias"):
            if f"{stem}.{suffix}" in file.tensors:
                found[f"{module}.{suffix}"] = f"{stem}.{suffix}"
        if f"{module}.weight" not in found and module != "lm_head":
            raise BadInput(f"{file.path} has no tensor {stem}.weight; fetch the file again")
    unknown = set(file.tensors) - set(found.values()) - {"rope_freqs.weight"}
    if unknown:
        raise BadInput(
            f"{file.path} has {len(unknown)} tensors that a {name} model does not have, "
            f"e.g. {min(unknown)}; open the model as an mlx-lm folder"
        )
    return found


def _modules(architecture: Architecture, blocks: int) -> Iterator[str]:
    yield "model.embed_tokens"
    for block in range(blocks):
        yield from (f"model.layers.{block}.{module}" for module in architecture.block)
    yield from ("model.norm", "lm_head")


def _number(file: GGUF, key: str, default: int | None = None) -> int:
    value = required(file, key) if default is None else file.get(key, default)
    if not isinstance(value, int) or value < 1:
        raise BadInput(f"{file.path}: {key} is {value!r}; one positive number is read")
    return value


def _vocabulary(file: GGUF) -> int:
    if "token_embd.weight" not in file.tensors:
        raise BadInput(f"{file.path} has no tensor token_embd.weight; fetch the file again")
    return file.shape("token_embd.weight")[0]


def _check_whole_rotation(file: GGUF, name: str, head_dim: int) -> None:
    turned = file.get(f"{name}.rope.dimension_count", head_dim)
    if turned != head_dim:
        raise BadInput(
            f"{file.path} rotates {turned} of {head_dim} dimensions of a head, which mlx-lm's "
            f"{name} does not do; open the model as an mlx-lm folder"
        )


def _rope_scaling(file: GGUF, name: str, config: Config) -> Config | None:
    if "rope_freqs.weight" in file.tensors:
        return _llama3_scaling(file, config)
    kind = file.get(f"{name}.rope.scaling.type", "none")
    if kind == "none":
        return None
    factor = float(required(file, f"{name}.rope.scaling.factor"))
    if kind == "linear":
        return {"type": "linear", "factor": factor}
    if kind == "yarn":
        original = _number(file, f"{name}.rope.scaling.original_context_length")
        return {"type": "yarn", "factor": factor, "original_max_position_embeddings": original}
    raise BadInput(f"{file.path}: rope scaling {kind!r} is not read; there are: linear, yarn")


def _llama3_scaling(file: GGUF, config: Config) -> Config:
    """The file holds Llama 3's frequency divisors only; find the parameters behind them."""
    stored = file.read("rope_freqs.weight")
    scaling = {
        "rope_type": "llama3",
        "factor": float(stored.max()),
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    expected = llama3_divisors(scaling, config["rope_theta"], config["head_dim"])
    if expected.shape != stored.shape or not np.allclose(expected, stored, rtol=1e-3, atol=0):
        raise BadInput(
            f"{file.path}: rope_freqs.weight are not Llama 3's frequencies; "
            "open the model as an mlx-lm folder"
        )
    return scaling


def llama3_divisors(scaling: Config, theta: float, head_dim: int) -> np.ndarray:
    """What each RoPE frequency is divided by: 1 for short waves, `factor` for long ones.

    [head_dim / 2], float64. Between the two, a linear blend of the frequencies.
    """
    waves = 2 * np.pi * theta ** (np.arange(0, head_dim, 2) / head_dim)
    original, factor = scaling["original_max_position_embeddings"], scaling["factor"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    smooth = np.clip((original / waves - low) / (high - low), 0, 1)
    return 1 / ((1 - smooth) / factor + smooth)
