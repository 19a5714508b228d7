"""Addresses of places in a model: `blocks.7.resid_post`, `blocks.3.attn.z[0,4]`, `logits`.

`embed` is what enters the first block. `attn_out` and `mlp_out` are the increments that the
residual stream receives, after post-norms and multipliers, so that resid_pre + attn_out +
mlp_out = resid_post on every architecture (times `Block.scale` where a block scales all of it).
`attn_out` is what the block's token mixer adds: in a block without attention that of its
state-space or recurrent mixer, in a block with both the sum. `mlp_out` is everything else.
q and k are after RoPE, as the kernel gets them; k and v have one head per key-value group; `z`
is a query head's output before any gate and before the output projection; `pattern` is [head,
destination, source]; `mlp.post` is the MLP's hidden activation.
Numbers in brackets are heads, and of `mlp.post` neurons.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.anatomy_parts import Anatomy, Block

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
NEURONS = "mlp.post"

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
_ADDRESS = re.compile(r"blocks\.(\d+)\.([a-z_.]+?)(?:\[(.*)\])?$")


@dataclass(frozen=True, order=True)
class Site:
    """One place. block is None for the model's own sites; part names some heads or neurons."""

    kind: str
    block: int | None = None
    part: tuple[int, ...] | None = None

    def __str__(self) -> str:
        if self.block is None:
            return self.kind
        part = "" if self.part is None else f"[{','.join(map(str, self.part))}]"
        return f"blocks.{self.block}.{self.kind}{part}"

    @property
    def whole(self) -> Site:
        """The site that holds this one: all heads, all neurons."""
        return Site(self.kind, self.block)


@dataclass(frozen=True)
class BlockSites:
    """What the table knows of one block. missing: the reason by kind; "attn" is all with heads."""

    heads: int = 0
    kv_heads: int = 0
    neurons: int = 0
    missing: Mapping[str, str] = field(default_factory=dict)

    def why_not(self, kind: str) -> str | None:
        """The reason why the block has no such site; None where it has one."""
        return self.missing.get(kind) or self.missing.get(NEEDS.get(kind, kind))


class SiteTable:
    """The sites that one model has, and the words for those that it lacks.

    missing: reason by kind of site, with the numbers of the blocks where only some lack it.
    aliases: module path -> site, e.g. `model.layers.3`.
    """

    def __init__(
        self,
        name: str,
        blocks: Sequence[BlockSites],
        aliases: Mapping[str, Site],
        model_missing: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.blocks = len(blocks)
        self._blocks = tuple(blocks)
        self._model_missing = dict(model_missing or {})
        self._aliases = dict(aliases)
        self._all = [site for site in self._conceivable() if self.why_not(site) is None]
        self._known = set(self._all)
        self.missing = self._missing_words()

    @classmethod
    def of(cls, name: str, anatomy: Anatomy, aliases: Mapping[str, Site]) -> SiteTable:
        """The table of a model whose parts were found."""
        blocks = [_block_sites(block) for block in anatomy.blocks]
        return cls(name, blocks, aliases, anatomy.missing)

    def kinds(self) -> list[str]:
        """The kinds of site that the model has in some block or at all, in forward order."""
        found = {site.kind for site in self._all}
        return [kind for kind in ("embed", *BLOCK_KINDS, "final_norm", "logits") if kind in found]

    def has(self, kind: str, block: int | None = None) -> bool:
        """Whether that block has such a site."""
        return Site(kind, block) in self._known

    def why_not(self, site: Site) -> str | None:
        """The reason why the model lacks a site that others have; None where it has it."""
        if site.block is None:
            return self._model_missing.get(site.kind)
        return self._blocks[site.block].why_not(site.kind)

    def require(self, sites: Iterable[Site]) -> None:
        """BadInput with the reason when the model lacks one of these."""
        for site in sites:
            reason = self.why_not(site)
            if reason is not None:
                raise BadInput(f"{self.name} has no {site.whole}: {reason}")

    def all(self) -> list[Site]:
        """Every site in the order in which a forward pass reaches it."""
        return list(self._all)

    def parse(self, address: str) -> Site:
        """The site of an address or an alias. BadInput names the closest ones."""
        text = self._canonical(address.strip())
        if text in MODEL_KINDS:
            self.require([Site(text)])
            return Site(text)
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise self._unknown(address)
        block, kind, part = int(match[1]), match[2], match[3]
        if kind not in BLOCK_KINDS:
            raise self._unknown(address)
        if block >= self.blocks:
            raise BadInput(
                f"{self.name} has no block {block}: blocks go from 0 to {self.blocks - 1}"
            )
        site = Site(kind, block)
        self.require([site])
        return site if part is None else Site(kind, block, self._part(address, site, part))

    def match(self, globs: Iterable[str]) -> list[Site]:
        """Sites that any glob matches, in forward order; a glob that matches none is refused."""
        chosen: set[Site] = set()
        for glob in globs:
            found = {site for site in self._all if fnmatch.fnmatchcase(str(site), glob)}
            if not found:
                site = self.parse(glob)
                if site.part is not None:
                    raise BadInput(f"{glob!r} names a part; record {str(site.whole)!r} whole")
                found = {site}
            chosen |= found
        return [site for site in self._all if site in chosen]

    def heads_of(self, kind: str, block: int) -> int:
        """How many heads a block's site of this kind has: key-value groups for k and v."""
        sizes = self._blocks[block]
        return sizes.kv_heads if kind in ("attn.k", "attn.v") else sizes.heads

    def neurons_of(self, block: int) -> int:
        """How many neurons the block's MLP shows; 0 where it shows none."""
        return self._blocks[block].neurons

    def _part(self, address: str, site: Site, words: str) -> tuple[int, ...]:
        """The heads or neurons in brackets: each once, negative ones from the end."""
        things, count = self._counted(address, site, words)
        try:
            numbers = [int(word) for word in words.split(",")]
        except ValueError:
            raise BadInput(
                f"{address!r}: [{words}] is no list of whole numbers; give e.g. [0] or [0,3]"
            ) from None
        if not all(-count <= number < count for number in numbers):
            raise BadInput(f"{address!r}: {site.kind} has {things} 0 to {count - 1}")
        chosen = tuple(number % count for number in numbers)
        if len(set(chosen)) < len(chosen):
            raise BadInput(f"{address!r} names one of its {things} twice; name each once")
        return chosen

    def _counted(self, address: str, site: Site, words: str) -> tuple[str, int]:
        """What the numbers in brackets count at a site, and how many there are."""
        if site.block is not None and site.kind in HEAD_KINDS:
            return "heads", self.heads_of(site.kind, site.block)
        if site.block is not None and site.kind == NEURONS:
            return "neurons", self._blocks[site.block].neurons
        raise BadInput(f"{address!r}: {site.kind} has no heads or neurons; leave [{words}] out")

    def _conceivable(self) -> Iterator[Site]:
        yield Site("embed")
        for block in range(self.blocks):
            for kind in BLOCK_KINDS:
                yield Site(kind, block)
        yield Site("final_norm")
        yield Site("logits")

    def _missing_words(self) -> dict[str, str]:
        words = dict(self._model_missing)
        for kind in BLOCK_KINDS:
            reasons: dict[str, list[int]] = {}
            for index, block in enumerate(self._blocks):
                reason = block.why_not(kind)
                if reason is not None:
                    reasons.setdefault(reason, []).append(index)
            if reasons:
                words[kind] = "; ".join(self._where(r, found) for r, found in reasons.items())
        return words

    def _where(self, reason: str, blocks: list[int]) -> str:
        return reason if len(blocks) == self.blocks else f"{_spans(blocks)}: {reason}"

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


def _block_sites(block: Block) -> BlockSites:
    heads = block.attention.heads if block.attention else 0
    kv_heads = block.attention.kv_heads if block.attention else 0
    return BlockSites(heads, kv_heads, block.d_mlp, block.missing)


def _spans(numbers: list[int]) -> str:
    """[0, 1, 2, 5] as "blocks 0-2, 5"."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1][1:] = [number]
        else:
            spans.append([number])
    words = ", ".join("-".join(map(str, span)) for span in spans)
    return f"block{'s' if len(numbers) > 1 else ''} {words}"
