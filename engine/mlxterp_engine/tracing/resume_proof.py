"""Which way of resuming a run gives this model's own numbers: tried on a few tokens, fastest first.

A model may look at more than its residual stream: at keys of another block, at the whole
prompt's hash, at a state that no cache keeps by token. Such models show it here, and their
patches are whole passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.anatomy_parts import Anatomy
from mlxterp_engine.tracing import resume_cache
from mlxterp_engine.tracing.patching_rows import Cell
from mlxterp_engine.tracing.proofs import relative_error
from mlxterp_engine.tracing.resume import Method, make_prompt_cache, patched, two_runs
from mlxterp_engine.tracing.sites import Site, SiteTable

import mlx.core as mx

# In float32, in 16-bit floats: products of other shapes sum in another order.
TOLERANCE = (1e-4, 5e-2)
STATES = ("resid_pre", "attn_out", "mlp_out")
HEADS = ("attn.q", "attn.k", "attn.v", "attn.pattern", "attn.z")
CANNOT = (BadInput, ValueError, TypeError, IndexError, KeyError, RuntimeError, AttributeError)


@dataclass(frozen=True)
class Resumption:
    """The method, its error against whole passes, and why no faster one was taken."""

    method: Method
    error: float
    reasons: tuple[str, ...] = ()


def find_resumption(net: Any, anatomy: Anatomy, sites: SiteTable, ids: mx.array) -> Resumption:
    """ids: [1, pos], eight or so varied tokens."""
    reasons = []
    for method, reason in _candidates(net, anatomy):
        if reason:
            reasons.append(f"{method}: {reason}")
            continue
        try:
            error = _error(net, anatomy, sites, [int(i) for i in as_numpy(ids)[0]], method)
        except CANNOT as trouble:
            reasons.append(f"{method}: {' '.join(str(trouble).split())[:120]}")
            continue
        if error <= TOLERANCE[anatomy.dtype != mx.float32]:
            return Resumption(method, error, tuple(reasons))
        reasons.append(f"{method}: differs from whole passes by {error:.1e} of the largest logit")
    return Resumption("full", 0.0, tuple(reasons))


def foreseen(net: Any, anatomy: Anatomy) -> Method:
    """The method that will be tried first, without running anything."""
    for method, reason in _candidates(net, anatomy):
        if not reason:
            return method
    return "full"


def _candidates(net: Any, anatomy: Anatomy) -> Iterator[tuple[Method, str]]:
    streams = all(block.stream is not None for block in anatomy.blocks)
    no_stream = "" if streams else "not every block has one residual stream"
    cuttable = resume_cache.can_be_cut(make_prompt_cache(net))
    no_cache = "" if cuttable else "its caches don't hold each token by itself"
    yield "suffix", no_stream or no_cache
    yield "restart", no_stream


def _error(net: Any, anatomy: Anatomy, sites: SiteTable, ids: list[int], method: Method) -> float:
    """The largest, over patches of every kind in the first, the middle and the last block."""
    last = len(ids) - 1
    other = [*ids[: last // 2], *ids[last // 2 + 1 :], ids[0]]  # the second half is another
    cells = list(_probes(sites, last - 2))
    record = list({cell.site.whole for cell in cells})
    runs = two_runs(net, anatomy, ids, other, record, method)
    whole = two_runs(net, anatomy, ids, other, record, "full")
    at_last = [Cell(c.site, last) for c in cells if c.position is not None]
    errors = []
    for batch in (cells, at_last):
        if batch:
            found = patched(net, anatomy, runs, batch, method)
            expected = patched(net, anatomy, whole, batch, "full")
            errors.append(relative_error(found.logits, expected.logits))
    return max(errors, default=0.0)


def _probes(sites: SiteTable, position: int) -> Iterator[Cell]:
    for kind in (*STATES, *HEADS):
        blocks = [block for block in range(sites.blocks) if sites.has(kind, block)]
        for block in sorted({*blocks[:1], *blocks[len(blocks) // 2 :][:1], *blocks[-1:]}):
            if kind in HEADS:
                yield Cell(Site(kind, block, (sites.heads_of(kind, block) - 1,)))
            else:
                yield Cell(Site(kind, block), position)
