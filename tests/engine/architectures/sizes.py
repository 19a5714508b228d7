"""A tiny configuration for every architecture of the installed mlx-lm.

`SIZES` holds one set of sizes under all the names that model files use for them;
`ModelArgs.from_dict` picks what it knows. `OWN` holds what an architecture wants besides, or
wants otherwise: mixtures of both kinds of layer, windows shorter than the text, multipliers
that are not 1.
"""

from __future__ import annotations

from typing import Any

LAYERS = 4
VOCABULARY = 96
SLIDING = ["sliding_attention", "full_attention"] * (LAYERS // 2)
ROPE = {"rope_type": "default", "rope_theta": 10000.0}

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "num_vocab": VOCABULARY,
    "max_position_embeddings": 64,
    "n_positions": 64,
    "n_ctx": 64,
    "block_size": 64,
    "model_max_length": 64,
    # width and depth
    "hidden_size": 32,
    "hidden_dim": 32,
    "d_model": 32,
    "model_dim": 32,
    "n_embd": 32,
    "block_dim": 32,
    "num_hidden_layers": LAYERS,
    "num_layers": LAYERS,
    "num_transformer_layers": LAYERS,
    "n_layers": LAYERS,
    "n_layer": LAYERS,
    # heads
    "num_attention_heads": 4,
    "num_heads": 4,
    "num_query_heads": 4,
    "n_heads": 4,
    "n_head": 4,
    "num_key_value_heads": 2,
    "num_kv_heads": 2,
    "n_kv_heads": 2,
    "num_attention_groups": 2,
    "head_dim": 8,
    "kv_channels": 8,
    "hidden_size_per_head": 8,
    "global_head_dim": 8,
    "rotary_dim": 4,
    "partial_rotary_factor": 0.5,
    "rotary_pct": 0.5,
    "sliding_window": 5,
    "sliding_window_size": 5,
    "window_size": 5,
    "attention_window_size": 5,
    "layer_types": SLIDING,
    # multi-head latent attention
    "q_lora_rank": 16,
    "kv_lora_rank": 12,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
    # MLP and experts
    "intermediate_size": 48,
    "dense_intermediate_size": 48,
    "ffn_hidden_size": 48,
    "n_inner": 48,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "num_experts_per_tok": 2,
    "num_experts_per_token": 2,
    "moe_topk": 2,
    "moe_top_k": 2,
    "moe_k": 2,
    "n_shared_experts": 1,
    "num_shared_experts": 1,
    "num_shared_expert": 1,
    "moe_intermediate_size": 24,
    "moe_hidden_size": 24,
    "expert_ffn_hidden_size": 24,
    "shared_intermediate_size": 24,
    "shared_expert_intermediate_size": 24,
    "moe_shared_expert_intermediate_size": 24,
    "share_expert_dim": 24,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "num_dense_layers": 1,
    "mlp_only_layers": [0],
    "decoder_sparse_step": 1,
    "norm_topk_prob": True,
    "routed_scaling_factor": 1.5,
    "scoring_func": "sigmoid",
    "topk_method": "noaux_tc",
    # state-space and linear attention
    "state_size": 8,
    "ssm_state_size": 8,
    "mamba_d_state": 8,
    "conv_kernel": 4,
    "mamba_d_conv": 4,
    "conv_L_cache": 3,
    "conv_bias": False,
    "use_conv_bias": True,
    "time_step_rank": 4,
    "time_step_limit": (0.001, 100.0),
    "n_groups": 1,
    "mamba_n_groups": 1,
    "mamba_num_heads": 4,
    "mamba_n_heads": 4,
    "mamba_head_dim": 8,
    "mamba_d_head": 8,
    "mamba_d_ssm": 32,
    "mamba_expand": 2,
    "mamba_proj_bias": False,
    "mamba_conv_bias": True,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
    "linear_conv_kernel_dim": 4,
    "linear_allow_neg_eigval": True,
    "full_attention_interval": 2,
    # norms, positions, multipliers
    "rms_norm_eps": 1e-5,
    "layer_norm_eps": 1e-5,
    "norm_eps": 1e-5,
    "norm_epsilon": 1e-5,
    "layer_norm_epsilon": 1e-5,
    "layernorm_epsilon": 1e-5,
    "post_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "rotary_emb_base": 10000,
    "rope_scaling": None,
    "rope_parameters": ROPE,
    "rope_traditional": False,
    "embedding_multiplier": 3.0,
    "residual_multiplier": 0.4,
    "attention_multiplier": 0.3,
    "logits_scaling": 2.0,
    "scale_emb": 3.0,
    "scale_depth": 1.4,
    "dim_model_base": 16,
    "final_logit_softcapping": 5.0,
    "logits_soft_cap": 5.0,
    "attn_logit_softcapping": 4.0,
    "query_pre_attn_scalar": 8,
    "output_multiplier": 0.5,
    # switches
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
    "use_bias": True,
    "use_qkv_bias": True,
    "use_qk_norm": True,
    "qk_norm": True,
    "post_norm": False,
    "hidden_act": "silu",
    "bos_token_id": 1,
    "eos_token_id": 2,
}

YARN = ROPE | {
    "llama_4_scaling_beta": 0.1,
    "original_max_position_embeddings": 8,
    "factor": 4.0,
    "mscale_all_dim": 1.0,
}
BY_TYPE = {"sliding_attention": ROPE, "full_attention": ROPE}
GEMMA_TEXT: dict[str, Any] = {
    "num_kv_shared_layers": 2,
    "vocab_size_per_layer_input": VOCABULARY,
    "hidden_size_per_layer_input": 8,
    "rope_parameters": None,
}
LINEAR = {
    "kda_layers": [1, 3],
    "full_attn_layers": [2, 4],
    "num_heads": 4,
    "head_dim": 32,
    "short_conv_kernel_size": 4,
}
INDEXER = {"index_head_dim": 8, "index_n_heads": 2, "index_topk": 4}
LONGCAT = {
    "attention_method": "MLA",
    "zero_expert_type": "identity",
    "zero_expert_num": 2,
    "mla_scale_q_lora": True,
    "mla_scale_kv_lora": True,
}
LFM: dict[str, Any] = {
    "layer_types": ["conv", "full_attention"] * (LAYERS // 2),
    "block_multiple_of": 8,
    "block_ffn_dim_multiplier": 1.0,
    "block_auto_adjust_ff_dim": False,
    "use_expert_bias": True,
}
RECURRENT = ["linear_attention", "full_attention"] * (LAYERS // 2)

OWN: dict[str, dict[str, Any]] = {
    "afm7": {"num_kv_reuse_layers": 1, "num_layers": LAYERS + 1},
    "baichuan_m1": {
        "sliding_window_layers": [1, 3],
        "conv_window": 2,
        "num_swa_attention_heads": 4,
        "num_swa_key_value_heads": 1,
    },
    "bailing_hybrid": {"layer_group_size": 2, "group_norm_size": 2},
    "bailing_moe_linear": {"layer_group_size": 2, "group_norm_size": 2},
    "bailing_moe_v3": {"layer_group_size": 2, "head_dim": 32},
    "dbrx": {
        "ffn_config": {"ffn_hidden_size": 24, "moe_num_experts": 4, "moe_top_k": 2},
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0},
    },
    "deepseek_v2": {"rope_scaling": YARN | {"type": "yarn"}},
    "deepseek_v32": INDEXER,
    "exaone4": {"sliding_window_pattern": "LG"},
    "exaone_moe": {"is_moe_layer": [False, True] * (LAYERS // 2)},
    "gear": {"attn_logit_softcapping": None},
    "gemma3": {"sliding_window_pattern": 2, "query_pre_attn_scalar": 8},
    "gemma3_text": {"sliding_window_pattern": 2},
    "gemma3n": GEMMA_TEXT
    | {
        "rope_local_base_freq": 10000.0,
        "activation_sparsity_pattern": [0.95] * 2 + [0.0] * 2,
        "altup_num_inputs": 4,
        "altup_coef_clip": 120.0,
        "altup_correct_scale": True,
        "altup_active_idx": 0,
        "laurel_rank": 4,
    },
    "gemma4": GEMMA_TEXT,
    "gemma4_text": GEMMA_TEXT,
    "glm_moe_dsa": INDEXER | {"moe_layer_freq": 1},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"] * (LAYERS // 2)},
    "hunyuan": {
        "use_mixed_mlp_moe": True,
        "use_cla": True,
        "cla_share_factor": 2,
        "rope_scaling": {"alpha": 2.0, "factor": 1.0, "type": "dynamic"},
    },
    "jamba": {
        "attn_layer_offset": 1,
        "attn_layer_period": 2,
        "expert_layer_offset": 0,
        "expert_layer_period": 2,
    },
    "kimi_k3": {
        "hidden_act": "situ",
        "activation_situ_beta": 1.0,
        "linear_attn_config": LINEAR,
        "attn_res_block_size": 2,
    },
    "kimi_linear": {"linear_attn_config": LINEAR},
    "lfm2": LFM,
    "lfm2-vl": LFM,
    "lfm2_moe": LFM,
    "lille-130m": {"n_embd": 128},
    "llama4": {
        "intermediate_size_mlp": 48,
        "attention_chunk_size": 5,
        "interleave_moe_layer_step": 2,
        "num_experts_per_tok": 1,
    },
    "llama4_text": {"intermediate_size_mlp": 48, "no_rope_layers": [1, 0] * (LAYERS // 2)},
    "longcat_flash": LONGCAT,
    "longcat_flash_ngram": LONGCAT | {"ngram_vocab_size_ratio": 2},
    "mellum": {"rope_parameters": BY_TYPE},
    "mimo_v2_flash": {
        "hybrid_layer_pattern": [1, 0] * (LAYERS // 2),
        "moe_layer_freq": [0, 1] * (LAYERS // 2),
        "add_swa_attention_sink_bias": True,
        "add_full_attention_sink_bias": False,
        "swa_head_dim": 8,
        "swa_num_attention_heads": 4,
        "swa_num_key_value_heads": 1,
        "swa_rope_theta": 10000.0,
        "swa_v_head_dim": 6,
    },
    "minicpm3": {
        "rope_scaling": {
            "type": "longrope",
            "original_max_position_embeddings": 64,
            "short_factor": [1.0, 1.0],
            "long_factor": [1.0, 1.0],
        }
    },
    "ministral3": {"rope_parameters": YARN},
    "mistral4": {"rope_parameters": YARN},
    "nemotron-nas": {
        "block_configs": [
            {"attention": {"n_heads_in_group": group}, "ffn": {"ffn_mult": 1.0}}
            for group in (1, 2, 4)
        ]
        + [{"attention": {"no_op": True}, "ffn": {"ffn_mult": 1.0}}],
    },
    "nemotron_h": {"layers_block_type": ["mamba", "mlp", "attention", "moe"]},
    "olmo_hybrid": {"layer_types": RECURRENT},
    "openelm": {
        "num_query_heads": [4, 4, 8, 8],
        "num_kv_heads": [1, 2, 2, 4],
        "ffn_multipliers": [1.0, 1.5, 2.0, 2.0],
        "ffn_dim_divisor": 8,
    },
    "plamo": {"num_attention_heads": 8, "head_dim": 4},
    "recurrent_gemma": {"conv1d_width": 4, "block_types": ["recurrent", "attention"]},
    "qwen3_5": {"num_experts": 0},
    "rwkv7": {
        "head_dim": 32,
        "a_low_rank_dim": 4,
        "v_low_rank_dim": 4,
        "gate_low_rank_dim": 4,
        "decay_low_rank_dim": 4,
    },
    "spark2_5": {"rope_parameters": BY_TYPE, "hidden_act": "gelu"},
    "muse_spark": {"layer_rope_theta": [10000.0, 0] * (LAYERS // 2), "num_shared_experts": 0},
}


def config_of(architecture: str) -> dict[str, Any]:
    """What `ModelArgs.from_dict` of an architecture is given. Wrappers read `text_config`."""
    flat = SIZES | OWN.get(architecture, {}) | {"model_type": architecture}
    return flat | {"text_config": dict(flat)}
