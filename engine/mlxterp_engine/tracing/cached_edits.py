"""Edits under a key-value cache: made to mean what they mean in one whole pass, or refused.

An edit of the residual stream at position p acts where p is computed, in the one call that
reads it; what later positions see of it comes through the cache. An edit of the kernel's k or v
at p has to act each time that p is read: the caches hold keys as they were before the edit, and
each call edits those of the whole prefix afresh. Both are then the same as in a whole pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.models.anatomy_parts import Anatomy
from mlxterp_engine.models.mlx_lm_file import mlx_lm_file
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.interventions import Edit, Operation, at, draws
from mlxterp_engine.tracing.positions import rows
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx

make_prompt_cache = mlx_lm_file("models.cache").make_prompt_cache

OVER_SOURCES = ("attn.k", "attn.v", "attn.pattern")  # hold rows of what was read before
IN_ONE_FORM = ("attn.q", "attn.k", "attn.v", "attn.z")
LIMITS = ("max_size", "chunk_size")  # what caches that forget call their length
PROBE = 3  # tokens: two at once and one alone, as a prompt and a new token are read


def for_generation(
    net: Any, anatomy: Anatomy, edits: Sequence[Edit], prompt: int, read: int
) -> list[Edit]:
    """The edits, with positions that no longer depend on the call, fit for a cache and without.

    prompt: tokens of the prompt; read: those that the network may read in all. BadInput for an
    edit that would mean another thing with a cache.
    """
    _refuse_drawn_patterns(edits)
    _refuse_forgotten(net, anatomy, edits, read)
    _refuse_other_forms(net, anatomy, edits)
    resolved = [edit.resolved(prompt, read) for edit in edits]
    return [_blind_to_the_future(edit) for edit in resolved]


def within(edits: Sequence[Edit], read: int) -> list[Edit]:
    """Resolved edits for one whole pass over the first `read` tokens; none that lie behind."""
    return [
        edit
        if edit.positions is None
        else replace(edit, positions=tuple(rows(edit.positions, 0, read, read)))
        for edit in edits
        if edit.reaches(0, read)
    ]


def _blind_to_the_future(edit: Edit) -> Edit:
    """Where a pattern is edited, sources behind the destination stay unread.

    In a whole pass they could be read; with a cache they are not there yet.
    """
    if edit.site.kind != "attn.pattern":
        return edit
    return replace(edit, operation=_Causal(edit.operation))


@dataclass(frozen=True)
class _Causal:
    operation: Operation

    def __call__(self, x: mx.array) -> mx.array:
        return self.at(range(x.shape[-2]))(x)

    def at(self, positions: Sequence[int]) -> Operation:
        def apply(x: mx.array) -> mx.array:
            past = mx.arange(x.shape[-1])[None] <= mx.array(list(positions))[:, None]
            return mx.where(past, at(self.operation, positions)(x), x)

        return apply


def _refuse_drawn_patterns(edits: Sequence[Edit]) -> None:
    """A draw depends on the width of what it is added to: here on how much was read."""
    for edit in edits:
        if edit.site.kind == "attn.pattern" and draws(edit.operation):
            raise BadInput(
                f"noise at {edit.site} can't be made in a generation: a pattern widens with each "
                "token, and a draw depends on the width; add noise to attn.q or attn.k"
            )


def _refuse_forgotten(net: Any, anatomy: Anatomy, edits: Sequence[Edit], read: int) -> None:
    """A cache that drops or turns over what it holds no longer says which row is which."""
    caches = make_prompt_cache(net)
    own = len(caches) == len(anatomy.blocks)
    for edit in edits:
        if edit.site.kind not in OVER_SOURCES or edit.site.block is None:
            continue
        limit = min(_limits([caches[edit.site.block]] if own else caches), default=read)
        if read > limit:
            raise BadInput(
                f"the edit at {edit.site} can't be made: this block's cache keeps {limit} tokens "
                f"and the run may read {read}; shorten the prompt, or lower max_tokens"
            )


def _limits(caches: Sequence[Any]) -> Iterator[int]:
    for cache in caches:
        yield from _limits(getattr(cache, "caches", ()))
        yield from (getattr(cache, name) for name in LIMITS if hasattr(cache, name))


def _refuse_other_forms(net: Any, anatomy: Anatomy, edits: Sequence[Edit]) -> None:
    """Latent attention reads its cache in another form than a prompt: see the shapes of both.

    All of a block's queries, keys and values are looked at, for one may look alike by chance.
    A pattern is one in either form.
    """
    edited = [edit.site for edit in edits if edit.site.kind in IN_ONE_FORM]
    sites = {site: _kernel_sites(anatomy, site) for site in edited}
    every = list(dict.fromkeys(site for found in sites.values() for site in found))
    if not every:
        return
    ids, cache = mx.zeros((1, PROBE), dtype=mx.int32), make_prompt_cache(net)
    several = forward(net, anatomy, ids[:, :-1], every, cache=cache).sites
    one = forward(net, anatomy, ids[:, -1:], every, cache=cache, offset=PROBE - 1).sites
    for site, found in sites.items():
        if any(_form(several[other]) != _form(one[other]) for other in found):
            raise BadInput(
                f"the edit at {site} can't be made in a generation: this architecture computes it "
                "in another form when it reads from its cache; edit attn.pattern or attn_out"
            )


def _kernel_sites(anatomy: Anatomy, site: Site) -> list[Site]:
    """The sites of a site's block that hold queries, keys, values, and what they give."""
    assert site.block is not None  # it has heads
    missing = anatomy.blocks[site.block].missing
    return [Site(kind, site.block) for kind in IN_ONE_FORM if kind not in missing]


def _form(array: mx.array) -> tuple[int, int]:
    """Heads and width of [batch, head, pos, width]."""
    return array.shape[1], array.shape[3]
