"""Path patching beside bare forward passes of the same prompt, and beside two passes a sender."""

from mlxterp_engine.experiments import PathPatching
from mlxterp_engine.running import run

import mlx.core as mx
from benchmarks.pairs import alternate, ratio

STORY = "When Mary and John went to the store, {} gave a drink to"
PAIR = {
    "clean": STORY.format("John"),
    "corrupt": STORY.format("Mary"),
    "answer": " Mary",
    "wrong": " John",
}
QUERY = ["blocks.23.attn.q[3]"]  # of the head that writes most of the answer


def patched(smol, **fields):
    return run(PathPatching(**PAIR, **fields), smol, log=False)


def test_path_patching_beside_bare_forwards(smol):
    """A sender alone takes two forward passes: 270 heads 270 passes to the end, 414 to a query."""
    ids = smol.encode(PAIR["clean"])
    seconds = alternate(
        2,
        bare=lambda: mx.eval(smol.run(ids).logits),
        final=lambda: patched(smol),
        final_mlps_kept=lambda: patched(smol, freeze="heads+mlps"),
        query=lambda: patched(smol, receivers=QUERY),
        query_mlps_kept=lambda: patched(smol, receivers=QUERY, freeze="heads+mlps"),
    )
    print(f"\n{smol.card.layers} blocks, {len(ids)} tokens, in bare forwards of the prompt:")
    for name in seconds:
        if name != "bare":
            print("  " + ratio(seconds, name, "bare"))
