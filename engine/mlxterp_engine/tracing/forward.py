"""One forward pass that records some sites and edits others.

Everything stays lazy: the pass builds a graph, and whoever wants numbers evaluates what is
wanted at once. Hooks are open only while the graph is built.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.anatomy import Anatomy, Block
from mlxterp_engine.models.calls import Around, calls_through
from mlxterp_engine.tracing.attention import Kernel
from mlxterp_engine.tracing.interventions import Edit
from mlxterp_engine.tracing.sites import HEAD_KINDS, Site

import mlx.core as mx


@dataclass(frozen=True, eq=False)
class Forward:
    """logits [batch, pos, vocab] and the sites asked for, batch first; not yet evaluated."""

    logits: mx.array
    sites: dict[Site, mx.array]

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
) -> Forward:
    """Run `net` on ids [batch, pos]. BadInput when an edit's site was never reached."""
    run = _Pass(set(record), edits)
    with run.hooks(anatomy):
        logits = run.visit(Site("logits"), net(ids))
    run.check_consumed()
    ordered = {site: run.recorded[site] for site in record if site in run.recorded}
    unreached = [site for site in record if site not in run.recorded]
    if unreached:
        raise BadInput(f"{unreached[0]} was not reached in this pass; nothing was recorded there")
    return Forward(logits, ordered)


class _Pass:
    """What is recorded and edited in one pass, and where the pass is."""

    def __init__(self, record: set[Site], edits: Sequence[Edit]) -> None:
        self.record = record
        self.edits: dict[Site, list[Edit]] = {}
        for edit in edits:
            self.edits.setdefault(edit.site.whole, []).append(edit)
        self.recorded: dict[Site, mx.array] = {}
        self.consumed: set[Site] = set()
        self.block: int | None = None
        self.stream: mx.array | None = None

    def touches(self, *sites: Site) -> bool:
        return any(site in self.record or site in self.edits for site in sites)

    def visit(self, site: Site, value: mx.array) -> mx.array:
        """Edit, then record: what is recorded is what the model goes on with."""
        for edit in self.edits.get(site, ()):
            value = edit.apply(value)
            self.consumed.add(site)
        if site in self.record:
            self.recorded[site] = value
        return value

    def check_consumed(self) -> None:
        for site in self.edits:
            if site not in self.consumed:
                raise BadInput(f"nothing consumed the edit at {site}: this pass never reached it")

    @contextmanager
    def hooks(self, anatomy: Anatomy) -> Iterator[None]:
        modules = [(anatomy.embed, self._output(Site("embed")))]
        modules.append((anatomy.final_norm, self._output(Site("final_norm"))))
        for index, block in enumerate(anatomy.blocks):
            modules += self._block_hooks(index, block)
        heads = {site.block for site in (*self.record, *self.edits) if site.kind in HEAD_KINDS}
        with calls_through(modules, self._kernel if heads else None):
            yield

    def _block_hooks(self, index: int, block: Block) -> Iterator[tuple[Any, Around]]:
        yield block.module, self._whole_block(index)
        mid, attn_out = Site("resid_mid", index), Site("attn_out", index)
        if block.attn_out is not None and self.touches(attn_out, mid):
            yield block.attn_out, self._attention_output(index)
        if block.mlp_out is not None and self.touches(Site("mlp_out", index)):
            yield block.mlp_out, self._output(Site("mlp_out", index))
        if block.neurons is not None and self.touches(Site("mlp.post", index)):
            yield block.neurons, self._input(Site("mlp.post", index))

    def _output(self, site: Site) -> Around:
        return lambda original, args, kwargs: self.visit(site, original(*args, **kwargs))

    def _input(self, site: Site) -> Around:
        return lambda original, args, kwargs: original(
            self.visit(site, args[0]), *args[1:], **kwargs
        )

    def _whole_block(self, index: int) -> Around:
        def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            self.block = index
            self.stream = self.visit(Site("resid_pre", index), args[0])
            output = original(self.stream, *args[1:], **kwargs)
            return self.visit(Site("resid_post", index), output)

        return around

    def _attention_output(self, index: int) -> Around:
        """attn_out, and resid_mid: no module puts it out, so an edit goes through attn_out."""
        mid = Site("resid_mid", index)

        def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            increment = self.visit(Site("attn_out", index), original(*args, **kwargs))
            if not self.touches(mid):
                return increment
            residual = self._residual()
            before = residual + increment
            after = self.visit(mid, before)
            return increment if after is before else after - residual

        return around

    def _residual(self) -> mx.array:
        if self.stream is None:
            raise BadInput("an attention ran outside a block; resid_mid is not known there")
        return self.stream

    def _kernel(self, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> mx.array:
        at = {kind: Site(kind, self.block) for kind in HEAD_KINDS}
        call = Kernel.from_call(args, kwargs)
        q, k, v = (
            self.visit(at[kind], array)
            for kind, array in (("attn.q", call.q), ("attn.k", call.k), ("attn.v", call.v))
        )
        if not self.touches(at["attn.pattern"]):
            return self.visit(at["attn.z"], original(q, k, v, *args[3:], **kwargs))
        call = Kernel(q, k, v, call.scale, call.mask, call.sinks)
        before = call.pattern()
        pattern = self.visit(at["attn.pattern"], before)
        z = call.read(pattern) if pattern is not before else original(q, k, v, *args[3:], **kwargs)
        return self.visit(at["attn.z"], z)
