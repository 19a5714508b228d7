"""Hidden states to logits by the model's own last part, whatever it does there."""

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.anatomy import discover
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.proofs import prove, proven, relative_error
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import mlx.nn as nn
import pytest
from engine.tracing.test_anatomy import IDS, build, table

LAST = Site("resid_post", 2)
ENDINGS = [
    ("llama", {"tie_word_embeddings": True}),
    ("llama", {"tie_word_embeddings": False}),
    ("gemma2", {"query_pre_attn_scalar": 8}),  # soft-cap of 30
    ("cohere", {"layer_norm_eps": 1e-5, "logit_scale": 0.25, "use_qk_norm": False}),
    ("gemma4_text", {"final_logit_softcapping": 3.0, "hidden_size_per_layer_input": 0}
     | {"num_kv_shared_layers": 0, "global_head_dim": 8}),  # blocks that return tuples
]  # fmt: skip


@pytest.mark.parametrize(("architecture", "changes"), ENDINGS)
def test_states_of_any_leading_shape_give_their_logits(architecture, changes):
    net = build(architecture, **changes)
    anatomy = discover(net, IDS)
    run = forward(net, anatomy, IDS, [LAST])
    state, logits = run.sites[LAST], run.logits
    for shape in ((8,), (2, 4), (1, 2, 2, 2)):
        found = anatomy.unembed(state.reshape(*shape, -1))
        assert relative_error(found, logits.reshape(*shape, -1)) < 1e-5
    assert relative_error(anatomy.unembed(state[0, 3]), logits[0, 3]) < 1e-5


@pytest.mark.parametrize(("architecture", "changes"), ENDINGS)
def test_unembedding_has_the_gradient_of_its_values(architecture, changes):
    net = build(architecture, **changes)
    unembed = discover(net, IDS).unembed
    state, direction = (mx.random.normal((32,), key=mx.random.key(i)) for i in (1, 2))

    def logit(x):
        return unembed(x)[..., 7].sum()

    slope = (mx.grad(logit)(state) * direction).sum().item()
    step = 1e-2
    difference = (logit(state + step * direction) - logit(state - step * direction)) / (2 * step)
    assert slope == pytest.approx(difference.item(), rel=2e-2, abs=1e-5)
    assert abs(slope) > 1e-4


def test_norm_and_head_alone_are_called_without_running_the_net(monkeypatch):
    net = build("llama")
    unembed = discover(net, IDS).unembed
    monkeypatch.setattr(type(net), "__call__", None)
    assert unembed(mx.zeros((2, 32))).shape == (2, 90)


@pytest.mark.parametrize("tied", [True, False])
def test_quantised_embeddings_and_heads_are_unembedded_as_they_are(tied):
    net = build("llama", hidden_size=64, intermediate_size=64, tie_word_embeddings=tied)
    nn.quantize(net, group_size=32, bits=8)
    assert isinstance(net.model.embed_tokens, nn.QuantizedEmbedding)
    anatomy = discover(net, IDS)
    assert anatomy.tied is tied
    contracts = prove(net, anatomy, table(net, anatomy), IDS)
    assert len(contracts) == 5
    assert all(contract.ok for contract in contracts.values()), contracts


def test_a_last_part_that_needs_all_blocks_is_missing_with_the_reason():
    """The logits are those of the mean over the blocks: the last state alone does not give them."""

    class Averaging(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.norm, self.head = nn.Embedding(90, 8), nn.RMSNorm(8), nn.Linear(8, 90)
            self.layers = [nn.Linear(8, 8), nn.Linear(8, 8)]

        def __call__(self, ids):
            states = [self.embed(ids)]
            for layer in self.layers:
                states.append(layer(states[-1]))
            return self.head(self.norm(sum(states)))

    net = Averaging()
    net.embed.weight = net.embed.weight * 10
    proof = proven(net, "averaging", discover(net, IDS), {}, IDS)
    assert "unembed" in proof.anatomy.missing
    assert "lens_last_row" not in proof.contracts
    with pytest.raises(BadInput, match="can't be unembedded: lens_last_row"):
        proof.anatomy.unembed(mx.zeros((1, 8)))
