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


class Sum(nn.Module):
    """A recurrent mixer: each position gets the mean of those before it."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def __call__(self, x):
        return mx.cumsum(self.inner(x), axis=1)


class Toy(nn.Module):
    """A model around blocks of one kind."""

    def __init__(self, *layers):
        super().__init__()
        self.embed, self.norm, self.head = nn.Embedding(90, 8), nn.LayerNorm(8), nn.Linear(8, 90)
        self.layers = list(layers)

    def __call__(self, ids):
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


class Adds(nn.Module):
    """A block that adds what each of its parts makes of the normed stream."""

    def __init__(self, *parts):
        super().__init__()
        self.norm, self.parts = nn.LayerNorm(8), list(parts)

    def __call__(self, x):
        for part in self.parts:
            x = x + part(self.norm(x))
        return x


def test_without_attention_the_increment_that_mixes_positions_is_attn_out():
    net = Toy(Adds(Sum(), nn.Linear(8, 8)), Adds(nn.Linear(8, 8)), Adds(Sum()))
    anatomy = discover(net, IDS)
    both, mlp, mixer = anatomy.blocks
    assert [term.module for term in both.attn_out] == [net.layers[0].parts[0]]
    assert [term.module for term in both.mlp_out] == [net.layers[0].parts[1]]
    assert "resid_mid" not in both.missing
    assert (mlp.attn_out, "neither attention nor" in mlp.missing["attn_out"]) == ((), True)
    assert (mixer.mlp_out, "mixer's output alone" in mixer.missing["mlp_out"]) == ((), True)
    assert all("no softmax attention" in block.missing["attn"] for block in anatomy.blocks)
    assert prove(net, anatomy, table(net, anatomy), IDS)["residual_sum"].ok


def test_blocks_that_run_twice_leave_logits_and_unembedding_and_say_why_no_more():
    class Twice(Toy):
        def __call__(self, ids):
            x = self.embed(ids)
            for layer in self.layers * 2:
                x = layer(x)
            return self.head(self.norm(x))

    net = Twice(nn.Linear(8, 8))
    anatomy = discover(net, IDS)
    sites = table(net, anatomy)
    assert sites.kinds() == ["embed", "final_norm", "logits"]
    with pytest.raises(BadInput, match="runs its blocks 2 times in a pass"):
        sites.parse("blocks.0.resid_post")
    assert prove(net, anatomy, sites, IDS)["trace_identity"].ok
    assert anatomy.unembed(mx.zeros((2, 3, 8))).shape == (2, 3, 90)


def test_a_model_without_layers_is_refused_in_words():
    with pytest.raises(BadInput, match="no `layers`"):
        discover(nn.Linear(8, 8), IDS)
