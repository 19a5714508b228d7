"""Runs with noise on their embeddings, gone on with from a block, beside whole passes.

Embeddings that are scaled or get positions added enter the first block as another array than the
embedding puts out: there the noise is on the first block's input.
"""

from mlxterp_engine import InterpretableModel
from mlxterp_engine.backend import as_numpy
from mlxterp_engine.models.anatomy import discover
from mlxterp_engine.techniques.causal_tracing_cells import Options, Restorations
from mlxterp_engine.techniques.causal_tracing_noise import sigma_of, sigma_of_vocabulary
from mlxterp_engine.tracing.added_noise import Added
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.interventions import add_vector, at_positions, edit, replace_with
from mlxterp_engine.tracing.proofs import proven
from mlxterp_engine.tracing.resume import patched_together, two_runs
from mlxterp_engine.tracing.resume_proof import find_resumption
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import numpy as np
import pytest
from engine.architectures.building import IDS, build

# Of the largest logit, float32: products of other shapes sum in another order.
CLOSE = 2e-5
FIRST, TOKENS = 5, 2  # of the noise
IDS_LIST = [int(i) for i in as_numpy(IDS)[0]]

# architecture: method, and whether the embedding's output is what enters the first block
ARCHITECTURES = {
    "llama": ("suffix", True),
    "gemma2": ("suffix", False),  # times the root of d_model
    "gpt2": ("suffix", False),  # positions are added, in place
    "cohere": ("suffix", True),  # attention and MLP side by side
    "falcon_h1": ("restart", True),
    "gemma3n": ("full", True),
}


class Alone:
    """Whole passes with one edit a place, the noise token by token."""

    def __init__(self, net, anatomy, sites, noise):
        self.net, self.anatomy = net, anatomy
        self.noise = [
            edit(Site("embed"), at_positions([FIRST + i], add_vector(vector)))
            for i, vector in enumerate(noise)
        ]
        every = [s for s in sites.all() if s.kind in ("resid_pre", "resid_post", *OUTPUTS)]
        self.clean = forward(net, anatomy, IDS, every)
        self.noised = forward(net, anatomy, IDS, every, self.noise)

    def logits(self, patch):
        edits = [*self.noise]
        for cells, run in ((patch.cells, self.clean), (patch.kept, self.noised)):
            for cell in cells:
                value = run.sites[cell.site][:, cell.position : cell.position + 1]
                edits.append(edit(cell.site, at_positions([cell.position], replace_with(value))))
        return as_numpy(forward(self.net, self.anatomy, IDS, (), edits).logits[0, -1])


OUTPUTS = ("mlp_out", "attn_out")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_places_given_back_to_a_noised_run_are_those_of_whole_passes(architecture):
    net = build(architecture)
    opened = proven(net, architecture, discover(net, IDS), {}, IDS)
    anatomy, sites = opened.anatomy, opened.sites
    method, plain = ARCHITECTURES[architecture]
    assert find_resumption(net, anatomy, sites, IDS).method == method
    assert (anatomy.embed is not None) == plain
    mx.random.seed(1)
    noise = mx.random.normal((TOKENS, anatomy.d_model))
    alone = Alone(net, anatomy, sites, noise)
    restorations = Restorations(anatomy, sites, Options(2, sever="mlp"))
    record = [site for name in restorations.maps for site in restorations.sites_of(name)]
    runs = two_runs(net, anatomy, IDS_LIST, IDS_LIST, record, method, Added(FIRST, noise))
    assert runs.first == FIRST
    largest = np.abs(as_numpy(runs.logits)).max()
    for row, run in zip(runs.logits, (alone.noised, alone.clean), strict=True):
        assert np.abs(as_numpy(row) - as_numpy(run.logits[0, -1])).max() <= CLOSE * largest
    moved = []
    for position in (FIRST, FIRST + 3, len(IDS_LIST) - 1):
        columns = [restorations.column(name, position) for name in restorations.maps]
        patches = [cell.patch for column in columns for cell in column]
        if not patches:
            continue
        found = as_numpy(patched_together(net, anatomy, runs, patches, method).logits)
        expected = np.stack([alone.logits(patch) for patch in patches])
        assert np.abs(found - expected).max() <= CLOSE * largest
        moved.append(np.abs(expected - as_numpy(runs.logits[:1])).max() / largest)
    assert not moved or max(moved) > 100 * CLOSE  # something is given back


@pytest.mark.parametrize(("architecture", "factor"), [("llama", 1.0), ("gemma2", 32**0.5)])
def test_sigma_is_of_the_embedding_as_the_model_uses_it(architecture, factor):
    """Gemma multiplies its embeddings by the root of d_model, 32 here."""
    net = build(architecture)
    table = np.array(net.model.embed_tokens.weight)
    model = InterpretableModel(net)
    assert sigma_of_vocabulary(model) == pytest.approx(factor * table.std(), rel=1e-5)
    assert sigma_of(model, [3, 3, 7]) == pytest.approx(factor * table[[3, 3, 7]].std(), rel=1e-5)
