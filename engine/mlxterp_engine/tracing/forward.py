"""One forward pass that records some sites and edits others.

Everything stays lazy: the pass builds a graph, and whoever wants numbers evaluates what is
wanted at once. Hooks are open only while the graph is built.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.anatomy_parts import Anatomy, Attention, Block, Term
from mlxterp_engine.models.calls import (
    Around,
    argument,
    calls_through,
    first_array,
    with_argument,
    with_first_array,
)
from mlxterp_engine.tracing.attention import Kernel, as_heads, from_heads
from mlxterp_engine.tracing.interventions import Edit
from mlxterp_engine.tracing.rotating import oldest_row
from mlxterp_engine.tracing.sites import HEAD_KINDS, NEEDS, Site

import mlx.core as mx


@dataclass(frozen=True, eq=False)
class Forward:
    """logits [batch, pos, vocab] and the sites asked for, batch first; not yet evaluated.

    consumed: the edits that this pass applied somewhere.
    """

    logits: mx.array
    sites: dict[Site, mx.array]
    consumed: frozenset[Edit] = frozenset()

    def evaluate(self) -> Forward:
        """Everything at once: one evaluation shares what the sites have in common."""
        mx.eval(self.logits, list(self.sites.values()))
        return self


def forward(
    net: Any,
    anatomy: Anatomy,
    ids: mx.array,
    record: Collection[Site] = (),
    edits: Sequence[Edit] = (),
    *,
    cache: Sequence[Any] | None = None,
    offset: int = 0,
    net_kwargs: Mapping[str, Any] | None = None,
) -> Forward:
    """Run `net` on ids [batch, pos]. BadInput when an edit's site was never reached.

    cache: mlx-lm's key-value caches, which hold the `offset` tokens before these and are
    advanced by the pass; the kernel's k and v, and the sources of its pattern, are then those
    of the whole prefix. net_kwargs go to the net as they are.

    Positions of an edit count from the first token of the whole sequence: position p is row
    p - offset of this call (at attn.k and attn.v row p, as far as the cache still holds it);
    negative ones count from the end of this call's tokens, which counts as the prompt (see
    `tracing.positions`; `Edit.resolved` fixes another end). With a cache, positions outside
    this call are left to other calls: an edit with none inside is skipped, is not in
    `consumed`, and it is for the caller to see with `check_consumed` that some call took it.
    Without a cache such an edit is refused.
    """
    _refuse_missing(anatomy, [*record, *(edit.site for edit in edits)])
    run = _Pass(set(record), edits, ids.shape[1], offset, cache)
    options = dict(net_kwargs or {})
    if cache is not None:
        options["cache"] = cache
    with run.hooks(anatomy):
        logits = run.visit(Site("logits"), net(ids, **options))
    consumed = frozenset(run.consumed)
    if cache is None:
        check_consumed(edits, consumed)
    unreached = [site for site in record if site not in run.recorded]
    if unreached:
        raise BadInput(f"{unreached[0]} was not reached in this pass; nothing was recorded there")
    return Forward(logits, {site: run.recorded[site] for site in record}, consumed)


def check_consumed(edits: Sequence[Edit], consumed: Collection[Edit]) -> None:
    """BadInput for an edit that no pass applied; consumed: those of all passes together."""
    for edit in edits:
        if edit not in consumed:
            raise BadInput(f"nothing consumed the edit at {edit.site}: no pass ever reached it")


def _refuse_missing(anatomy: Anatomy, sites: Sequence[Site]) -> None:
    for site in sites:
        missing = anatomy.missing if site.block is None else anatomy.blocks[site.block].missing
        reason = missing.get(site.kind) or missing.get(NEEDS.get(site.kind, site.kind))
        if reason is not None:
            raise BadInput(f"this model has no {site.whole}: {reason}")


class _Pass:
    """What is recorded and edited in one pass, and where the pass is."""

    def __init__(
        self,
        record: set[Site],
        edits: Sequence[Edit],
        tokens: int,
        offset: int,
        cache: Sequence[Any] | None,
    ) -> None:
        self.record = record
        self.edits: dict[Site, list[Edit]] = {}
        for edit in edits:
            self.edits.setdefault(edit.site.whole, []).append(edit)
        self.tokens = tokens
        self.offset = offset
        self.cache = cache
        self.cached = cache is not None
        self.recorded: dict[Site, mx.array] = {}
        self.consumed: set[Edit] = set()
        self.block: int | None = None
        self.attention: Attention | None = None
        self.stream: mx.array | None = None

    def touches(self, *sites: Site) -> bool:
        return any(site in self.record or site in self.edits for site in sites)

    def visit(self, site: Site, value: mx.array) -> mx.array:
        """Edit, then record: what is recorded is what the model goes on with."""
        for edit in self.edits.get(site, ()):
            first = self._first_position(value)
            if not self.cached or edit.reaches(first, value.shape[-2]):
                value = edit.apply(value, first, partial=self.cached)
                self.consumed.add(edit)
        if site in self.record:
            self.recorded[site] = value
        return value

    def _first_position(self, value: mx.array) -> int:
        """The position of an activation's first row: its last is the last token of this call.

        k and v of a call with a cache begin with the positions of calls before.
        """
        return self.offset + self.tokens - value.shape[-2]

    @contextmanager
    def hooks(self, anatomy: Anatomy) -> Iterator[None]:
        heads = {site.block for site in (*self.record, *self.edits) if site.kind in HEAD_KINDS}
        used = [anatomy.blocks[b].attention for b in heads if b is not None]
        kernel = any(attention and not attention.by_hand for attention in used)
        by_hand = any(attention and attention.by_hand for attention in used)
        with calls_through(
            self._module_hooks(anatomy),
            self._kernel if kernel else None,
            self._softmax if by_hand else None,
        ):
            yield

    def _module_hooks(self, anatomy: Anatomy) -> Iterator[tuple[Any, Around]]:
        if anatomy.embed is not None:
            yield anatomy.embed, self._output(Site("embed"))
        if anatomy.final_norm is not None:
            yield anatomy.final_norm, self._output(Site("final_norm"))
        for index, block in enumerate(anatomy.blocks):
            at_entry = index == 0 and anatomy.embed is None
            if block.stream is not None:
                yield block.module, self._whole_block(index, block, block.stream, at_entry)
            elif block.attention is not None:
                yield block.module, self._place_only(index, block)
            yield from self._block_hooks(index, block)

    def _block_hooks(self, index: int, block: Block) -> Iterator[tuple[Any, Around]]:
        mid, attn_out, mlp_out = (Site(k, index) for k in ("resid_mid", "attn_out", "mlp_out"))
        if block.entry is not None:
            yield block.entry, self._entry(index)
        if self.touches(attn_out, mid):
            yield from self._increment(attn_out, block.attn_out)
        if self.touches(mlp_out):
            yield from self._increment(mlp_out, block.mlp_out)
        if block.neurons is not None and self.touches(Site("mlp.post", index)):
            yield block.neurons, self._input(Site("mlp.post", index))
        attention = block.attention
        if attention is not None and attention.by_hand:
            yield from self._written_out(index, attention)

    def _output(self, site: Site) -> Around:
        return lambda original, args, kwargs: self.visit(site, original(*args, **kwargs))

    def _input(self, site: Site) -> Around:
        return lambda original, args, kwargs: original(
            self.visit(site, args[0]), *args[1:], **kwargs
        )

    def _whole_block(self, index: int, block: Block, where: int | str, at_entry: bool) -> Around:
        def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            self.block, self.attention = index, block.attention
            stream = argument(args, kwargs, where)
            if at_entry:
                stream = self.visit(Site("embed"), stream)
            if block.entry is None:
                stream = self.stream = self.visit(Site("resid_pre", index), stream)
            args, kwargs = with_argument(args, kwargs, where, stream)
            output = original(*args, **kwargs)
            self.block = self.attention = None
            after = first_array(output)
            return with_first_array(output, self.visit(Site("resid_post", index), after))

        return around

    def _place_only(self, index: int, block: Block) -> Around:
        """A block without a single residual stream: where the pass is, for its attention."""

        def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            self.block, self.attention = index, block.attention
            try:
                return original(*args, **kwargs)
            finally:
                self.block = self.attention = None

        return around

    def _entry(self, index: int) -> Around:
        """The module in a block that norms the stream itself: its output is resid_pre."""

        def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            self.stream = self.visit(Site("resid_pre", index), original(*args, **kwargs))
            return self.stream

        return around

    def _increment(self, site: Site, terms: Sequence[Term]) -> Iterator[tuple[Any, Around]]:
        """Sum what the terms add; at the last of them visit the sum, and pass on any edit."""
        before: list[mx.array] = []

        def around(term: Term, last: bool) -> Around:
            def add(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
                output = original(*args, **kwargs)
                own = _times(first_array(output), term.coefficient)
                if not last:
                    before.append(own)
                    return output
                total = sum(before, own)
                edited = self._arrived(site, total)
                if edited is total:
                    return output
                own = edited if not before else own + (edited - total)
                return with_first_array(output, _times(own, 1 / term.coefficient))

            return add

        for term in terms:
            yield term.module, around(term, last=term is terms[-1])

    def _arrived(self, site: Site, increment: mx.array) -> mx.array:
        """attn_out and mlp_out; and resid_mid, which no module puts out: an edit of it goes
        through attn_out."""
        increment = self.visit(site, increment)
        mid = Site("resid_mid", site.block)
        if site.kind != "attn_out" or not self.touches(mid):
            return increment
        residual = self._residual()
        before = residual + increment
        after = self.visit(mid, before)
        return increment if after is before else after - residual

    def _residual(self) -> mx.array:
        if self.stream is None:
            raise BadInput("an attention ran outside a block; resid_mid is not known there")
        return self.stream

    def _kernel(self, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> mx.array:
        if self.attention is None or self.attention.by_hand:
            return original(*args, **kwargs)
        at = {kind: Site(kind, self.block) for kind in HEAD_KINDS}
        call = Kernel.from_call(args, kwargs)
        self._refuse_other_widths(call, self.attention)
        oldest = 0
        if self.cached and self.touches(at["attn.k"], at["attn.v"], at["attn.pattern"]):
            oldest = oldest_row(self.cache, call.k)
        q = self.visit(at["attn.q"], call.q)
        k = self._visit_turned(at["attn.k"], call.k, -oldest, axis=-2)
        v = self._visit_turned(at["attn.v"], call.v, -oldest, axis=-2)
        if not self.touches(at["attn.pattern"]):
            return self.visit(at["attn.z"], original(q, k, v, *args[3:], **kwargs))
        call = Kernel(q, k, v, call.scale, call.mask, call.sinks)
        before = call.pattern()
        pattern = self._visit_turned(at["attn.pattern"], before, -oldest, axis=-1)
        z = call.read(pattern) if pattern is not before else original(q, k, v, *args[3:], **kwargs)
        return self.visit(at["attn.z"], z)

    def _visit_turned(self, site: Site, value: mx.array, turn: int, axis: int) -> mx.array:
        """Visit an array whose sources stand turned by some rows, in the order of positions.

        A copy: a cache writes its next keys into the very array that it handed out.
        """
        if not self.touches(site):
            return value
        before = mx.roll(value, turn, axis) if turn else mx.array(value)
        after = self.visit(site, before)
        if after is before:
            return value
        return mx.roll(after, -turn, axis) if turn else after

    def _refuse_other_widths(self, call: Kernel, attention: Attention) -> None:
        """Latent attention reads its cache compressed when it gets one token alone: what the
        kernel is given and puts out is then of another basis. Its pattern is the same."""
        usual = (attention.d_head, attention.d_value)
        widths = (call.q.shape[-1], call.v.shape[-1])
        if widths == usual and call.k.shape[1] == attention.kv_heads:
            return
        for kind in ("attn.q", "attn.k", "attn.v", "attn.z"):
            site = Site(kind, self.block)
            if self.touches(site):
                raise BadInput(
                    f"this model shows {site} in another form when it reads from its cache for one "
                    f"token alone ({widths[kind in ('attn.v', 'attn.z')]} wide, compressed); take "
                    "attn.pattern or attn_out, or run without a cache"
                )

    def _written_out(self, index: int, attention: Attention) -> Iterator[tuple[Any, Around]]:
        """v and z of an attention whose softmax stands in the model's file, as heads."""

        v, z = Site("attn.v", index), Site("attn.z", index)
        if attention.values is not None and self.touches(v):
            values = self._as_heads(v, attention.kv_heads)
            yield attention.values, lambda call, args, kwargs: values(call(*args, **kwargs))
        if attention.output is not None and self.touches(z):
            output = self._as_heads(z, attention.heads)
            yield (
                attention.output,
                lambda call, args, kwargs: call(output(args[0]), *args[1:], **kwargs),
            )

    def _as_heads(self, site: Site, heads: int) -> Callable[[mx.array], mx.array]:
        """Visit an array [batch, pos, head · d] as [batch, head, pos, d]."""

        def visit(flat: mx.array) -> mx.array:
            before = as_heads(flat, heads)
            after = self.visit(site, before)
            return flat if after is before else from_heads(after)

        return visit

    def _softmax(self, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> mx.array:
        pattern = original(*args, **kwargs)
        attention = self.attention
        if attention is None or not attention.by_hand or pattern.ndim < 4:
            return pattern
        before = pattern.reshape(pattern.shape[0], attention.heads, *pattern.shape[-2:])
        after = self.visit(Site("attn.pattern", self.block), before)
        return pattern if after is before else after.reshape(pattern.shape)


def _times(x: mx.array, factor: float) -> mx.array:
    return x if factor == 1 else x * mx.array(factor, dtype=x.dtype)
