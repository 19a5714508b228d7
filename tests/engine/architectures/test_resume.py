"""Runs that go on from a block, beside whole passes with one edit each, over architectures.

Grouped heads, sliding windows, parallel blocks, post-norms, soft-caps, experts, latent attention,
sinks, state-space mixers: what a model allows is found out, and what it does not is done whole.
"""

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.models.anatomy import discover
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.interventions import at_positions, edit, replace_with
from mlxterp_engine.tracing.patching_rows import Cell
from mlxterp_engine.tracing.proofs import proven
from mlxterp_engine.tracing.resume import patched, two_runs
from mlxterp_engine.tracing.resume_proof import find_resumption
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import numpy as np
import pytest
from engine.architectures.building import IDS, build

OTHER = [1, 5, 9, 30, 44, 7, 2, 88, 18, 60, 33, 12]  # differs at 5 and at 8
# Of the largest logit, float32: products of other shapes sum in another order. Where experts
# are chosen a rounding may choose another one; on these weights it does not.
CLOSE = 2e-5

METHODS = {
    "llama": "suffix",
    "qwen2": "suffix",
    "gemma2": "suffix",  # soft-caps, post-norms, a softmax written out
    "gemma3_text": "suffix",  # every second block has a window of 5 tokens
    "gpt_oss": "suffix",  # sinks, windows, experts
    "cohere": "suffix",  # attention and MLP side by side
    "gpt_neox": "suffix",
    "olmo2": "suffix",  # post-norms alone
    "deepseek_v3": "suffix",  # latent attention, experts
    "mixtral": "suffix",
    "minicpm": "suffix",  # the stream receives multiples
    "openelm": "suffix",  # other heads in other blocks
    "falcon_h1": "restart",  # attention and a state-space mixer side by side
    "lfm2": "restart",  # convolutions
    "qwen3_next": "restart",
    "afm7": "full",  # blocks that read another one's keys
    "gemma3n": "full",  # four streams
    "rwkv7": "full",
}


def cells_of(sites):
    """A cell of every kind in every block, at positions that differ and at others."""
    for block in range(sites.blocks):
        for kind in ("resid_pre", "attn_out", "mlp_out"):
            if sites.has(kind, block):
                yield Cell(Site(kind, block), (5, 7, 11)[block % 3])
        for kind in ("attn.q", "attn.k", "attn.v", "attn.pattern", "attn.z"):
            if sites.has(kind, block):
                head = block % sites.heads_of(kind, block)
                yield Cell(Site(kind, block, (head,)))
                yield Cell(Site(kind, block, (head,)), 8)


def alone(net, anatomy, runs, cell):
    """The last token's logits of one whole pass with one edit."""
    value = runs.source[cell.site.whole]
    if cell.site.part is not None:
        value = value[:, mx.array(cell.site.part)]
    what = replace_with(value)
    if cell.position is not None:
        what = replace_with(value[..., cell.position : cell.position + 1, :])
        what = at_positions([cell.position], what)
    run = forward(net, anatomy, mx.array([list(runs.ids[0])]), (), [edit(cell.site, what)])
    return as_numpy(run.logits[0, -1])


@pytest.mark.parametrize("architecture", METHODS)
def test_resumed_runs_are_whole_passes(architecture):
    net = build(architecture)
    opened = proven(net, architecture, discover(net, IDS), {}, IDS)
    resumption = find_resumption(net, opened.anatomy, opened.sites, IDS)
    assert resumption.method == METHODS[architecture]
    cells = list(cells_of(opened.sites))
    record = list({cell.site.whole for cell in cells})
    ids = [int(i) for i in as_numpy(IDS)[0]]
    runs = two_runs(net, opened.anatomy, ids, OTHER, record, resumption.method)
    by_start, moved = {}, []
    for cell in cells:
        by_start.setdefault(cell.position, []).append(cell)
    for group in by_start.values():
        found = as_numpy(patched(net, opened.anatomy, runs, group, resumption.method).logits)
        expected = np.stack([alone(net, opened.anatomy, runs, cell) for cell in group])
        largest = np.abs(expected).max()
        assert np.abs(found - expected).max() <= CLOSE * largest
        moved.append(np.abs(expected - as_numpy(runs.logits[:1])).max() / largest)
    assert max(moved) > 100 * CLOSE  # patches do something


def test_a_model_says_why_it_cannot_go_on_from_a_block():
    net = build("gemma3n")
    opened = proven(net, "gemma3n", discover(net, IDS), {}, IDS)
    reasons = find_resumption(net, opened.anatomy, opened.sites, IDS).reasons
    assert reasons == (
        "suffix: not every block has one residual stream",
        "restart: not every block has one residual stream",
    )
