"""Where transformers keeps what our sites show, a row an architecture.

Read from its modeling files; nothing here knows mlx-lm's modules or our anatomy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.architectures.sizes import BY_TYPE, LAYERS, OWN, ROPE

Weights = dict[str, Any]  # by name, torch tensors


@dataclass(frozen=True)
class Family:
    """One architecture: its configuration, and paths inside a block of transformers.

    config: over SIZES. beside: for mlx-lm's reading of config.json, where the two name things
    differently. attn_out, mlp_out: whose output, `times` a multiplier, the stream receives.
    neurons, middle: whose input is mlp.post, resid_mid. norm: the final one. "a or b": the one
    that a block has; "": none shows it. stored: the weights under the names that mlx-lm reads.
    unlike: kinds that the two compute apart, not compared.
    """

    config: dict[str, Any] = field(default_factory=dict)
    beside: dict[str, Any] = field(default_factory=dict)
    attn_out: str = "self_attn"
    mlp_out: str = "mlp"
    neurons: str = "mlp.down_proj"
    middle: str = "post_attention_layernorm"
    norm: str = "norm"
    times: float = 1.0
    stored: Callable[[Weights], Weights] = dict
    unlike: frozenset[str] = frozenset()


# mlx-lm's files of some know no sliding window, or a window in every block.
FULL = {"layer_types": ["full_attention"] * LAYERS}
TIED = {"tie_word_embeddings": True}
TANH = {"hidden_activation": "gelu_pytorch_tanh", "hidden_act": "gelu_pytorch_tanh"}
RECURRENT = {"layer_types": ["linear_attention", "full_attention"] * (LAYERS // 2)}
CONVOLVED = {"layer_types": ["conv", "full_attention"] * (LAYERS // 2)}
MAMBAS = {"layer_types": ["mamba", "attention"] * (LAYERS // 2)}
PARTIAL = {"rope_parameters": ROPE | {"partial_rotary_factor": 0.5}}
WIDE = {"sliding_window": 64}  # longer than the text
HALF = {"partial_rotary_factor": 0.5}
LATENT = FULL | {"head_dim": 4, "num_key_value_heads": 4}
POST_NORMS: dict[str, Any] = {
    "attn_out": "post_attention_layernorm",
    "mlp_out": "post_feedforward_layernorm",
}
SANDWICH: dict[str, Any] = POST_NORMS | {"middle": "pre_feedforward_layernorm"}
# Gemma 2's softmax is written out in mlx-lm's file and shows neither; of latent attention its
# kernel gets the part without rotation alone, or the parts in another order.
UNLIKE = frozenset({"attn.q", "attn.k"})
GPT2: dict[str, Any] = {
    "attn_out": "attn",
    "neurons": "mlp.c_proj",
    "middle": "ln_2",
    "norm": "ln_f",
}
LFM: dict[str, Any] = {
    "attn_out": "conv or self_attn",
    "mlp_out": "feed_forward",
    "neurons": "feed_forward.w2",
    "middle": "ffn_norm",
    "norm": "embedding_norm",
}
MAMBA: dict[str, Any] = {
    "attn_out": "mixer",
    "mlp_out": "",
    "neurons": "",
    "middle": "",
    "norm": "norm_f",
}


def _without_prefix(weights: Weights) -> Weights:
    """As in OpenAI's own file of GPT-2."""
    return {name.removeprefix("transformer."): weight for name, weight in weights.items()}


def _experts_apart(weights: Weights) -> Weights:
    """gpt-oss: transformers has [expert, in, out], out = gate and up in turns; mlx-lm apart."""
    found: Weights = {}
    for name, weight in weights.items():
        if ".experts." not in name:
            found[name] = weight
        elif name.endswith("_bias"):
            found |= _gate_and_up(name.removesuffix("_bias"), "bias", weight)
        else:
            found |= _gate_and_up(name, "weight", weight.mT)
    return found


def _gate_and_up(name: str, kind: str, rows: Any) -> Weights:
    """rows: [expert, out, ...]."""
    if not name.endswith("gate_up_proj"):
        return {f"{name}.{kind}": rows.contiguous()}
    return {
        f"{name.replace('gate_up', part)}.{kind}": rows[:, first::2].contiguous()
        for first, part in enumerate(("gate", "up"))
    }


FAMILIES: dict[str, Family] = {
    "afmoe": Family(
        attn_out="post_attention_layernorm",
        mlp_out="post_mlp_layernorm",
        middle="pre_mlp_layernorm",
    ),
    "apertus": Family(
        FULL | {"hidden_act": "xielu"},
        {"mlp_bias": False, "post_norm": False, "qk_norm": True},
        middle="feedforward_layernorm",
    ),
    "cohere": Family(TIED, middle=""),
    "cohere2": Family(TIED, {"sliding_window_pattern": 2}, middle=""),
    "dbrx": Family(
        OWN["dbrx"],
        attn_out="norm_attn_norm.attn",
        mlp_out="ffn",
        neurons="",
        middle="norm_attn_norm.norm_2",
        norm="norm_f",
    ),
    "deepseek_v2": Family(
        LATENT | {"topk_method": "greedy"},
        {"rope_scaling": {"type": "yarn", "factor": 1.0, "original_max_position_embeddings": 64}},
    ),
    "deepseek_v3": Family(LATENT, unlike=UNLIKE),
    "dots1": Family(FULL),
    "ernie4_5": Family(),
    "exaone4": Family(
        {}, {"head_dim": 8, "sliding_window_pattern": "LG"}, **POST_NORMS, middle="mlp"
    ),
    "exaone_moe": Family(
        {"mlp_layer_types": ["dense", "sparse"] * 2},
        {"head_dim": 8, "is_moe_layer": [False, True] * 2},
    ),
    "falcon_h1": Family(
        {
            "layer_types": None,
            "attention_out_multiplier": 0.7,
            "ssm_in_multiplier": 1.2,
            "ssm_out_multiplier": 0.6,
            "lm_head_multiplier": 0.5,
            "mlp_multipliers": [0.9, 0.6],
        },
        mlp_out="feed_forward",
        attn_out="",
        neurons="feed_forward.down_proj",
        middle="pre_ff_layernorm",
        norm="final_layernorm",
    ),
    "gemma": Family(TIED | {"hidden_act": "gelu_python"}),
    "gemma2": Family(TIED | TANH | FULL, **SANDWICH, unlike=UNLIKE),
    "gemma3_text": Family(
        TIED
        | TANH
        | {"hidden_size": 64, "rope_parameters": BY_TYPE, "final_logit_softcapping": None},
        {"sliding_window_pattern": 2},
        **SANDWICH,
    ),
    "gemma4_text": Family(
        TIED | TANH | {"rope_parameters": BY_TYPE}, **(SANDWICH | {"mlp_out": ""})
    ),
    "glm": Family({"rope_parameters": ROPE | {"partial_rotary_factor": 1.0}}),
    "glm4": Family(
        PARTIAL, HALF, attn_out="post_self_attn_layernorm", mlp_out="post_mlp_layernorm"
    ),
    "glm4_moe": Family(PARTIAL, HALF),
    "glm4_moe_lite": Family(LATENT | {"rms_norm_eps": 1e-6}, unlike=UNLIKE),
    "gpt2": Family(TIED | {"n_inner": 128}, {"n_ctx": 64}, **GPT2, stored=_without_prefix),
    "gpt_bigcode": Family(TIED | {"activation_function": "gelu"}, **GPT2),
    "gpt_neox": Family(
        {"attention_bias": True, "intermediate_size": 128, "hidden_act": "gelu_new"},
        {"rotary_emb_base": 10000, "rotary_pct": 0.25},
        attn_out="attention.dense",
        neurons="mlp.dense_4h_to_h",
        middle="",
        norm="final_layer_norm",
    ),
    "gpt_oss": Family({"attention_bias": True}, stored=_experts_apart, neurons=""),
    "gptj": Family({"n_inner": 128}, attn_out="attn", neurons="mlp.fc_out", middle="", norm="ln_f"),
    "granite": Family(times=0.4),
    "granitemoe": Family(mlp_out="block_sparse_moe", neurons="", times=0.4),
    "granitemoehybrid": Family(
        MAMBAS | {"mamba_n_heads": 8},
        MAMBAS | {"position_embedding_type": "nope"},
        attn_out="mamba or self_attn",
        mlp_out="",
        neurons="",
        times=0.4,
    ),
    "helium": Family(),
    "hunyuan_v1_dense": Family(),
    "jamba": Family(
        {
            "attn_layer_offset": 1,
            "attn_layer_period": 2,
            "expert_layer_offset": 0,
            "expert_layer_period": 2,
            "num_experts_per_tok": 4,
        },
        attn_out="mamba or self_attn",
        mlp_out="feed_forward",
        neurons="feed_forward.down_proj",
        middle="pre_ff_layernorm",
        norm="final_layernorm",
    ),
    "laguna": Family({"rope_parameters": BY_TYPE}),
    "lfm2": Family(TIED | CONVOLVED, {"block_dim": 32}, **LFM),
    "lfm2_moe": Family(TIED | CONVOLVED, **LFM),
    "llama": Family(),
    "mamba": Family(**MAMBA),
    "mamba2": Family({"num_heads": 8}, {"intermediate_size": 64}, **MAMBA),
    "mellum": Family({"rope_parameters": BY_TYPE}, {"num_experts": 4}, neurons=""),
    "ministral3": Family(
        WIDE
        | {
            "rope_parameters": ROPE
            | {"llama_4_scaling_beta": 0.1, "original_max_position_embeddings": 8}
        }
    ),
    "minicpm3": Family(LATENT | {"v_head_dim": 8}, OWN["minicpm3"], times=0.7),
    "mistral": Family(WIDE),
    "mixtral": Family(WIDE, neurons=""),
    "nemotron": Family(PARTIAL | {"hidden_act": "relu2"}, HALF),
    "nemotron_h": Family(
        {
            "layer_types": None,
            "layers_block_type": ["linear_attention", "mlp", "full_attention", "moe"],
            "use_bias": False,
        },
        attn_out="",
        mlp_out="",
        neurons="",
        middle="",
        norm="norm_f",
    ),
    "olmo2": Family(**POST_NORMS, middle="mlp"),
    "olmo3": Family({"rope_parameters": BY_TYPE}, **POST_NORMS, middle="mlp"),
    "olmoe": Family(neurons=""),
    "phi": Family(
        PARTIAL | {"hidden_act": "gelu_new"},
        HALF,
        neurons="mlp.fc2",
        attn_out="self_attn",
        middle="",
        norm="final_layernorm",
    ),
    "phi3": Family(PARTIAL | WIDE, HALF),
    "phimoe": Family(FULL | WIDE | {"attention_bias": True, "lm_head_bias": True}, neurons=""),
    "qwen2": Family(FULL),
    "qwen2_moe": Family(FULL | {"mlp_only_layers": [], "norm_topk_prob": False}, neurons=""),
    "qwen3": Family(FULL),
    "qwen3_moe": Family(WIDE, {"num_experts": 4, "head_dim": 8}),
    "qwen3_next": Family(
        RECURRENT | PARTIAL,
        HALF | {"full_attention_interval": 2},
        attn_out="linear_attn or self_attn",
    ),
    "qwen3_5_text": Family(
        RECURRENT | PARTIAL,
        {"model_type": "qwen3_5", "full_attention_interval": 2},
        attn_out="linear_attn or self_attn",
    ),
    "recurrent_gemma": Family(
        TIED
        | TANH
        | PARTIAL
        | {
            "hidden_size": 64,
            "layer_types": None,
            "num_key_value_heads": 1,
            "block_types": ["recurrent", "attention"],
        },
        attn_out="temporal_block",
        mlp_out="mlp_block",
        neurons="mlp_block.down_proj",
        middle="channel_pre_norm",
        norm="final_norm",
    ),
    "seed_oss": Family(),
    "smollm3": Family(),
    "stablelm": Family(PARTIAL, HALF),
    "starcoder2": Family(WIDE | {"hidden_act": "gelu"}, neurons="mlp.c_proj"),
    "youtu": Family(LATENT | {"rms_norm_eps": 1e-6}, {"model_type": "youtu_llm"}, unlike=UNLIKE),
}
