"""The hash of an unembedding follows what stands outside the blocks, and nothing inside."""

from mlxterp_engine import InterpretableModel
from mlxterp_engine.lenses.identity import identity, unembedding_sha256

import mlx.core as mx
import mlx.nn as nn
import pytest


@pytest.fixture
def model() -> InterpretableModel:
    """Its own copy: the test changes it."""
    return InterpretableModel("glass-tiny")


def hash_of(model: InterpretableModel) -> str:
    return unembedding_sha256(model.net, model.anatomy)


def test_a_model_is_known_by_its_weights_and_its_unembedding(model, tiny):
    found = identity(tiny.card, tiny.net, tiny.anatomy)
    assert found == identity(model.card, model.net, model.anatomy)
    assert (found.reference, found.layers, found.d_model) == ("glass-tiny", 4, 128)
    assert found.sha256 == tiny.card.sha256 != found.unembedding_sha256


def test_the_norms_and_the_unembeddings_weights_count_and_a_blocks_do_not(model):
    before = hash_of(model)
    block = model.net.model.layers[1].mlp.down_proj
    block.weight = block.weight + 1
    assert hash_of(model) == before
    for module in (model.net.model.norm, model.net.model.embed_tokens):
        kept = module.weight
        module.weight = kept + 0.5
        assert hash_of(model) != before
        module.weight = kept
    assert hash_of(model) == before


def test_quantised_weights_hash_as_the_numbers_that_they_stand_for(model):
    """As on a GPU, where they stay packed, beside a CPU, where they are dequantised."""
    embed = model.net.model.embed_tokens
    packed = nn.QuantizedEmbedding.from_embedding(embed, group_size=32, bits=4)
    model.net.model.embed_tokens = packed
    quantised = hash_of(model)
    plain = nn.Embedding(*embed.weight.shape)
    plain.weight = mx.dequantize(packed.weight, packed.scales, packed.biases, 32, 4)
    model.net.model.embed_tokens = plain
    assert hash_of(model) == quantised
