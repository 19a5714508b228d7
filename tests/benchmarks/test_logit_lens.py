"""The lens in bare forwards of the same prompt, and when its first row is there."""

import time

from mlxterp_engine import LogitLens
from mlxterp_engine.experiments import LogitLensRow
from mlxterp_engine.techniques.execute import execute

import mlx.core as mx
import pytest
from benchmarks.pairs import alternate, ratio

WORD = " one two three"


@pytest.mark.parametrize("length", [16, 64])
def test_lens_with_top_10_entropy_kl_and_ranks(smol, length):
    prompt = (WORD * length)[: len(WORD) * length // 3]
    ids = smol.encode(prompt)
    first = []

    def lens():
        start = time.perf_counter()
        for part in execute(smol, LogitLens(prompt=prompt, top_k=10, target=" the")):
            if isinstance(part, LogitLensRow) and part.layer == smol.card.layers - 1:
                first.append(time.perf_counter() - start)

    def first_row():
        steps = execute(smol, LogitLens(prompt=prompt, top_k=10))
        while not isinstance(next(steps), LogitLensRow):
            pass
        steps.close()

    bare = mx.array([ids])
    seconds = alternate(12, lens=lens, first_row=first_row, bare=lambda: mx.eval(smol.net(bare)))
    print(f"\nlogit lens, {smol.card.layers + 1} rows × {len(ids)} tokens:")
    print("  " + ratio(seconds, "lens", "bare"))
    print("  " + ratio(seconds, "first_row", "bare"))
