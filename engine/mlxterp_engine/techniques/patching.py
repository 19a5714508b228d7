"""Patched runs of one pair of prompts, measured: what every patching technique stands on.

effect = (m − m_unpatched) / (m_source − m_unpatched): 0 where nothing moved, 1 all of the way, not
clipped, for beyond 1 is a finding. The form is that of Wang et al. 2022 (arXiv 2211.00593).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments import BadInput, Contract
from mlxterp_engine.experiments.patching import PatchEnds
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.findings import Prompted
from mlxterp_engine.techniques.patching_metric import Answers, Readout, readout
from mlxterp_engine.tracing.aligned_runs import aligned_runs, read_as
from mlxterp_engine.tracing.patching_rows import Cell
from mlxterp_engine.tracing.resume import (
    Method,
    Patched,
    TwoRuns,
    first_different,
    patched,
    two_runs,
)
from mlxterp_engine.tracing.resume_proof import TOLERANCE
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import numpy as np

# In float32, in 16-bit floats. An activation that differs by more than MOVED of its site's largest
# entry has to change some token's last state by more than STILL of that state's largest: rounding
# is ten times less.
MOVED = (1e-2, 3e-1)
STILL = (1e-5, 2e-2)
CHANGES = ("resid_pre", "attn_out", "mlp_out", "attn.z")  # a saturated softmax hides q and k
COMPARED = 1  # cell of each kind of site that is computed by a whole pass too


@dataclass(frozen=True)
class Pair:
    """Two prompts as the model reads them, and the tokens that the metric is about.

    partners: positions of clean and corrupt that correspond, where it is not each to its own.
    """

    clean: Prompted
    corrupt: Prompted
    answers: Answers
    partners: tuple[tuple[int, int], ...] | None = None

    def source_of(self, direction: str) -> list[int | None]:
        """By position of the unpatched run that of the source."""
        if self.partners is None:
            return list(range(len(self.clean.ids)))
        denoise = direction == "denoise"
        found = {b: a for a, b in self.partners} if denoise else dict(self.partners)
        return [found.get(p) for p in range(len((self.corrupt if denoise else self.clean).ids))]

    def columns(self, direction: str) -> tuple[int | None, ...] | None:
        """By position of the unpatched run that of the clean prompt, where maps have it; None
        where it is the same."""
        if self.partners is None:
            return None
        source = self.source_of(direction)
        if direction == "denoise":
            return tuple(source)
        return tuple(None if at is None else p for p, at in enumerate(source))

    def side_by_side(self, direction: str) -> tuple[Sequence[int], Sequence[int]]:
        """The ids of the unpatched run, and the source's read at its positions."""
        clean, corrupt = self.clean.ids, self.corrupt.ids
        unpatched, source = (corrupt, clean) if direction == "denoise" else (clean, corrupt)
        return unpatched, read_as(source, self.source_of(direction))


@dataclass(eq=False)
class Session:
    """A pair, recorded and ready to be patched.

    unpatched, source: the metric of the run that is patched and of the one that patches come
    from. live: cells whose activation differs; unmoved: those of them whose run stayed the same.
    is_shifted: positions of the two runs correspond only in part. full: the effect of
    `everything`, once it is known.
    """

    model: InterpretableModel
    method: Method
    runs: TwoRuns
    readout: Readout
    unpatched: float
    source: float
    is_shifted: bool = False
    live: int = 0
    unmoved: int = 0
    full: float | None = None
    _moved: dict[tuple[Site, bool], np.ndarray] = field(default_factory=dict)

    @property
    def ends(self) -> PatchEnds:
        return PatchEnds(
            clean_metric=self.readout.clean,
            corrupt_metric=self.readout.corrupt,
            first_different=self.runs.first,
            method=self.method,
        )

    @property
    def everything(self) -> Cell | None:
        """Every position of the middle block's input: a patch that gives the source's own run."""
        site = Site("resid_pre", self.model.sites.blocks // 2)
        if self.is_shifted:
            return None
        return Cell(site) if site in self.runs.source else None

    def effects(self, cells: Sequence[Cell]) -> np.ndarray:
        """[cell], float32; NaN where the patched run's metric is not finite."""
        found = patched(self.model.net, self.model.anatomy, self.runs, cells, self.method)
        measured, change = self.readout.lazily(found), self._change(found)
        mx.eval(measured, change)
        self._count_unmoved(cells, as_numpy(change))
        return self.normalised(self.readout.of(measured))

    def is_same(self, cell: Cell) -> bool:
        """Whether the first block's input is the very same in both runs: a patch does nothing."""
        return cell.site == Site("resid_pre", 0) and self.difference(cell) == 0

    def normalised(self, raw: np.ndarray) -> np.ndarray:
        effect = (raw - self.unpatched) / (self.source - self.unpatched)
        return np.where(np.isfinite(effect), effect, np.nan).astype(np.float32)

    def contracts(self, done: Sequence[tuple[Cell, float]]) -> dict[str, Contract]:
        """Of the cells that were computed, with their effects."""
        contracts = {}
        if self.live:
            contracts["patch_changes"] = Contract.of(self.unmoved / self.live, 0.0)
        if self.everything is not None:
            effect = self.effects([self.everything])[0] if self.full is None else self.full
            error = abs(effect - 1) * abs(self.source - self.unpatched) / self.largest
            contracts["patch_full"] = Contract.of(error, TOLERANCE[self.low])
        if self.method != "full" and done:
            contracts["resume_equals_full"] = Contract.of(
                self._resume_error(done), TOLERANCE[self.low]
            )
        return contracts

    @property
    def largest(self) -> float:
        return max(abs(self.source), abs(self.unpatched))

    @property
    def low(self) -> bool:
        return self.model.anatomy.dtype != mx.float32

    def _change(self, found: Patched) -> mx.array:
        """By row: the most by which a token's last state differs from the unpatched run's."""
        if found.ends is None or self.runs.ends is None:
            return mx.zeros((0,))
        own = self.runs.ends[:1, -found.ends.shape[1] :].astype(mx.float32)
        largest = mx.maximum(mx.abs(own).max(axis=2), 1e-30)
        return (mx.abs(found.ends - own).max(axis=2) / largest).max(axis=1)

    def _count_unmoved(self, cells: Sequence[Cell], change: np.ndarray) -> None:
        if not len(change):
            return
        for cell, moved in zip(cells, change, strict=True):
            if cell.site.kind in CHANGES and self.difference(cell) > MOVED[self.low]:
                self.live += 1
                self.unmoved += int(moved <= STILL[self.low])

    def difference(self, cell: Cell) -> float:
        """How much the two runs differ at a cell, of the site's largest entry."""
        whole, everywhere = cell.site.whole, cell.position is None
        if (whole, everywhere) not in self._moved:
            a, b = self.runs.unpatched[whole][0], self.runs.source[whole][0]
            scale = mx.maximum(mx.abs(a).max(), 1e-30)
            difference = mx.abs(a - b).max(axis=(-2, -1) if everywhere else -1)
            self._moved[whole, everywhere] = as_numpy(difference / scale)
        index = (*(cell.site.part or ()), *(() if cell.position is None else (cell.position,)))
        return float(self._moved[whole, everywhere][index])

    def _resume_error(self, done: Sequence[tuple[Cell, float]]) -> float:
        """Some cells against whole passes, max|difference| of the metric / max|metric|."""
        chosen = list(dict(_spread(done)).items())
        whole = patched(
            self.model.net, self.model.anatomy, self.runs, [cell for cell, _ in chosen], "full"
        )
        expected = self.readout.by_logits(as_numpy(whole.logits))
        span = self.source - self.unpatched
        found = np.array([effect for _, effect in chosen]) * span + self.unpatched
        largest = max(np.abs(expected).max(), self.largest)
        return float(np.abs(found - expected).max() / largest)


def _spread(done: Sequence[tuple[Cell, float]]) -> list[tuple[Cell, float]]:
    """Cells of each kind of site, the first kind's from the middle, the others' further back."""
    kinds: dict[str, list[tuple[Cell, float]]] = {}
    for item in done:
        kinds.setdefault(item[0].site.kind, []).append(item)
    share = [(i + 1) / (len(kinds) + 1) for i in range(len(kinds))]
    return [items[int(s * len(items))] for s, items in zip(share, kinds.values(), strict=True)]


def open_pair(
    model: InterpretableModel, pair: Pair, kinds: Sequence[str | Site], metric: str, direction: str
) -> Session:
    """Both runs recorded at these sites or kinds of site, and the ends of the scale."""
    check_lengths(pair)
    method = model.resumption.method
    clean, corrupt = pair.clean.ids, pair.corrupt.ids
    unpatched, source = (corrupt, clean) if direction == "denoise" else (clean, corrupt)
    record = recorded(model, kinds)
    if pair.partners is None:
        runs = two_runs(model.net, model.anatomy, unpatched, source, record, method)
    else:
        found = pair.source_of(direction)
        runs = aligned_runs(model.net, model.anatomy, unpatched, source, found, record, method)
    which = 1 if direction == "denoise" else 0
    measure = readout(model, metric, pair.answers, runs, which)
    ends = (measure.corrupt, measure.clean)
    first, second = ends if direction == "denoise" else ends[::-1]
    is_shifted = pair.partners is not None
    return Session(model, method, runs, measure, first, second, is_shifted)


def recorded(model: InterpretableModel, kinds: Sequence[str | Site]) -> list[Site]:
    """These sites, those of these kinds in every block, and states for `patch_full`."""
    count = model.sites.blocks
    wanted = [kind for kind in kinds if isinstance(kind, Site)]
    wanted += [Site(kind, b) for kind in kinds if isinstance(kind, str) for b in range(count)]
    wanted += [Site("resid_pre", block) for block in (0, count // 2)]
    return [site for site in dict.fromkeys(wanted) if model.sites.has(site.kind, site.block)]


def check_lengths(pair: Pair) -> None:
    """BadInput unless both prompts differ, and have equally many tokens or partners."""
    clean, corrupt = pair.clean, pair.corrupt
    if pair.partners is not None:
        check_partners(pair)
        return
    if len(clean.ids) != len(corrupt.ids):
        raise BadInput(
            f"clean has {len(clean.ids)} tokens and corrupt {len(corrupt.ids)} "
            f"({_where(clean, corrupt)}); patching goes token by token: choose words that are "
            "equally many tokens (substitutes finds some), or give pad, a token to fill up with"
        )
    if first_different(clean.ids, corrupt.ids) == len(clean.ids):
        raise BadInput("clean and corrupt are the same prompt; change a word in one of them")


def check_partners(pair: Pair) -> None:
    """BadInput unless the prompts differ, and their ends correspond, where the metric is read."""
    if pair.clean.ids == pair.corrupt.ids:
        raise BadInput("clean and corrupt are the same prompt; change a word in one of them")
    last = (len(pair.clean.ids) - 1, len(pair.corrupt.ids) - 1)
    if pair.partners and pair.partners[-1] != last:
        raise BadInput(
            f"one prompt goes on where the other ends ({pair.clean.tokens[-1]!r} against "
            f"{pair.corrupt.tokens[-1]!r}); give prompts that end with the same word"
        )


def _where(clean: Prompted, corrupt: Prompted) -> str:
    """The words around the first difference, as tokens."""
    shorter = min(len(clean.ids), len(corrupt.ids))
    at = first_different(clean.ids[:shorter], corrupt.ids[:shorter])
    a, b = ("".join(p.tokens[at : at + 3]) for p in (clean, corrupt))
    return f"they part at token {at}: {a!r} against {b!r}"
