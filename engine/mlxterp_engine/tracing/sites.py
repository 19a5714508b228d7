"""Addresses of places in a model: `blocks.7.resid_post`, `blocks.3.attn.z[4]`, `logits`.

`attn_out` and `mlp_out` are the increments that the residual stream receives, so that
resid_pre + attn_out + mlp_out = resid_post on every architecture. q and k are after RoPE;
k and v have one head per key-value group; `z` is a query head's output before the output
projection; `pattern` is [head, destination, source]; `mlp.post` is the MLP's hidden activation.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from mlxterp_engine.experiments.errors import BadInput

MODEL_KINDS = ("embed", "final_norm", "logits")
BLOCK_KINDS = (
    "resid_pre",
    "attn.q",
    "attn.k",
    "attn.v",
    "attn.pattern",
    "attn.z",
    "attn_out",
    "resid_mid",
    "mlp.post",
    "mlp_out",
    "resid_post",
)
HEAD_KINDS = ("attn.q", "attn.k", "attn.v", "attn.pattern", "attn.z")

# What a site needs of the anatomy: a missing part takes these kinds with it.
NEEDS: dict[str, str] = dict.fromkeys(HEAD_KINDS, "attn")

_TRANSFORMER_LENS = {
    "hook_embed": "embed",
    "ln_final.hook_normalized": "final_norm",
    "hook_resid_pre": "resid_pre",
    "hook_resid_mid": "resid_mid",
    "hook_resid_post": "resid_post",
    "hook_attn_out": "attn_out",
    "hook_mlp_out": "mlp_out",
    "attn.hook_rot_q": "attn.q",
    "attn.hook_q": "attn.q",
    "attn.hook_rot_k": "attn.k",
    "attn.hook_k": "attn.k",
    "attn.hook_v": "attn.v",
    "attn.hook_z": "attn.z",
    "attn.hook_pattern": "attn.pattern",
    "mlp.hook_post": "mlp.post",
}
_ADDRESS = re.compile(r"blocks\.(\d+)\.([a-z_.]+?)(?:\[(-?\d+)\])?$")


@dataclass(frozen=True, order=True)
class Site:
    """One place. block is None for the model's own sites; head only for sites with heads."""

    kind: str
    block: int | None = None
    head: int | None = None

    def __str__(self) -> str:
        if self.block is None:
            return self.kind
        head = "" if self.head is None else f"[{self.head}]"
        return f"blocks.{self.block}.{self.kind}{head}"

    @property
    def whole(self) -> Site:
        """The site that holds this one: all heads."""
        return Site(self.kind, self.block)


class SiteTable:
    """The sites that one model has, and the words for those that it lacks.

    missing: reason by kind of site. aliases: module path -> site, e.g. `model.layers.3`.
    """

    def __init__(
        self,
        name: str,
        blocks: int,
        heads: int,
        kv_heads: int,
        missing: dict[str, str],
        aliases: dict[str, Site],
    ) -> None:
        self.name = name
        self.blocks = blocks
        self.heads = heads
        self.kv_heads = kv_heads
        self.missing = {
            kind: missing[part]
            for kind in MODEL_KINDS + BLOCK_KINDS
            for part in (kind, NEEDS.get(kind, kind))
            if part in missing
        }
        self._aliases = aliases
        self._all = [Site("embed")]
        for block in range(blocks):
            self._all += [Site(kind, block) for kind in BLOCK_KINDS if kind not in self.missing]
        self._all += [Site("final_norm"), Site("logits")]
        self._known = set(self._all)

    def all(self) -> list[Site]:
        """Every site in the order in which a forward pass reaches it."""
        return list(self._all)

    def parse(self, address: str) -> Site:
        """The site of an address or an alias. BadInput names the closest ones."""
        text = self._canonical(address.strip())
        if text in MODEL_KINDS:
            return Site(text)
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise self._unknown(address)
        block, kind, head = int(match[1]), match[2], match[3]
        if kind in self.missing:
            raise BadInput(f"{self.name} has no {kind!r}: {self.missing[kind]}")
        if kind not in BLOCK_KINDS:
            raise self._unknown(address)
        if block >= self.blocks:
            raise BadInput(
                f"{self.name} has no block {block}: blocks go from 0 to {self.blocks - 1}"
            )
        return Site(kind, block, self._head(address, kind, head))

    def match(self, globs: Iterable[str]) -> list[Site]:
        """Sites that any glob matches, in forward order; a glob that matches none is refused."""
        chosen: set[Site] = set()
        for glob in globs:
            found = {site for site in self._all if fnmatch.fnmatchcase(str(site), glob)}
            if not found:
                site = self.parse(glob)
                if site.head is not None:
                    raise BadInput(f"{glob!r} names one head; record {str(site.whole)!r} whole")
                found = {site}
            chosen |= found
        return [site for site in self._all if site in chosen]

    def heads_of(self, kind: str) -> int:
        """How many heads a site of this kind has: key-value groups for k and v."""
        return self.kv_heads if kind in ("attn.k", "attn.v") else self.heads

    def _head(self, address: str, kind: str, head: str | None) -> int | None:
        if head is None:
            return None
        if kind not in HEAD_KINDS:
            raise BadInput(f"{address!r}: {kind} has no heads; leave [{head}] out")
        count = self.heads_of(kind)
        number = int(head)
        if not -count <= number < count:
            raise BadInput(f"{address!r}: {kind} has heads 0 to {count - 1}")
        return number % count

    def _canonical(self, address: str) -> str:
        for path in (address, address.removeprefix("model.")):
            if path in self._aliases:
                return str(self._aliases[path])
        if address in _TRANSFORMER_LENS:
            return _TRANSFORMER_LENS[address]
        hook = re.fullmatch(r"(blocks\.\d+\.)([a-z_.]+)", address)
        if hook and hook[2] in _TRANSFORMER_LENS:
            return hook[1] + _TRANSFORMER_LENS[hook[2]]
        return address

    def _unknown(self, address: str) -> BadInput:
        closest = get_close_matches(address, [str(site) for site in self._all], n=3, cutoff=0.5)
        words = f"; closest: {', '.join(closest)}" if closest else ""
        return BadInput(
            f"{self.name} has no site {address!r}{words}. All: mlxterp-tui models info {self.name}"
        )


def kinds(sites: Collection[Site]) -> set[str]:
    """The kinds among some sites."""
    return {site.kind for site in sites}
