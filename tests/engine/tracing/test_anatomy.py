"""The parts of a model are found by watching it, whatever its file calls them."""

import importlib

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.anatomy import discover
from mlxterp_engine.tracing.proofs import prove
from mlxterp_engine.tracing.sites import SiteTable

import mlx.core as mx
import mlx.nn as nn
import pytest

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "vocab_size": 90,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "rope_theta": 10000.0,
}
IDS = mx.array([[1, 5, 9, 30, 44, 71, 2, 88]])


def build(model_type: str, **changes):
    mx.random.seed(0)
    file = importlib.import_module(f"mlx_lm.models.{model_type}")
    config = SMALL | {"model_type": model_type} | changes
    return file.Model(file.ModelArgs.from_dict(config))


def table(net, anatomy) -> SiteTable:
    return SiteTable.of("toy", anatomy, {})


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [
        ("llama", {}),
        ("llama", {"tie_word_embeddings": False}),
        ("llama", {"num_key_value_heads": 4}),
        ("llama", {"num_key_value_heads": 1, "attention_bias": True}),
        ("qwen2", {"tie_word_embeddings": True}),
        ("qwen3", {"tie_word_embeddings": False}),
    ],
)
def test_llama_shaped_models_show_all_their_parts_and_prove_them(model_type, changes):
    net = build(model_type, **changes)
    anatomy = discover(net, IDS)
    assert table(net, anatomy).missing == {}
    assert anatomy.heads == 4
    assert anatomy.kv_heads == changes.get("num_key_value_heads", 2)
    assert (anatomy.d_model, anatomy.d_head, anatomy.d_mlp, anatomy.vocab_size) == (32, 8, 48, 90)
    assert anatomy.tied == changes.get("tie_word_embeddings", True)
    contracts = prove(net, anatomy, table(net, anatomy), IDS)
    assert len(contracts) == 5
    assert all(contract.ok for contract in contracts.values()), contracts


def test_a_post_norm_model_receives_its_increments_after_the_norm():
    """OLMo 2: the residual receives norm(attention), so attn_out is the norm's output."""
    net = build("olmo2", tie_word_embeddings=False)
    anatomy = discover(net, IDS)
    block = net.layers[0]
    found = anatomy.blocks[0]
    assert [term.module for term in found.attn_out] == [block.post_attention_layernorm]
    assert [term.module for term in found.mlp_out] == [block.post_feedforward_layernorm]
    assert found.attention.module is block.self_attn
    contracts = prove(net, anatomy, table(net, anatomy), IDS)
    assert all(contract.ok for contract in contracts.values()), contracts


def test_side_by_side_attention_and_mlp_have_no_middle_and_say_so():
    net = build("cohere", layer_norm_eps=1e-5, logit_scale=1.0, use_qk_norm=False)
    anatomy = discover(net, IDS)
    assert "side by side" in table(net, anatomy).missing["resid_mid"]


def test_a_model_without_attention_says_which_sites_it_lacks():
    class Mixer(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix, self.mlp = nn.Linear(8, 8), nn.Linear(8, 8)

        def __call__(self, x):
            x = x + self.mix(x)
            return x + self.mlp(x)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.norm, self.head = nn.Embedding(90, 8), nn.RMSNorm(8), nn.Linear(8, 90)
            self.layers = [Mixer(), Mixer()]

        def __call__(self, ids):
            x = self.embed(ids)
            for layer in self.layers:
                x = layer(x)
            return self.head(self.norm(x))

    anatomy = discover(Model(), IDS)
    missing = anatomy.blocks[0].missing
    assert "no softmax attention" in missing["attn"]
    assert "attn_out" not in missing


def test_a_block_that_runs_twice_is_refused_in_words():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.norm, self.head = nn.Embedding(90, 8), nn.RMSNorm(8), nn.Linear(8, 90)
            self.layers = [nn.Linear(8, 8)]

        def __call__(self, ids):
            x = self.layers[0](self.layers[0](self.embed(ids)))
            return self.head(self.norm(x))

    with pytest.raises(BadInput, match="2 times in a pass"):
        discover(Twice(), IDS)
