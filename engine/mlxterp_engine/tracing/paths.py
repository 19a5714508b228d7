"""One head's z of the source run, brought to chosen receivers along some paths alone.

Path patching of Wang et al. 2022 (arXiv 2211.00593, appendix B). First pass: the unpatched run
with the sender's z of the source run, all other heads kept as they were, MLPs kept or computed
anew; what arrives at the receivers is recorded. Second pass: the unpatched run with that written
in, everything behind computed anew. Of `final`, the last block's output, the first pass is all.

Kept is what a block's token mixer adds (`attn_out`), so that gates and state-space mixers beside
the heads stay too, and z itself, so that no attention is computed. A row of the batch joins at
its sender's block; in the second pass at the first receiver behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlxterp_engine.models.anatomy_parts import Anatomy
from mlxterp_engine.tracing.interventions import Edit, Operation
from mlxterp_engine.tracing.patching_rows import Cell
from mlxterp_engine.tracing.resume import Method, Patched, TwoRuns, rows_from, suffix_start
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx

NOTHING = -1  # the block of a row without a sender, in which all is kept


@dataclass(frozen=True)
class Paths:
    """What is reached, and what is held still on the way.

    receivers: some heads' q, k or v, by block; none: `final`. kept: sites that stay as they are
    in the unpatched run, among those of `TwoRuns.unpatched`.
    """

    receivers: tuple[Site, ...]
    kept: tuple[Site, ...]

    @property
    def end(self) -> int | None:
        """The last block that has a receiver; None for `final`."""
        return max((_block(site) for site in self.receivers), default=None)

    def reaches(self, block: int) -> bool:
        """Whether a head of that block stands before some receiver."""
        return self.end is None or block < self.end

    def first_behind(self, block: int) -> int:
        """The first block with a receiver behind a sender's block."""
        return min(_block(site) for site in self.receivers if _block(site) > block)


@dataclass(frozen=True, eq=False)
class Delivered:
    """Of each sender what its run came to, and by how much what arrived differs. Not evaluated.

    change: [row], the most by which a token's values at a receiver differ from the unpatched
    run's, of that token's largest entry there; empty where states are not known.
    """

    patched: Patched
    change: mx.array


def delivered(
    net: Any,
    anatomy: Anatomy,
    runs: TwoRuns,
    senders: Sequence[Cell | None],
    paths: Paths,
    method: Method,
) -> Delivered:
    """A run for each sender, a head's z; None: with nothing sent. Rows in the order given.

    Every sender has to stand before some receiver.
    """
    order = sorted(range(len(senders)), key=lambda i: _sent_from(senders[i]))
    placed = [senders[i] for i in order]
    blocks = [_sent_from(sender) for sender in placed]
    start = run_from(runs, paths, method)
    joining = [max(block, 0) for block in blocks]
    receivers = [site for site in paths.receivers if _block(site) > blocks[0]]
    record = {site.whole for site in receivers}
    edits = _keeping(runs, placed, paths, joining[0])
    found = rows_from(net, anatomy, runs, edits, joining, start, method, record)
    change = _change(runs, found, receivers, len(placed))
    if receivers:
        joining = [paths.first_behind(block) for block in blocks]
        edits = _arriving(receivers, found.sites)
        found = rows_from(net, anatomy, runs, edits, joining, start, method)
    back = mx.array(sorted(range(len(order)), key=order.__getitem__))
    state = None if found.state is None else found.state[back]
    patched = Patched(found.logits[back], state)
    return Delivered(patched, change[back] if change.size else change)


def _block(site: Site) -> int:
    assert site.block is not None  # the model's own sites send and receive nothing
    return site.block


def _heads(site: Site) -> mx.array:
    assert site.part is not None  # receivers are heads
    return mx.array(site.part)


def _sent_from(sender: Cell | None) -> int:
    return NOTHING if sender is None else sender.block


def run_from(runs: TwoRuns, paths: Paths, method: Method) -> int:
    """The first token that is run.

    With all heads kept no token hears of another, so that of `final` the last alone counts.
    """
    start = suffix_start(runs, method)
    if method == "suffix" and not paths.receivers:
        return max(start, runs.tokens - 2)  # latent attention has another form for one token
    return start


def _keeping(runs: TwoRuns, placed: Sequence[Cell | None], paths: Paths, first: int) -> list[Edit]:
    """What holds the blocks between the first sender and the last receiver still."""
    last = paths.end
    between = [s for s in paths.kept if _block(s) >= first and (last is None or _block(s) < last)]
    return [Edit(site, _writing(site, runs, placed)) for site in between]


def _writing(site: Site, runs: TwoRuns, placed: Sequence[Cell | None]) -> Operation:
    """The unpatched run's own in each row, but for what the site's own heads send."""
    sending = [
        (row, sender.site.part[0])
        for row, sender in enumerate(placed)
        if sender is not None and sender.block == site.block and sender.site.part is not None
    ]
    rows, heads = (mx.array([item[i] for item in sending], dtype=mx.int32) for i in (0, 1))

    def write(x: mx.array) -> mx.array:
        count = x.shape[-2]
        kept = mx.broadcast_to(runs.unpatched[site][..., -count:, :].astype(x.dtype), x.shape)
        if not sending or site.kind == "mlp_out":
            return kept
        kept = mx.array(kept)
        if site.kind == "attn.z":
            kept[rows, heads] = runs.source[site][0, heads, -count:].astype(x.dtype)
        else:
            kept[rows] = x[rows]
        return kept

    return write


def _arriving(receivers: Sequence[Site], arrived: Mapping[Site, mx.array]) -> list[Edit]:
    """Each row's receivers get what arrived at them in the row's first pass."""

    def writing(site: Site) -> Operation:
        heads, values = _heads(site), arrived[site.whole]

        def write(x: mx.array) -> mx.array:
            written = mx.array(x)
            written[:, heads] = values[: x.shape[0], heads]
            return written

        return write

    return [Edit(site.whole, writing(site)) for site in receivers]


def _change(runs: TwoRuns, found: Patched, receivers: Sequence[Site], rows: int) -> mx.array:
    """[row]; see `Delivered`. Rows that are not there yet at a receiver change nothing at it."""
    if receivers:
        changes = [_at_receiver(runs, found, site) for site in receivers]
        padded = [mx.pad(change, (0, rows - change.shape[0])) for change in changes]
        return mx.stack(padded).max(axis=0)
    if found.state is None or runs.ends is None:
        return mx.zeros((0,))
    return _apart(found.state[:, None], runs.ends[:1, -1:])


def _at_receiver(runs: TwoRuns, found: Patched, site: Site) -> mx.array:
    heads, values = _heads(site), found.sites[site.whole]
    own = runs.unpatched[site.whole][..., -values.shape[-2] :, :]
    return _apart(values[:, heads], own[:, heads])


def _apart(values: mx.array, own: mx.array) -> mx.array:
    """values: [row, ..., pos, d], own: [1, ..., pos, d] -> [row]."""
    own = own.astype(mx.float32)
    largest = mx.maximum(mx.abs(own).max(axis=-1), 1e-30)
    apart = mx.abs(values - own).max(axis=-1) / largest
    return apart.reshape(apart.shape[0], -1).max(axis=-1)
