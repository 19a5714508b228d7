"""What is known of one patching run: its maps fill in as cells arrive. Knows nothing of a screen.

How the pane uses it: `PatchRun(request).with_parts(parts, card)` for each list of parts that
comes, `.finished(result)`, `.ended(state, reason)` at the end; `stored.stored_run` for a run of
the log. `run.names` are the maps to step through and `run.map(name)` is one of them; `run.map(name,
"sd")` and `run.map(name, 3)` are its spread and its fourth pair (or draw of noise), where
`run.members(name)` says how many there are. `cells.picture(run, name)` is what a CellGrid shows,
`cells.scale(…)` what its colours mean; `text.heading`, `inspector` and `best` say it in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from mlxterp_engine.experiments import (
    Contract,
    ModelCard,
    PatchCells,
    PatchEnds,
    Result,
    Started,
    Step,
)
from mlxterp_engine.experiments.alignment import partners
from mlxterp_engine.experiments.request import Request
from mlxterp_tui.panes.patch import members, reading
from mlxterp_tui.panes.patch.maps import At, PatchMap
from mlxterp_tui.panes.patch.members import Of
from mlxterp_tui.panes.patch.reading import Frame
from mlxterp_tui.panes.patch.sites import UNKNOWN_SIZES, Sizes

RunState = Literal["empty", "waiting", "running", "done", "cancelled", "failed"]
TRACING = "causal-tracing"


class Ends(NamedTuple):
    """The metric of both runs as they are; of causal tracing p(answer) without and with noise."""

    clean: float
    corrupt: float


@dataclass(frozen=True)
class PatchRun:
    """clean, corrupt: tokens; of causal tracing both are the one prompt's. maps: by name, in the
    order asked for. partners: which position of corrupt corresponds to one of clean, where that is
    not the same one. first: the position where the prompts begin to differ. resumed: cells that a
    stopped run of the same request had computed. told: of a set, how many of its pairs or facts
    each map is the mean of, while they come.

    recorded_as: its number in the log.
    """

    request: Request | None = None
    state: RunState = "empty"
    clean: tuple[str, ...] = ()
    corrupt: tuple[str, ...] = ()
    sizes: Sizes = UNKNOWN_SIZES
    ends: Ends | None = None
    method: str = ""
    partners: Mapping[int, int] | None = None
    first: int = 0
    resumed: int = 0
    maps: Mapping[str, PatchMap] = field(default_factory=dict)
    told: Mapping[str, int] = field(default_factory=dict)
    progress: Step | None = None
    result: Result | None = None
    reason: str = ""
    recorded_as: int | None = None

    # How it grows

    def with_parts(self, parts: Sequence[object], card: ModelCard | None) -> PatchRun:
        """What came of the request so far; what else is told of a job is passed over."""
        run = self
        for part in parts:
            if isinstance(part, Started) and card is not None:
                run = run.read(part.tokens, sizes_of(card))
            elif isinstance(part, PatchEnds):
                run = run.between(part)
            elif isinstance(part, PatchCells):
                run = run.with_cells(part)
            elif isinstance(part, Step):
                run = replace(run, progress=part)
        return run

    def read(self, tokens: Sequence[Sequence[str]], sizes: Sizes) -> PatchRun:
        """The prompts as the model reads them: every cell is to come. A set of pairs has none."""
        clean = tuple(tokens[0]) if tokens else ()
        corrupt = tuple(tokens[1]) if len(tokens) > 1 else clean
        run = replace(self, state="running", sizes=sizes).of_tokens(clean, corrupt)
        maps = reading.unknown_maps(run.frame)
        return replace(run, maps={name: run.with_partners(found) for name, found in maps.items()})

    def with_partners(self, found: PatchMap) -> PatchMap:
        """Without the cells of tokens that correspond to none of the other prompt."""
        if self.partners is None or found.kind != "position":
            return found
        alone = [at for at in range(len(found.columns)) if at not in self.partners]
        return found.lacking({At(row, at) for row in range(len(found.rows)) for at in alone})

    def of_tokens(self, clean: Sequence[str], corrupt: Sequence[str]) -> PatchRun:
        shifted = getattr(self.request, "align", "exact") == "spans" and clean
        found = dict(partners(clean, corrupt)) if shifted else None
        return replace(self, clean=tuple(clean), corrupt=tuple(corrupt), partners=found)

    def between(self, ends: PatchEnds) -> PatchRun:
        """Both ends of the scale. Before the first difference a patch changes nothing."""
        run = replace(
            self,
            ends=Ends(ends.clean_metric, ends.corrupt_metric),
            first=ends.first_different,
            method=ends.method,
            resumed=ends.resumed,
        )
        same = range(ends.first_different)
        nothing = ends.corrupt_metric if run.is_tracing else 0.0
        maps = {
            name: found.with_columns(same, nothing) if found.kind == "position" else found
            for name, found in run.maps.items()
        }
        return replace(run, maps=maps)

    def with_cells(self, part: PatchCells) -> PatchRun:
        maps = {**self.maps, **reading.with_part(self.maps, self.frame, part)}
        told = {**self.told, part.site: self.told.get(part.site, 0) + 1} if self.is_set else {}
        return replace(self, maps=maps, told=told)

    def finished(self, result: Result) -> PatchRun:
        """The result's arrays take the place of what was told on the way."""
        run = replace(self, state="done", result=result, sizes=sizes_of(result.meta.model))
        if result.meta.tokens and not run.is_set:
            run = run.of_tokens(result.meta.tokens[0], result.meta.tokens[-1])
        ends = reading.ends_of(result)
        run = replace(run, ends=Ends(*ends) if ends else self.ends)
        return replace(run, maps=reading.maps_of(run.frame, result))

    def ended(self, state: RunState, reason: str = "") -> PatchRun:
        return replace(self, state=state, reason=reason)

    # What it is

    @property
    def frame(self) -> Frame:
        return Frame(self.request, self.sizes, self.clean)

    @property
    def experiment(self) -> str:
        return str(self.request.__struct_config__.tag) if self.request is not None else ""

    @property
    def is_tracing(self) -> bool:
        return self.experiment == TRACING

    @property
    def running(self) -> bool:
        return self.state in ("waiting", "running")

    @property
    def direction(self) -> str:
        """denoise: clean values written into the corrupt run; noise: the other way round."""
        return str(getattr(self.request, "direction", "denoise"))

    @property
    def is_set(self) -> bool:
        """Whether the maps are means over pairs or facts."""
        return bool(getattr(self.request, "pairs", None) or getattr(self.request, "facts", None))

    @property
    def differing(self) -> tuple[int, ...]:
        """Positions of the clean prompt whose tokens differ, or which the other has not."""
        return tuple(
            position
            for position, token in enumerate(self.clean)
            if (there := self.partner(position)) is None or self.corrupt[there] != token
        )

    def partner(self, position: int) -> int | None:
        """The position of the corrupt prompt that corresponds to one of the clean prompt's."""
        if self.partners is not None:
            return self.partners.get(position)
        return position if position < len(self.corrupt) else None

    @property
    def contracts(self) -> dict[str, Contract]:
        return self.result.meta.contracts if self.result else {}

    def ends_of(self, of: Of = "mean") -> Ends | None:
        """Those of one pair, draw or fact, where it is a number; else of the run."""
        own = (
            members.ends_of_member(self.result, of) if self.result and isinstance(of, int) else None
        )
        return Ends(*own) if own else self.ends

    def raw(self, effect: float, of: Of = "mean") -> float | None:
        """The metric itself of a run with that effect; a mean of shares has none."""
        ends = self.ends_of(of)
        if ends is None or (self.is_set and not isinstance(of, int)):
            return None
        unpatched, source = reversed(ends) if self.direction == "denoise" else ends
        return unpatched + effect * (source - unpatched)

    # Its maps

    @property
    def names(self) -> list[str]:
        """The maps there are to look at."""
        return list(self.maps)

    def map(self, name: str, of: Of = "mean") -> PatchMap | None:
        """of: `mean`, which is the map itself where there is but one pair; `sd`, its spread over
        pairs or draws; a number, the map of one of them. None where there is none."""
        found = self.maps.get(name)
        if of == "mean" or found is None or self.result is None:
            return found if of == "mean" else None
        return members.member(found, self.result, of)

    def members(self, name: str) -> int:
        """Pairs or draws of noise that the map is the mean of; 0 where they were not kept."""
        return members.members(name, self.result) if self.result is not None else 0

    def spread_at(self, name: str, at: At) -> float | None:
        """Of one cell, over pairs or draws; None where there are not several."""
        found = self.maps.get(name)
        if found is None or self.result is None:
            return None
        return members.spread_at(found, self.result, at)

    @property
    def known(self) -> int:
        return sum(found.known for found in self.maps.values())

    @property
    def total(self) -> int:
        return sum(found.total for found in self.maps.values())

    @property
    def failed(self) -> int:
        """Cells that could not be computed, in all maps."""
        return sum(found.failed for found in self.maps.values())


def sizes_of(card: ModelCard) -> Sizes:
    return Sizes(card.layers, card.heads, card.kv_heads, card.d_mlp)
