"""With a cache, a sliding window's keys stand in a ring: sites show them by their positions."""

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.anatomy import discover
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.interventions import at_positions, edit, scale
from mlxterp_engine.tracing.proofs import relative_error
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import pytest
from engine.architectures.building import IDS, build
from mlx_lm.models.cache import RotatingKVCache, make_prompt_cache

WINDOW, PREFIX, LENGTH = 5, 4, IDS.shape[1]


@pytest.fixture(params=["llama", "gemma3_text", "gpt_oss", "recurrent_gemma"], ids=str)
def model(request):
    """A model, and its first block with a window."""
    net = build(request.param)
    rings = [isinstance(cache, RotatingKVCache) for cache in make_prompt_cache(net)]
    return net, discover(net, IDS), rings.index(True)


def token_by_token(net, anatomy, edits=(), record=(), cache=None):
    """A prefix and then every token alone, on one cache."""
    cache = cache or make_prompt_cache(net)
    passes = [forward(net, anatomy, IDS[:, :PREFIX], record, edits, cache=cache)]
    for at in range(PREFIX, LENGTH):
        token = IDS[:, at : at + 1]
        passes.append(forward(net, anatomy, token, record, edits, cache=cache, offset=at))
    return passes


def test_keys_values_and_patterns_are_those_of_the_full_pass_in_its_order(model):
    net, anatomy, block = model
    keys, values, pattern = (Site(f"attn.{kind}", block) for kind in ("k", "v", "pattern"))
    full = forward(net, anatomy, IDS, [keys, values, pattern]).sites
    for at, alone in enumerate(token_by_token(net, anatomy, record=full)[1:], start=PREFIX):
        rows = slice(max(0, at + 1 - WINDOW), at + 1)
        for site in (keys, values):
            assert relative_error(alone.sites[site], full[site][:, :, rows]) < 1e-5
        expected = full[pattern][:, :, at : at + 1, rows]
        assert relative_error(alone.sites[pattern], expected) < 1e-5


@pytest.mark.parametrize("kind", ["attn.k", "attn.v"])
@pytest.mark.parametrize("position", [2, 6, 9])
def test_an_edit_of_a_position_follows_it_around_the_ring(model, kind, position):
    net, anatomy, block = model
    change = edit(Site(kind, block), at_positions([position], scale(-3.0)))
    full = forward(net, anatomy, IDS, edits=[change]).logits
    bare = forward(net, anatomy, IDS).logits
    passes = token_by_token(net, anatomy, [change])
    together = mx.concatenate([run.logits for run in passes], axis=1)
    assert relative_error(together, full) < 1e-4
    assert relative_error(together, bare) > 1e-3


def test_a_ring_that_keeps_its_first_rows_is_refused_in_words():
    net = build("llama")
    anatomy = discover(net, IDS)
    cache = [RotatingKVCache(max_size=WINDOW, keep=1) for _ in net.layers]
    with pytest.raises(BadInput, match="5 keys in this sliding window's cache"):
        token_by_token(net, anatomy, record=[Site("attn.pattern", 0)], cache=cache)
