"""Each contract holds on a good model, and fails when what it watches over is broken."""

from dataclasses import replace

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.anatomy_parts import Term
from mlxterp_engine.models.calls import calls_through
from mlxterp_engine.tracing import proofs
from mlxterp_engine.tracing.attention import Kernel
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.proofs import TOLERANCES, prove
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import pytest


@pytest.fixture
def ids(tiny):
    return mx.array([tiny.encode("Alice was beginning to")])


def fails(contract, tiny, ids, anatomy=None) -> bool:
    error = getattr(proofs, contract)(tiny.net, anatomy or tiny.anatomy, tiny.sites, ids)
    return not error <= TOLERANCES[contract][0]


def test_all_hold_on_the_tiny_model(tiny, ids):
    contracts = prove(tiny.net, tiny.anatomy, tiny.sites, ids)
    assert {name: c.ok for name, c in contracts.items()} == dict.fromkeys(TOLERANCES, True)


def test_all_hold_on_the_default_model_and_are_on_its_card(smol):
    assert set(smol.card.contracts) == set(TOLERANCES)
    assert all(contract.ok for contract in smol.card.contracts.values())


def test_attention_rebuild_fails_when_heads_read_the_wrong_group(tiny, ids, monkeypatch):
    def interleaved(x, heads):
        return mx.concatenate([x] * (heads // x.shape[1]), axis=1)

    monkeypatch.setattr(proofs, "per_query_head", interleaved)
    assert fails("attention_rebuild", tiny, ids)


def test_attention_rebuild_fails_when_the_scale_is_forgotten(tiny, ids, monkeypatch):
    right = Kernel.pattern
    monkeypatch.setattr(Kernel, "pattern", lambda self: right(replace(self, scale=1.0)))
    assert fails("attention_rebuild", tiny, ids)


def test_residual_sum_fails_when_a_part_is_mistaken_for_another(tiny, ids):
    first = tiny.anatomy.blocks[0]
    without = replace(first, attn_out=())
    anatomy = replace(tiny.anatomy, blocks=(without, *tiny.anatomy.blocks[1:]))
    with pytest.raises(Exception, match="not reached"):
        fails("residual_sum", tiny, ids, anatomy)
    wrong = replace(first, attn_out=(Term(tiny.net.layers[0].input_layernorm),))
    anatomy = replace(tiny.anatomy, blocks=(wrong, *tiny.anatomy.blocks[1:]))
    assert fails("residual_sum", tiny, ids, anatomy)


def test_lens_last_row_fails_without_the_final_norm(tiny, ids):
    anatomy = replace(tiny.anatomy, unembed=tiny.net.model.embed_tokens.as_linear)
    assert fails("lens_last_row", tiny, ids, anatomy)


def test_backward_matches_difference_fails_where_the_gradient_is_cut(tiny, ids):
    def cut(original, args, kwargs):
        return original(mx.stop_gradient(args[0]), *args[1:], **kwargs)

    with calls_through([(tiny.net.layers[1], cut)]):
        assert fails("backward_matches_difference", tiny, ids)


def test_a_nan_is_an_error_that_never_holds():
    assert not proofs.Contract.of(float("nan"), 1.0).ok


def test_an_attention_that_proves_wrong_is_withdrawn_with_its_error(tiny, ids, monkeypatch):
    right = Kernel.pattern
    monkeypatch.setattr(Kernel, "pattern", lambda self: right(replace(self, scale=1.0)))
    proof = proofs.proven(tiny.net, "tiny", tiny.anatomy, {}, ids)
    assert "attention_rebuild" not in proof.contracts
    assert all(contract.ok for contract in proof.contracts.values())
    assert proof.sites.kinds() == [k for k in tiny.sites.kinds() if not k.startswith("attn.")]
    with pytest.raises(BadInput, match=r"attention_rebuild does not hold here \(error \d"):
        proof.sites.parse("blocks.2.attn.z")
    with pytest.raises(BadInput, match="attention_rebuild does not hold"):
        forward(tiny.net, proof.anatomy, ids, [Site("attn.pattern", 0)])


def test_increments_that_prove_wrong_are_withdrawn_in_their_block_alone(tiny, ids):
    first, *others = tiny.anatomy.blocks
    wrong = replace(first, attn_out=(Term(tiny.net.layers[0].input_layernorm),))
    proof = proofs.proven(tiny.net, "tiny", replace(tiny.anatomy, blocks=(wrong, *others)), {}, ids)
    assert proof.contracts["residual_sum"].ok
    assert proof.sites.missing["attn_out"].startswith("block 0: residual_sum does not hold")
    assert proof.sites.has("attn_out", 1)
    assert proof.sites.has("resid_post", 0)


def test_a_lens_that_proves_wrong_is_withdrawn(tiny, ids):
    wrong = replace(tiny.anatomy, unembed=tiny.net.model.embed_tokens.as_linear)
    proof = proofs.proven(tiny.net, "tiny", wrong, {}, ids)
    assert "lens_last_row" not in proof.contracts
    with pytest.raises(BadInput, match="can't be unembedded: lens_last_row"):
        proof.anatomy.unembed(mx.zeros((1, 128)))
