"""Path patching beside two whole passes for each sender, over architectures.

Parallel blocks, post-norms, soft-caps, experts, latent attention, sinks, gates behind the heads,
state-space mixers beside them, streams that can't be resumed.
"""

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.models.anatomy import discover
from mlxterp_engine.tracing.patching_rows import Cell
from mlxterp_engine.tracing.paths import Paths, delivered
from mlxterp_engine.tracing.proofs import proven
from mlxterp_engine.tracing.resume import two_runs
from mlxterp_engine.tracing.resume_proof import find_resumption
from mlxterp_engine.tracing.sites import Site

import numpy as np
import pytest
from engine.architectures.building import IDS, build
from engine.architectures.test_resume import CLOSE, METHODS, OTHER
from engine.techniques.naive_path_patching import sent

MIXERS = ("falcon_h1", "lfm2", "qwen3_next")  # something stands beside or behind the heads
NO_HEADS = ("rwkv7",)


def kept(sites, mlps):
    kinds = ["attn.z", "attn_out", *(["mlp_out"] if mlps else [])]
    return tuple(Site(k, b) for b in range(sites.blocks) for k in kinds if sites.has(k, b))


def receivers(sites):
    """None: `final`; then the last block's v and, where it is seen, q."""
    yield ()
    block = max(b for b in range(sites.blocks) if sites.has("attn.v", b))
    yield (Site("attn.v", block, (0,)),)
    if sites.has("attn.q", block):
        yield (Site("attn.q", block, (1,)), Site("attn.k", block, (0,)))


@pytest.mark.parametrize("architecture", [name for name in METHODS if name not in NO_HEADS])
def test_what_arrives_is_what_two_whole_passes_bring(architecture):
    net = build(architecture)
    opened = proven(net, architecture, discover(net, IDS), {}, IDS)
    anatomy, sites = opened.anatomy, opened.sites
    method = find_resumption(net, anatomy, sites, IDS).method
    ids = [int(i) for i in as_numpy(IDS)[0]]
    heads = [b for b in range(sites.blocks) if sites.has("attn.z", b)]
    moved = []
    for heard in receivers(sites):
        mlps = bool(heard) and all(sites.has("mlp_out", b) for b in range(sites.blocks))
        paths = Paths(heard, kept(sites, mlps))
        record = {*paths.kept, *(site.whole for site in heard), *(Site("attn.z", b) for b in heads)}
        runs = two_runs(net, anatomy, ids, OTHER, record, method)
        blocks = [b for b in heads if paths.reaches(b)]
        senders = [Cell(Site("attn.z", b, (b % sites.heads_of("attn.z", b),))) for b in blocks]
        found = delivered(net, anatomy, runs, [*senders[::-1], None], paths, method).patched
        expected = [
            as_numpy(
                sent(
                    net,
                    anatomy,
                    sites,
                    ids,
                    runs.unpatched,
                    runs.source,
                    (sender.block, sender.site.part[0]),
                    heard,
                    mlps=mlps,
                    mixers=architecture in MIXERS,
                )
            )
            for sender in senders[::-1]
        ]
        own = as_numpy(runs.logits[0])
        largest = np.abs(own).max()
        logits = as_numpy(found.logits)
        assert np.abs(logits - np.stack([*expected, own])).max() <= CLOSE * largest
        moved.append(np.abs(np.stack([*expected, own]) - own).max() / largest)
    assert max(moved) > 100 * CLOSE  # something is heard
