"""The reference: for each sender two whole passes of its own, written as the definition reads."""

from __future__ import annotations

from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.interventions import edit, replace_with
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx


def sent(net, anatomy, sites, ids, unpatched, source, sender, receivers, *, mlps, mixers=False):
    """The last token's logits [vocab] of the run in which `sender` is heard by `receivers` alone.

    unpatched, source: both runs' arrays by site. sender: (block, head). receivers: sites with a
    head each; none: the final state. mlps: kept too. mixers: keep other blocks' attn_out besides
    z, where gates or state-space mixers stand beside the heads.
    """
    block, head = sender
    edits = []
    for b in range(sites.blocks):
        z = Site("attn.z", b)
        if sites.has("attn.z", b):
            values = mx.array(unpatched[z])
            if b == block:
                values[:, head] = source[z][:, head]
            edits.append(edit(z, replace_with(values)))
        if mixers and b != block:
            edits.append(_kept(Site("attn_out", b), unpatched))
        if mlps:
            edits.append(_kept(Site("mlp_out", b), unpatched))
    wanted = {site.whole for site in receivers}
    first = forward(net, anatomy, mx.array([ids]), wanted, edits)
    if not receivers:
        return first.logits[0, -1]
    arrived = [
        edit(site, replace_with(first.sites[site.whole][:, mx.array(site.part)]))
        for site in receivers
    ]
    return forward(net, anatomy, mx.array([ids]), (), arrived).logits[0, -1]


def _kept(site, unpatched):
    return edit(site, replace_with(unpatched[site]))
