"""The runs that stand beside the one on screen: pinned, without its edits, of a second prompt.

Pure: what there is to compare with, what has to be asked for it, and what is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from mlxterp_engine.experiments import LogitLens
from mlxterp_tui.panes.lens.edits import NO_EDITS
from mlxterp_tui.panes.lens.run import LensRun

import msgspec

Kind = Literal["clean", "pinned", "second"]
NAMES: dict[Kind, str] = {
    "clean": "unedited", "pinned": "pinned run", "second": "second prompt",
}  # fmt: skip


class Look(NamedTuple):
    """What is looked at besides the run: another one, or the difference to it. "": nothing."""

    of: Kind | Literal[""] = ""
    difference: bool = False


RUN_ALONE = Look()


@dataclass(frozen=True)
class LensBeside:
    """second_prompt: None while there is no second prompt. known: runs by what they are."""

    second_prompt: str | None = None
    known: tuple[tuple[Kind, LensRun], ...] = ()
    look: Look = RUN_ALONE

    def run_of(self, kind: str) -> LensRun | None:
        return dict(self.known).get(kind)  # type: ignore[arg-type]

    def keeping(self, kind: Kind, run: LensRun | None) -> LensBeside:
        others = tuple((other, kept) for other, kept in self.known if other != kind)
        return replace(self, known=others if run is None else (*others, (kind, run)))

    def retrying(self) -> LensBeside:
        """Without the runs that came to nothing: they are asked again."""
        return replace(self, known=tuple(kept for kept in self.known if kept[1].state == "done"))

    def looking(self, look: Look) -> LensBeside:
        return replace(self, look=look)

    def asking(self, second_prompt: str | None) -> LensBeside:
        """Another second prompt; the run of the one before is of no use any more."""
        if second_prompt == self.second_prompt:
            return self
        changed = replace(self, second_prompt=second_prompt)
        return changed if second_prompt else changed.keeping("second", None)

    def looks(self, run: LensRun) -> list[Look]:
        """What `d` goes through: the run, then each other one: the difference, and itself."""
        return [RUN_ALONE, *(Look(kind, d) for kind in self.there(run) for d in (True, False))]

    def cycled(self, run: LensRun) -> LensBeside:
        looks = self.looks(run)
        at = looks.index(self.look) if self.look in looks else 0
        return self.looking(looks[(at + 1) % len(looks)])

    def there(self, run: LensRun) -> list[Kind]:
        """What there is to compare a run with, the nearest first."""
        wanted: dict[Kind, bool] = {
            "clean": is_edited(run.request),
            "pinned": self.run_of("pinned") is not None,
            "second": bool(self.second_prompt),
        }
        return [kind for kind, there in wanted.items() if there]

    def looked_at(self, run: LensRun) -> LensRun | None:
        """The other run that is looked at, once it is there."""
        return self.run_of(self.look.of) if self.look.of in self.there(run) else None

    def settled(self, run: LensRun) -> LensBeside:
        """With a new run: one without edits is what a later, edited one is compared with."""
        if run.state == "done" and not is_edited(run.request):
            return self.keeping("clean", run)
        return self

    def wanted(self, run: LensRun) -> tuple[Kind, LogitLens] | None:
        """What has to be asked next, so that the run can be compared."""
        if run.request is None:
            return None
        for kind, request in self._requests(run.request):
            known = self.run_of(kind)
            if known is None or known.request != request:
                return kind, request
        return None

    @property
    def source(self) -> LensRun | None:
        """Where a patch takes its states from: the second prompt, else the pinned run."""
        return self.run_of("second") or self.run_of("pinned")

    def _requests(self, request: LogitLens) -> list[tuple[Kind, LogitLens]]:
        plain = without_edits(request)
        asked: list[tuple[Kind, LogitLens]] = [("clean", plain)] if is_edited(request) else []
        if self.second_prompt:
            second = msgspec.structs.replace(plain, prompt=self.second_prompt)
            asked.append(("second", second))
        return asked


def is_edited(request: LogitLens | None) -> bool:
    return request is not None and bool(request.intervention or request.patch)


def without_edits(request: LogitLens) -> LogitLens:
    return msgspec.structs.replace(request, **NO_EDITS.request_fields())
