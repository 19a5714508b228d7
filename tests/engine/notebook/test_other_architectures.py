"""Where a module's output and what the residual stream receives are two things."""

from mlxterp_engine import InterpretableModel, head_scores
from mlxterp_engine import interventions as iv
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.tracing.proofs import relative_error

import mlx.core as mx
import numpy as np
import pytest
from engine.architectures.building import build

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "vocab_size": 64,
    "max_position_embeddings": 64,
}
IDS = [3, 1, 4, 1, 5]


def made(architecture: str, **more) -> InterpretableModel:
    """A tiny model of random weights, given as a module."""
    from importlib import import_module

    file = import_module(f"mlx_lm.models.{architecture}")
    mx.random.seed(0)
    config = SIZES | {"model_type": architecture} | more
    return InterpretableModel(file.Model(file.ModelArgs.from_dict(config)))


def test_where_a_post_norm_follows_the_module_is_not_the_site():
    """OLMo 2 norms what attention puts out: the residual stream receives the norm's output."""
    model = made("olmo2", head_dim=8)
    with model.trace(IDS) as trace:
        act = trace.activations
        module, site = act["model.layers.1.self_attn"], act["blocks.1.attn_out"]
        block = model.net.layers[1]
        assert relative_error(module, site) > 0.1
        assert mx.array_equal(block.post_attention_layernorm(module), site)
        assert mx.array_equal(act["model.layers.1.post_attention_layernorm"], site)
        assert mx.array_equal(block.self_attn.o_proj(_joined(act["blocks.1.attn.z"])), module)


def _joined(z):
    return z.swapaxes(1, 2).reshape(*z.shape[:1], z.shape[2], -1)


@pytest.fixture(scope="module")
def granite():
    """Halves what attention and MLP add, doubles the embeddings, divides the logits by three."""
    return made(
        "granite",
        residual_multiplier=0.5,
        embedding_multiplier=2.0,
        logits_scaling=3.0,
        attention_multiplier=0.3,
        attention_bias=False,
        mlp_bias=False,
        rope_theta=1e4,
    )


def test_where_a_multiplier_follows_the_module_is_not_the_site(granite):
    with granite.trace(IDS) as trace:
        act = trace.activations
        assert mx.array_equal(act["model.layers.1.self_attn"] * 0.5, act["blocks.1.attn_out"])
        assert mx.array_equal(act["model.layers.1.mlp"] * 0.5, act["blocks.1.mlp_out"])
        assert mx.array_equal(act["model.embed_tokens"] * 2, act["embed"])


def test_an_edit_at_the_module_goes_through_the_multiplier_and_one_at_the_site_does_not(granite):
    ones = iv.replace_with(1.0)
    with granite.trace(IDS, {"model.layers.1.self_attn": ones}) as module:
        assert (module.activations["blocks.1.attn_out"] == 0.5).all()
    with granite.trace(IDS, {"blocks.1.attn_out": ones}) as site:
        assert (site.activations["blocks.1.attn_out"] == 1).all()
        assert (site.activations["model.layers.1.self_attn"] == 2).all()


def test_predictions_go_through_the_models_own_logit_scale(granite):
    with granite.trace(IDS) as trace:
        state = trace.activations["blocks.1.resid_post"]
        assert relative_error(granite.unembed(state), trace.logits) < 1e-6
        assert relative_error(granite.project(granite.net.model.norm(state)), trace.logits) < 1e-6


@pytest.fixture(scope="module")
def lfm2():
    """Convolutions in blocks 0 and 2, attention with normed queries and keys in 1 and 3."""
    return made(
        "lfm2",
        num_hidden_layers=4,
        norm_eps=1e-5,
        conv_bias=False,
        conv_L_cache=3,
        block_dim=32,
        block_ff_dim=48,
        block_multiple_of=8,
        block_ffn_dim_multiplier=1.0,
        block_auto_adjust_ff_dim=False,
        full_attn_idxs=[1, 3],
    )


def test_a_block_without_attention_is_named_with_the_reason_and_scores_nan(lfm2):
    assert lfm2.card.missing_sites["attn.pattern"].startswith("blocks 0, 2: ")
    assert "blocks.N.attn.pattern" in lfm2.card.sites
    with pytest.raises(BadInput, match="no softmax attention"):
        lfm2.trace(IDS, {"blocks.0.attn.z": iv.zero_out})
    scores = head_scores(lfm2, length=5)["first_token"]
    assert np.isnan(scores[[0, 2]]).all()
    assert not np.isnan(scores[[1, 3]]).any()


def test_in_padded_batches_every_output_that_is_listed_is_cut_along_its_positions(lfm2):
    short = IDS[:2]
    with lfm2.trace([[*IDS, 9, 2], short]) as both, lfm2.trace(short) as alone:
        assert all(mx.isnan(array[1]).any() for array in both.activations.values())
        row = both.row(1).activations
    assert row["model.layers.1.self_attn.q_layernorm"].shape == (1, 2, 4, 8)
    assert list(row) == list(alone.activations)
    for name, array in alone.activations.items():
        # Products of another shape: float32 sums in another order.
        assert mx.allclose(row[name], array, atol=1e-5), name


def test_a_vision_language_wrappers_text_model_is_what_is_opened():
    """Its sizes lie in a config within its config, there as an object."""
    net = build("llama4")
    model = InterpretableModel(net)
    assert model.card.architecture == "llama4"
    assert model.card.context == net.args.text_config.max_position_embeddings
    assert len(model.layers) == len(net.layers)
    with model.trace(IDS) as trace:
        assert mx.array_equal(trace.logits, net(mx.array([IDS])))
        last = f"language_model.model.layers.{len(net.layers) - 1}"
        assert mx.array_equal(trace.activations[last], trace.activations[f"model.{last}"])
