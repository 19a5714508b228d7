"""Two runs of unequal lengths, of which some positions correspond.

What the source has at a position is read as that of its partner in the unpatched run; where there
is none, the unpatched run's own values stand, so that a patch changes nothing. Keys and queries
were turned by their own positions (Su et al. 2021, arXiv 2104.09864), and are copied as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from mlxterp_engine.models.anatomy_parts import Anatomy
from mlxterp_engine.tracing.resume import Method, TwoRuns, two_runs
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx

NOWHERE = -1  # no token's id


def aligned_runs(
    net: Any,
    anatomy: Anatomy,
    unpatched: Sequence[int],
    source: Sequence[int],
    source_of: Sequence[int | None],
    record: Collection[Site],
    method: Method,
) -> TwoRuns:
    """source_of: by position of the unpatched run that of the source. Patterns are not moved."""
    own = two_runs(net, anatomy, unpatched, unpatched, record, method)
    other = two_runs(net, anatomy, source, source, record, method)

    def moved(a: mx.array, b: mx.array) -> mx.array:
        """a, b: [..., pos, d] -> b at the partners of a's positions, else a."""
        has = mx.array([at is not None for at in source_of])[:, None]
        return mx.where(has, mx.take(b, mx.array([at or 0 for at in source_of]), axis=-2), a)

    ends = None
    if own.ends is not None and other.ends is not None:
        first = own.ends[:1]
        ends = mx.concatenate([first, moved(first, other.ends[:1])])
    runs = replace(
        own,
        ids=(tuple(unpatched), read_as(source, source_of)),
        logits=mx.concatenate([own.logits[:1], other.logits[:1]]),
        source={site: moved(own.unpatched[site], other.unpatched[site]) for site in record},
        ends=ends,
    )
    mx.eval(runs.logits, list(runs.source.values()), [] if ends is None else ends)
    return runs


def read_as(source: Sequence[int], source_of: Sequence[int | None]) -> tuple[int, ...]:
    """The source's ids by position of the unpatched run; NOWHERE from where positions shift."""
    return tuple(source[p] if at == p else NOWHERE for p, at in enumerate(source_of))
