"""Patches in words: `blocks.5.resid_post@3`, `blocks.3.attn.z[4]@-1<0`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.result import Contract
from mlxterp_engine.tracing.forward import Forward
from mlxterp_engine.tracing.interventions import Edit, replace_with, selection
from mlxterp_engine.tracing.sites import Site, SiteTable

import mlx.core as mx

FORM = "SITE@POS, or SITE@POS<FROM where it comes from another position, e.g. blocks.5.resid_post@3"
_PATCH = re.compile(r"(?P<site>[^@]+)@(?P<position>-?\d+)(?:<(?P<source>-?\d+))?\s*")


class Lengths(NamedTuple):
    """Tokens of the run that is written into, and of the one that is read from."""

    prompt: int
    patch_prompt: int


@dataclass(frozen=True)
class SpokenPatch:
    """The state at `site` and position `source` of one run, for `position` of another."""

    site: Site
    position: int
    source: int

    def edit(self, array: mx.array) -> Edit:
        """The edit that writes the state. array: the whole site in the run that is read from,
        [1, pos, d] or [1, head, pos, d].
        """
        state = _state(self.site, array, self.source)
        return Edit(self.site, replace_with(state), (self.position,))

    def moves(self, written: mx.array, over: mx.array) -> bool:
        """Whether the state differs from the one that stands there. Both: the whole site."""
        new = _state(self.site, written, self.source)
        return not bool(mx.array_equal(new, _state(self.site, over, self.position)))


def parse_patch(text: str, sites: SiteTable, lengths: Lengths) -> SpokenPatch:
    """A patch in words, its negative positions counted from each prompt's end.

    BadInput for an unknown site, a position outside its prompt, a pattern between prompts of
    different lengths.
    """
    match = _PATCH.fullmatch(text.strip())
    if match is None:
        raise BadInput(f"patch {text!r} is not {FORM}")
    site = sites.parse(match["site"])
    position = int(match["position"])
    source = position if match["source"] is None else int(match["source"])
    if site.kind == "attn.pattern" and lengths.prompt != lengths.patch_prompt:
        raise BadInput(
            f"patch {text!r}: a row of a pattern is as long as its prompt, and the prompts have "
            f"{lengths.prompt} and {lengths.patch_prompt} tokens; patch attn.z instead"
        )
    return SpokenPatch(
        site,
        inside(position, lengths.prompt, "the prompt", f"patch {text!r}: position"),
        inside(source, lengths.patch_prompt, "the patch prompt", f"patch {text!r}: position"),
    )


def inside(position: int, count: int, prompt: str, what: str) -> int:
    """The position counted from the front. BadInput where the prompt has none such."""
    if not -count <= position < count:
        raise BadInput(
            f"{what} {position} is outside {prompt}, whose positions go from 0 to "
            f"{count - 1} (or from -1 back)"
        )
    return position % count


def _state(site: Site, array: mx.array, position: int) -> mx.array:
    """The site's part at one position, the axis of positions kept."""
    where = selection(site, [position])
    assert where is not None  # a position was named
    return array[where]


def patch_changes(bare: Forward, patched: Forward, moved: bool) -> Contract:
    """error 1: another state was written (`moved`), and yet the logits are the same ones."""
    mx.eval(bare.logits, patched.logits)
    same = bool(mx.array_equal(patched.logits, bare.logits))
    return Contract.of(float(moved and same), 0.0)


def read_from(patches: Sequence[SpokenPatch]) -> list[Site]:
    """The sites that the run to be read from has to record."""
    return list(dict.fromkeys(patch.site.whole for patch in patches))
