"""Addresses: what is accepted, what is refused and in which words."""

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.tracing.sites import (
    BLOCK_KINDS,
    HEAD_KINDS,
    MODEL_KINDS,
    BlockSites,
    Site,
    SiteTable,
)

import pytest
from hypothesis import given
from hypothesis import strategies as st

TABLE = SiteTable(
    "toy",
    [BlockSites(heads=6, kv_heads=2, neurons=20)] * 4,
    aliases={
        "model.layers.2": Site("resid_post", 2),
        "model.layers.2.self_attn": Site("attn_out", 2),
        "__model_output__": Site("logits"),
    },
)

parts = st.permutations([0, 1]).flatmap(lambda p: st.sampled_from([tuple(p), tuple(p[:1])]))
sites = st.one_of(
    st.sampled_from([Site(kind) for kind in MODEL_KINDS]),
    st.builds(Site, st.sampled_from(BLOCK_KINDS), st.integers(0, 3)),
    st.builds(Site, st.sampled_from(HEAD_KINDS), st.integers(0, 3), parts),
)


@given(sites)
def test_an_address_reads_back_as_its_site(site):
    assert TABLE.parse(str(site)) == site


@given(st.text(max_size=30))
def test_any_text_is_a_site_of_the_model_or_is_refused_in_words(text):
    try:
        found = TABLE.parse(text)
    except BadInput as refusal:
        found = refusal
    if isinstance(found, Site):
        assert found.whole in TABLE.all()
    else:
        assert "toy has no" in str(found) or "heads" in str(found)


@pytest.mark.parametrize(
    ("alias", "address"),
    [
        ("blocks.3.hook_resid_post", "blocks.3.resid_post"),
        ("blocks.0.attn.hook_pattern", "blocks.0.attn.pattern"),
        ("hook_embed", "embed"),
        ("ln_final.hook_normalized", "final_norm"),
        ("model.layers.2", "blocks.2.resid_post"),
        ("model.model.layers.2.self_attn", "blocks.2.attn_out"),
        ("__model_output__", "logits"),
        ("blocks.1.attn.z[-1]", "blocks.1.attn.z[5]"),
        ("blocks.1.attn.k[1]", "blocks.1.attn.k[1]"),
        ("blocks.1.attn.z[0, -1]", "blocks.1.attn.z[0,5]"),
        ("blocks.1.mlp.post[17,3]", "blocks.1.mlp.post[17,3]"),
    ],
)
def test_names_of_other_libraries_mean_the_same_place(alias, address):
    assert str(TABLE.parse(alias)) == address


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("blocks.2.resid_mdi", "closest: blocks.2.resid_mid"),
        ("blocks.4.resid_mid", "blocks go from 0 to 3"),
        ("blocks.1.attn.k[2]", "heads 0 to 1"),
        ("blocks.1.mlp_out[0]", "has no heads or neurons"),
        ("blocks.1.mlp.post[20]", "neurons 0 to 19"),
        ("blocks.1.attn.z[one]", "no list of whole numbers"),
        ("blocks.1.attn.z[]", "no list of whole numbers"),
        ("blocks.1.attn.z[0,-6]", "twice"),
        ("", "no site ''"),
    ],
)
def test_a_wrong_address_is_refused_with_the_remedy(address, words):
    with pytest.raises(BadInput) as refusal:
        TABLE.parse(address)
    assert words in str(refusal.value)


def test_globs_choose_in_the_order_of_the_pass():
    found = [str(site) for site in TABLE.match(["*resid_post", "embed", "blocks.0.attn.q"])]
    assert found == ["embed", "blocks.0.attn.q", *(f"blocks.{b}.resid_post" for b in range(4))]


def test_a_glob_that_matches_nothing_is_refused():
    with pytest.raises(BadInput, match="no site"):
        TABLE.match(["embed", "blocks.*.nothing"])


def test_a_missing_part_is_named_with_its_reason_in_the_blocks_that_lack_it():
    mixer = BlockSites(missing={"attn": "a state-space mixer", "mlp.post": "experts"})
    attention = BlockSites(heads=6, kv_heads=2, missing={"mlp.post": "experts"})
    table = SiteTable("hybrid", [mixer, mixer, attention, mixer], {}, {"final_norm": "none"})
    assert [str(site) for site in table.match(["*.attn.z"])] == ["blocks.2.attn.z"]
    assert table.missing["attn.q"] == "blocks 0-1, 3: a state-space mixer"
    assert table.missing["mlp.post"] == "experts"
    assert "attn.q" in table.kinds()
    assert "mlp.post" not in table.kinds()
    for address in ("blocks.3.attn.pattern", "blocks.3.attn.z[0]", "model.blocks.3.attn.z"):
        with pytest.raises(BadInput, match=r"hybrid has no .*state-space|no site"):
            table.parse(address)
    with pytest.raises(BadInput, match="hybrid has no final_norm: none"):
        table.parse("final_norm")
    assert table.parse("blocks.2.attn.z[5]").part == (5,)


def test_head_counts_are_each_block_s_own():
    table = SiteTable("mixed", [BlockSites(8, 2), BlockSites(4, 4)], {})
    assert table.parse("blocks.0.attn.z[7]").part == (7,)
    assert table.parse("blocks.1.attn.k[3]").part == (3,)
    for address in ("blocks.1.attn.z[4]", "blocks.0.attn.k[2]"):
        with pytest.raises(BadInput, match="has heads 0 to"):
            table.parse(address)
