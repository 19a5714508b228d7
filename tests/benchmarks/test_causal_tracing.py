"""A causal trace beside bare forward passes of the same prompt, and beside a whole pass a cell."""

from mlxterp_engine.experiments import CausalTracing
from mlxterp_engine.running import run
from mlxterp_engine.techniques.causal_tracing import options_of, span_of
from mlxterp_engine.techniques.causal_tracing_noise import sigma_of_vocabulary, standard_noise
from mlxterp_engine.techniques.execute import price

import mlx.core as mx
import numpy as np
from benchmarks.pairs import alternate, ratio
from engine.techniques.naive_tracing import NaiveTracing

PROMPT, SUBJECT = "The Space Needle is in the city of", "Space Needle"
DRAWS = 2
ROUNDS = 3
CELLS = 20


def test_a_trace_beside_bare_forwards(smol):
    """Hidden states and both windows, all blocks, all tokens from the subject on."""
    request = CausalTracing(prompt=PROMPT, subject=SUBJECT, samples=DRAWS)
    ids = smol.encode(PROMPT)
    seconds = alternate(
        ROUNDS,
        bare=lambda: mx.eval(smol.run(ids).logits),
        trace=lambda: run(request, smol, log=False),
    )
    first, _ = span_of(smol, request)
    cells = 3 * smol.card.layers * (len(ids) - first) * DRAWS
    print(f"\n{smol.card.layers} blocks, {len(ids)} tokens, {DRAWS} draws, {cells} cells, in bare")
    print(f"forwards; the price said {price(smol, request).passes:.0f}:")
    print("  " + ratio(seconds, "trace", "bare"))


def test_the_trace_beside_the_naive_one(smol):
    """Cells by whole passes, drawn by a seed."""
    request = CausalTracing(prompt=PROMPT, subject=SUBJECT, samples=1)
    first, end = span_of(smol, request)
    noise = standard_noise(0, 1, end - first, smol.card.d_model)
    noise *= np.float32(3 * sigma_of_vocabulary(smol))
    naive = NaiveTracing(smol, PROMPT, first, noise)
    arrays = run(request, smol, log=False).arrays
    draw = np.random.default_rng(0)
    window = options_of(smol, request).window
    errors = []
    for _ in range(CELLS):
        block, position = int(draw.integers(30)), int(draw.integers(len(naive.ids)))
        expected = {
            "hidden": naive.hidden(0, block, position),
            "mlp": naive.windowed("mlp", 0, block, position, window, "code"),
            "attn": naive.windowed("attn", 0, block, position, window, "code"),
        }
        errors += [abs(arrays[name][block, position] - p) for name, p in expected.items()]
    print(f"\n  {len(errors)} cells of the naive trace: largest difference {max(errors):.1e}")
    assert max(errors) < 1e-5
