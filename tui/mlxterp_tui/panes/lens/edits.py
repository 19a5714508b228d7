"""The edits of a lens's run, in the order in which they were made. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import NamedTuple

from mlxterp_engine.experiments import BadInput, LogitLens

from textual.content import Content


class Edit(NamedTuple):
    """words: as the request has them. prompt: whose state is written there; "" for an operation."""

    words: str
    prompt: str = ""

    def __str__(self) -> str:
        return f"{self.words} from {self.prompt!r}" if self.prompt else self.words


@dataclass(frozen=True)
class Edits:
    """One source prompt for all patches: a request names one."""

    made: tuple[Edit, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.made)

    def __str__(self) -> str:
        return ", ".join(map(str, self.made))

    def adding(self, edit: Edit) -> Edits:
        if edit in self.made:
            raise BadInput(f"{edit} is on already; u undoes the last edit")
        source = self.patched_from
        if edit.prompt and source not in (None, edit.prompt):
            raise BadInput(
                f"the patches on screen come from {source!r}, and a run takes states from one "
                "other prompt; U takes all edits off first"
            )
        return replace(self, made=(*self.made, edit))

    def without_last(self) -> Edits:
        if not self.made:
            raise BadInput(
                "no edit is on; a ablates at the cursor, p patches, :edit SITE=OPERATION"
            )
        return replace(self, made=self.made[:-1])

    @property
    def patched_from(self) -> str | None:
        return next((edit.prompt for edit in self.made if edit.prompt), None)

    @property
    def count_in_words(self) -> str:
        """For the status line; "" when the model on screen is the plain one."""
        count = len(self.made)
        return f"{count} edit{'s' if count > 1 else ''} on" if count else ""

    def request_fields(self) -> dict[str, object]:
        return {
            "intervention": [edit.words for edit in self.made if not edit.prompt],
            "patch": [edit.words for edit in self.made if edit.prompt],
            "patch_prompt": self.patched_from,
        }


NO_EDITS = Edits()


def edits_of(request: LogitLens) -> Edits:
    """In the order in which they are made: patches come first."""
    source = request.patch_prompt or ""
    patches = [Edit(words, source) for words in request.patch]
    return Edits((*patches, *(Edit(words) for words in request.intervention)))


def edits_text(edits: Edits) -> Content:
    """A line each, in the order in which they were made."""
    if not edits:
        return Content("none: the model on screen is the plain one")
    return Content("\n").join([Content(str(edit)) for edit in edits.made])


def intervention(words: str) -> Edit:
    """`SITE=OPERATION`, as typed; what it means is the engine's to judge."""
    site, equals, operation = words.strip().partition("=")
    if not (site.strip() and equals and operation.strip()):
        raise BadInput(f"{words!r} is no SITE=OPERATION, for example blocks.5.mlp_out=scale:0.5@-1")
    return Edit(f"{site.strip()}={operation.strip()}")


def ablation(words: str) -> Edit:
    """`SITE` or `SITE@POSITIONS`: what is zeroed."""
    site, at, positions = words.strip().partition("@")
    if not site or "=" in words:
        raise BadInput(
            f"{words!r} is no site; for example blocks.5.mlp_out, or blocks.5.mlp_out@-1"
        )
    return Edit(f"{site}=zero{at}{positions}")


def steering(words: str, site: str) -> Edit:
    """`FILE.npz*COEFFICIENT`, with `@POSITIONS` where it is not for all: added at the site."""
    if not re.match(r".+\.npz(\*[^*]+)?$", words.strip().rpartition("@")[0] or words.strip()):
        raise BadInput(f"{words!r} is no FILE.npz*COEFFICIENT, for example happy.npz*4")
    return Edit(f"{site}=add:{words.strip()}")


def ablations_at(site: str, block: int, pos: int) -> list[str]:
    """What can be zeroed at a cell: the parts of its block, everywhere or here alone."""
    if block < 0:
        return [f"{site}@{pos}"]
    parts = [f"blocks.{block}.{part}" for part in ("mlp_out", "attn_out")]
    return [*parts, *(f"{part}@{pos}" for part in parts), f"{site}@{pos}"]
