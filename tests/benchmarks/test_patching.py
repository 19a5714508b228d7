"""Patching sweeps beside bare forward passes of the same prompt, and beside the naive sweep."""

from mlxterp_engine.experiments import ActivationPatching, AttributionPatching
from mlxterp_engine.running import run
from mlxterp_engine.techniques.activation_patching import asked_of, kinds_of, pair_of
from mlxterp_engine.techniques.execute import prompted
from mlxterp_engine.techniques.patching import open_pair
from mlxterp_engine.techniques.patching_gradients import estimates
from mlxterp_engine.tracing.interventions import at_positions, edit, replace_with
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import numpy as np
from benchmarks.pairs import alternate, ratio

CLEAN = "When Mary and John went to the store, John gave a drink to"
PAIR = {
    "clean": CLEAN,
    "corrupt": CLEAN.replace(", John", ", Mary"),
    "answer": " Mary",
    "wrong": " John",
}
ROUNDS = 3


def swept(smol, sites):
    return run(ActivationPatching(sites=sites, **PAIR), smol, log=False).arrays


def finished(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def estimated(smol, sites):
    """Both runs and the backward pass, without the exact cells beside them."""
    request = ActivationPatching(sites=sites, **PAIR)
    pair, asked = pair_of(smol, request, prompted(smol, request)), asked_of(smol, request)
    session = open_pair(smol, pair, kinds_of(asked), "logit-diff", "denoise")
    return finished(estimates(session, asked, "logit-diff", pair.answers, 1))


def test_sweeps_beside_bare_forwards(smol):
    """The bounds: residual sweep 10, three sites and heads 40, attribution 3."""
    ids = smol.encode(CLEAN)
    maps = ["resid_pre", "attn_out", "mlp_out", "z"]
    seconds = alternate(
        ROUNDS,
        bare=lambda: mx.eval(smol.run(ids).logits),
        residual_sweep=lambda: swept(smol, ["resid_pre"]),
        three_sites_and_heads=lambda: swept(smol, maps),
        attribution=lambda: estimated(smol, maps),
        attribution_with_exact_cells=lambda: run(
            AttributionPatching(sites=maps, **PAIR), smol, log=False
        ),
    )
    print(f"\n{smol.card.layers} blocks, {len(ids)} tokens, in bare forwards of the prompt:")
    for name in seconds:
        if name != "bare":
            print("  " + ratio(seconds, name, "bare"))


def test_the_sweep_beside_the_naive_one(smol):
    """20 cells by whole passes, drawn by a seed; the whole sweep's cells take 420."""
    arrays = swept(smol, ["resid_pre"])
    states = [smol.run(smol.encode(PAIR[name]), smol.sites.all()) for name in ("clean", "corrupt")]
    answer, wrong = (smol.tokens.single(PAIR[name]) for name in ("answer", "wrong"))
    ids = smol.encode(PAIR["corrupt"])
    ends = [_difference(state.logits, answer, wrong) for state in states]
    draw = np.random.default_rng(0)
    cells = [(int(draw.integers(30)), int(draw.integers(14))) for _ in range(20)]
    errors = []
    for block, position in cells:
        site = Site("resid_pre", block)
        value = states[0].sites[site][:, position : position + 1]
        what = edit(site, at_positions([position], replace_with(value)))
        found = _difference(smol.run(ids, [], [what]).logits, answer, wrong)
        effect = (found - ends[1]) / (ends[0] - ends[1])
        errors.append(abs(effect - arrays["resid_pre"][block, position]))
    print(f"\n  20 cells of the naive sweep: largest difference of an effect {max(errors):.1e}")
    assert max(errors) < 1e-4


def _difference(logits, answer, wrong):
    return float(logits[0, -1, answer] - logits[0, -1, wrong])
