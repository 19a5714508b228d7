"""Prompts of different lengths in one pass: each row is its single run."""

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.tracing import interventions as iv
from mlxterp_engine.tracing.batches import forward_batch, padded
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.proofs import relative_error
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import pytest
from mlx_lm.models import falcon_h1, gemma3_text, mamba2

TEXTS = ["Alice was beginning to get very tired", "Alice", "The Queen of Hearts"]
# Sums of products in another order: units in the last place of float32, a few for each block.
TOLERANCE = 1e-5


def check_rows(net, anatomy, prompts, record, edits=()):
    batch = forward_batch(net, anatomy, prompts, record, edits)
    for ids, row in zip(prompts, batch.rows(), strict=True):
        alone = forward(net, anatomy, mx.array([ids]), record, edits)
        assert row.logits.shape == alone.logits.shape
        assert relative_error(row.logits, alone.logits) < TOLERANCE
        for site in record:
            assert row.sites[site].shape == alone.sites[site].shape, site
            assert relative_error(row.sites[site], alone.sites[site]) < TOLERANCE, site


@pytest.mark.parametrize("model", ["tiny", "smol"])
def test_every_row_is_its_single_run_at_every_site(model, request):
    opened = request.getfixturevalue(model)
    prompts = [opened.encode(text) for text in TEXTS]
    assert len(set(map(len, prompts))) == 3
    record = [site for site in opened.sites.all() if site.block in (None, 0, 3)]
    check_rows(opened.net, opened.anatomy, prompts, record)


@pytest.mark.parametrize(
    "address",
    ["blocks.1.resid_post", "blocks.0.attn.k", "blocks.1.attn.pattern", "blocks.2.mlp.post[3,17]"],
)
@pytest.mark.parametrize("places", [[-1], [0, -1], slice(0, 3), None])
def test_every_row_is_edited_as_if_it_ran_alone(tiny, address, places):
    prompts = [tiny.encode(text) for text in TEXTS]
    what = iv.compose(lambda x: x - x.mean(axis=-2, keepdims=True), iv.noise(0.5, 3))
    edit = iv.edit(
        tiny.sites.parse(address), what if places is None else iv.at_positions(places, what)
    )
    check_rows(tiny.net, tiny.anatomy, prompts, [edit.site.whole, Site("logits")], [edit])


def test_equal_lengths_are_one_edit_of_the_whole_batch(tiny):
    ids = tiny.encode(TEXTS[0])
    rows = mx.random.normal((2, 1, tiny.card.d_model), key=mx.random.key(0))
    edit = iv.edit(Site("resid_post", 1), iv.at_positions([2], iv.add_vector(rows)))
    batch = forward_batch(tiny.net, tiny.anatomy, [ids, ids], [], [edit])
    for number, row in enumerate(batch.rows()):
        own = iv.edit(Site("resid_post", 1), iv.at_positions([2], iv.add_vector(rows[number])))
        alone = forward(tiny.net, tiny.anatomy, mx.array([ids]), [], [own])
        assert relative_error(row.logits, alone.logits) < TOLERANCE


def test_nothing_at_the_padding_reaches_a_prompt_bit_for_bit(tiny):
    """The same shapes with other padding: not even the rounding changes."""
    prompts = [tiny.encode(text) for text in TEXTS]
    ids = padded(prompts)
    other = mx.where(mx.arange(ids.shape[1]) < mx.array([[len(p)] for p in prompts]), ids, 7)
    assert not mx.array_equal(ids, other)
    first, second = tiny.net(ids), tiny.net(other)
    for row, ids_ in enumerate(prompts):
        assert mx.array_equal(first[row, : len(ids_)], second[row, : len(ids_)])


SSM = {
    "falcon_h1": (falcon_h1, {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 48,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 61,
        "mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8,
        "mamba_n_groups": 1, "mamba_d_conv": 4, "mamba_chunk_size": 8}),
    "mamba2": (mamba2, {"num_heads": 4, "head_dim": 8, "vocab_size": 61, "hidden_size": 16,
        "intermediate_size": 32, "state_size": 8, "num_hidden_layers": 2, "conv_kernel": 4,
        "layer_norm_epsilon": 1e-5, "n_groups": 1, "use_bias": True, "use_conv_bias": True,
        "tie_word_embeddings": True, "time_step_limit": [0.01, 10.0], "time_step_rank": 1}),
    "gemma3_text": (gemma3_text, {"hidden_size": 32, "num_hidden_layers": 3, "head_dim": 8,
        "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2,
        "vocab_size": 61, "sliding_window": 4, "sliding_window_pattern": 3}),
}  # fmt: skip


@pytest.mark.parametrize("architecture", SSM)
def test_right_padding_is_exact_for_recurrences_and_windows_too(architecture):
    module, sizes = SSM[architecture]
    mx.random.seed(1)
    net = module.Model(module.ModelArgs.from_dict({"model_type": architecture, **sizes}))
    prompts = [[3, 17, 5, 9, 22, 41, 7, 8, 1], [11], [4, 4, 30, 2]]
    whole = net(padded(prompts))
    for row, ids in enumerate(prompts):
        assert relative_error(whole[row, : len(ids)], net(mx.array([ids]))[0]) < TOLERANCE


def test_a_position_outside_one_of_the_prompts_is_refused_by_its_number(tiny):
    prompts = [tiny.encode(text) for text in TEXTS]
    edit = iv.edit(Site("resid_post", 1), iv.at_positions([len(prompts[1])], iv.zero_out))
    with pytest.raises(BadInput, match=r"prompt 2 of 3 has \d+ tokens: the edit at blocks.1"):
        forward_batch(tiny.net, tiny.anatomy, prompts, [], [edit])


@pytest.mark.parametrize("prompts", [[], [[1], []]])
def test_nothing_to_read_is_refused(tiny, prompts):
    with pytest.raises(BadInput, match="give each at least one"):
        forward_batch(tiny.net, tiny.anatomy, prompts)
