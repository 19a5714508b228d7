"""Multi-head latent attention: with a cache, one token alone reads compressed keys."""

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.anatomy import discover
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.interventions import edit, zero_out
from mlxterp_engine.tracing.proofs import relative_error
from mlxterp_engine.tracing.sites import Site

import pytest
from engine.architectures.building import IDS, build
from mlx_lm.models.cache import make_prompt_cache

PATTERN, OUT, Z = (Site(kind, 2) for kind in ("attn.pattern", "attn_out", "attn.z"))


@pytest.fixture(params=["deepseek_v3", "glm4_moe_lite"])
def latent(request):
    net = build(request.param)
    return net, discover(net, IDS)


def last_token(latent, *arguments, **options):
    """A pass over the last token, the others in the cache."""
    net, anatomy = latent
    cache, before = make_prompt_cache(net), IDS.shape[1] - 1
    forward(net, anatomy, IDS[:, :before], cache=cache)
    return forward(net, anatomy, IDS[:, before:], *arguments, cache=cache, offset=before, **options)


def test_patterns_and_increments_are_those_of_the_full_pass(latent):
    alone = last_token(latent, [PATTERN, OUT])
    full = forward(*latent, IDS, [PATTERN, OUT])
    assert relative_error(alone.sites[PATTERN], full.sites[PATTERN][:, :, -1:]) < 1e-5
    assert relative_error(alone.sites[OUT], full.sites[OUT][:, -1:]) < 1e-5


def test_what_is_compressed_there_is_refused_in_words(latent):
    with pytest.raises(BadInput, match=r"blocks\.2\.attn\.z in another form"):
        last_token(latent, [Z])
    with pytest.raises(BadInput, match="compressed"):
        last_token(latent, edits=[edit(Z, zero_out)])
    assert forward(*latent, IDS, [Z]).sites[Z].shape == (1, 4, 12, 6)
