"""Greedy tokens, beside mlx-lm's own loop on the same net, without and with edits."""

from mlxterp_engine.tracing import interventions as iv
from mlxterp_engine.tracing.generation import finish, generate
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
from benchmarks.pairs import alternate, ratio
from mlx_lm.generate import generate_step

TOKENS = 40


def test_generation_beside_mlx_lm(smol):
    ids = smol.encode("The capital of France is")
    stream = [iv.edit(Site("resid_post", 10), iv.scale(1.0))]
    keys = [iv.edit(Site("attn.k", 10), iv.scale(1.0))]

    def ours(edits=()):
        return finish(generate(smol.net, smol.anatomy, ids, edits, max_tokens=TOKENS)).ids

    def theirs():
        return [token for token, _ in generate_step(mx.array(ids), smol.net, max_tokens=TOKENS)]

    assert ours() == theirs()
    seconds = alternate(
        5,
        ours=ours,
        an_edit_of_the_stream=lambda: ours(stream),
        an_edit_of_keys=lambda: ours(keys),
        theirs=theirs,
    )
    print(f"\n{TOKENS} new tokens:")
    for name in ("ours", "an_edit_of_the_stream", "an_edit_of_keys"):
        print("  " + ratio(seconds, name, "theirs"))
