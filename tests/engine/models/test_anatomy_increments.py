"""What a block adds is found among all that is computed in it, whatever the arithmetic."""

from mlxterp_engine.models.anatomy import discover
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.interventions import add_vector, edit
from mlxterp_engine.tracing.proofs import relative_error
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import mlx.nn as nn
import pytest

IDS = mx.array([[1, 5, 9, 30, 44, 71, 2, 88]])
WIDTH = 8


class Mixer(nn.Module):
    """Each position gets the sum of those up to it."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(WIDTH, WIDTH)

    def __call__(self, x):
        return mx.cumsum(self.inner(x), axis=1)


class Block(nn.Module):
    """A mixer, an MLP and a third part, added up by a given rule."""

    def __init__(self, rule):
        super().__init__()
        self.norm, self.mixer = nn.LayerNorm(WIDTH), Mixer()
        self.mlp, self.third = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self._rule = rule

    def __call__(self, x):
        return self._rule(self, x)


class Model(nn.Module):
    def __init__(self, rule, largest=1.0):
        super().__init__()
        mx.random.seed(0)
        self.embed, self.norm = nn.Embedding(90, WIDTH), nn.LayerNorm(WIDTH)
        self.embed.weight = self.embed.weight * mx.array([largest] + [1.0] * (WIDTH - 1))
        self.layers, self.head = [Block(rule)], nn.Linear(WIDTH, 90)

    def __call__(self, ids):
        return self.head(self.norm(self.layers[0](self.embed(ids))))


def plain(block, x):
    x = x + block.mixer(block.norm(x))
    return x + block.mlp(block.norm(x))


def multiplied(block, x):
    x = x + 0.4 * block.mixer(block.norm(x))
    return x + 0.7 * block.mlp(block.norm(x))


def three(block, x):
    x = x + block.mixer(block.norm(x))
    y = block.norm(x)
    return x + block.mlp(y) + block.third(y)


def scaled(block, x):
    return 1.5 * plain(block, x)


def normed_first(block, x):
    x = block.norm(x)
    x = x + block.mixer(x)
    return x + block.mlp(x)


def multiplicative(block, x):
    return x * block.mixer(x)


def found(rule, largest=1.0):
    net = Model(rule, largest)
    return net.layers[0], discover(net, IDS).blocks[0]


def modules(terms):
    return [term.module for term in terms]


@pytest.mark.parametrize("largest", [1.0, 1e6])
def test_two_terms_are_found_also_beside_one_huge_entry(largest):
    """Beside an entry of 1e6 any sum of small terms is right to 1e-5 of the largest."""
    block, parts = found(plain, largest)
    assert modules(parts.attn_out) == [block.mixer]
    assert modules(parts.mlp_out) == [block.mlp]
    assert [term.coefficient for term in parts.attn_out + parts.mlp_out] == [1.0, 1.0]
    assert (parts.scale, parts.entry) == (1.0, None)


def test_residual_multipliers_are_fitted():
    block, parts = found(multiplied)
    (attn_out,), (mlp_out,) = parts.attn_out, parts.mlp_out
    assert (attn_out.module, mlp_out.module) == (block.mixer, block.mlp)
    assert attn_out.coefficient == pytest.approx(0.4, rel=1e-5)
    assert mlp_out.coefficient == pytest.approx(0.7, rel=1e-5)


def test_what_follows_the_mixer_is_one_increment():
    block, parts = found(three)
    assert modules(parts.attn_out) == [block.mixer]
    assert modules(parts.mlp_out) == [block.mlp, block.third]


def test_a_block_that_scales_the_whole_stream_says_by_how_much():
    block, parts = found(scaled)
    assert parts.scale == pytest.approx(1.5, rel=1e-5)
    assert [t.coefficient for t in parts.attn_out + parts.mlp_out] == pytest.approx([1, 1])
    assert modules(parts.mlp_out) == [block.mlp]


def test_a_block_that_norms_the_stream_first_starts_behind_that_norm():
    block, parts = found(normed_first)
    assert parts.entry is block.norm
    assert modules(parts.attn_out) == [block.mixer]
    assert modules(parts.mlp_out) == [block.mlp]


def test_there_an_edit_of_the_stream_is_made_once_behind_the_norm():
    net = Model(normed_first)
    anatomy, shift = discover(net, IDS), mx.arange(WIDTH) * 1.0
    pre, out = Site("resid_pre", 0), Site("attn_out", 0)
    clean = forward(net, anatomy, IDS, [pre])
    edited = forward(net, anatomy, IDS, [pre, out], [edit(pre, add_vector(shift))])
    assert relative_error(edited.sites[pre], clean.sites[pre] + shift) < 1e-6
    assert relative_error(edited.sites[out], net.layers[0].mixer(clean.sites[pre] + shift)) < 1e-6


def test_a_block_that_does_not_add_lacks_increments_and_keeps_its_states():
    _, parts = found(multiplicative)
    assert "add up" in parts.missing["attn_out"]
    assert {"attn_out", "mlp_out", "resid_mid", "mlp.post"} <= parts.missing.keys()
    assert "resid_post" not in parts.missing
