"""One fact traced: under each draw of noise, one place after another given its clean value back.

Each draw is a pair of runs, noised and clean; a row of a batch goes on from the noised one
with a place of the clean one (`tracing.resume`). What comes out is p(answer) itself, never a ratio:
the indirect effect of a place is that less p(answer) under noise (Meng et al. 2022, section 2).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments import Array, Contract, PatchCells, Step
from mlxterp_engine.experiments.alignment import Span
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.causal_tracing_cells import (
    Options,
    Restorations,
    Restored,
    column_order,
    in_turns,
)
from mlxterp_engine.techniques.causal_tracing_checks import Checks
from mlxterp_engine.techniques.causal_tracing_kept import (
    NOTHING_KEPT,
    DrawKeeper,
    KeptDraws,
    draws_in,
)
from mlxterp_engine.techniques.causal_tracing_subject import Question
from mlxterp_engine.techniques.patching_price import at_once
from mlxterp_engine.tracing.added_noise import Added
from mlxterp_engine.tracing.patching_rows import Cell, Patch
from mlxterp_engine.tracing.resume import Method, TwoRuns, last_logits, patched_together, two_runs
from mlxterp_engine.tracing.sites import Site
from mlxterp_engine.vocabulary import probability_of

import mlx.core as mx
import numpy as np

METRIC = "prob"


@dataclass(frozen=True, eq=False)
class Traced:
    """What a fact came to.

    p_corrupt: p(answer) under noise, [sample]; maps: the same with a state given back, by name,
    [sample, layer, position], NaN where the model lacks the site. Before the subject it is
    p_corrupt itself: nothing differs there. resumed: draws that a stopped trace had done.
    """

    p_clean: float
    p_corrupt: np.ndarray
    maps: dict[str, np.ndarray]
    subject: Span
    tokens: list[str]
    method: Method
    contracts: dict[str, Contract] = field(default_factory=dict)
    resumed: int = 0

    def mean(self, name: str) -> np.ndarray:
        """[layer, position], over the draws."""
        return self.maps[name].mean(axis=0, dtype=np.float64).astype(np.float32)


@dataclass(eq=False)
class NoisedRun:
    """One draw: the run with noise and the clean one, recorded, ready to be given places back."""

    model: InterpretableModel
    question: Question
    method: Method
    runs: TwoRuns
    p_corrupt: float
    p_clean: float

    def probabilities(self, patches: Sequence[Patch], checks: Checks) -> np.ndarray:
        """p(answer) of each row; NaN where it is not finite."""
        net, anatomy = self.model.net, self.model.anatomy
        found = patched_together(net, anatomy, self.runs, patches, self.method)
        change = checks.change(self.runs, found)
        mx.eval(found.logits, change)
        checks.count(self.runs, patches, as_numpy(change))
        return finite(probability_of(found.logits, self.question.answer))


def noised_run(
    model: InterpretableModel, question: Question, noise: np.ndarray, record: Sequence[Site]
) -> NoisedRun:
    """noise: [subject token, d_model]."""
    ids, method = question.prompt.ids, model.resumption.method
    added = Added(question.subject[0], mx.array(noise))
    runs = two_runs(model.net, model.anatomy, ids, ids, record, method, added)
    p = finite(probability_of(runs.logits, question.answer))
    return NoisedRun(model, question, method, runs, float(p[0]), float(p[1]))


def finite(p: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(p), p, np.nan).astype(np.float32)


def forgotten(
    model: InterpretableModel, question: Question, noise: np.ndarray
) -> tuple[float, np.ndarray]:
    """p(answer) of the clean run, and under each draw of noise [sample, subject token, d_model]."""
    ids = question.prompt.ids
    clean = last_logits(model.net, model.anatomy, [ids])
    size = max(at_once(model, len(ids), METRIC) // len(ids), 1)
    found = []
    for start in range(0, len(noise), size):
        some = mx.array(noise[start : start + size])
        edits = [Added(question.subject[0], some).to_all()]
        logits = last_logits(model.net, model.anatomy, [ids] * len(some), edits)
        found.append(finite(probability_of(logits, question.answer)))
    return float(finite(probability_of(clean, question.answer))[0]), np.concatenate(found)


def traced(
    model: InterpretableModel,
    question: Question,
    noise: np.ndarray,
    options: Options,
    keeper: DrawKeeper = NOTHING_KEPT,
) -> Generator[PatchCells | Step, None, Traced]:
    """noise: [sample, subject token, d_model], added to the embeddings.

    Draw by draw; of each, the subject's last token comes first, then the prompt's last. The cells
    are means over the draws that are done. keeper: where the draws of a trace that is stopped
    are, and go.
    """
    trace = _Trace(model, question, noise, options, keeper)
    return (yield from trace.run())


class _Trace:
    """A trace that goes on: its maps as far as they are known."""

    def __init__(
        self,
        model: InterpretableModel,
        question: Question,
        noise: np.ndarray,
        options: Options,
        keeper: DrawKeeper,
    ) -> None:
        tokens = len(question.prompt.ids)
        self._model, self._question, self._noise, self._keeper = model, question, noise, keeper
        self._before = draws_in(keeper, model)
        kept = self._before
        self._size = kept.at_once if kept else at_once(model, tokens, METRIC)
        self._cells = Restorations(model.anatomy, model.sites, options)
        order = column_order(question.subject, tokens)
        self._groups = list(in_turns(self._cells, order, rows_at(model, tokens, self._size)))
        self._checks = Checks(model)
        self._done = 0  # draws
        self._p_clean = float("nan")
        self._p_corrupt = np.full(len(noise), np.nan, np.float32)
        self._maps = _empty(self._cells, len(noise), model.sites.blocks, tokens)

    def run(self) -> Generator[PatchCells | Step, None, Traced]:
        per_draw = sum(map(len, self._groups))
        total = per_draw * len(self._noise)
        yield from self._from_before(per_draw, total)
        resumed = self._done
        record = recorded(self._model, self._cells)
        try:
            for sample in range(resumed, len(self._noise)):
                told = sample * per_draw
                run = noised_run(self._model, self._question, self._noise[sample], record)
                for group in self._draw(run, sample):
                    yield from _means(self._maps, sample, group)
                    told += len(group)
                    yield Step(told, total, "cells")
                self._keeper.note(self._now)
        finally:
            if self._done > resumed:
                self._keeper.note(self._now, at_last=True)
        return self._traced(resumed)

    def _from_before(self, per_draw: int, total: int) -> Iterator[PatchCells | Step]:
        """What a stopped trace had."""
        kept = self._before
        if kept is None or not kept.draws:
            return
        self._done, self._p_clean = kept.draws, kept.p_clean
        kept.fill(self._p_corrupt, self._maps)
        self._checks.take(kept.live, kept.unmoved, kept.errors)
        for group in self._groups:
            yield from _means(self._maps, self._done - 1, group)
        yield Step(self._done * per_draw, total, "cells")

    def _draw(self, run: NoisedRun, sample: int) -> Iterator[list[Restored]]:
        """One draw, group by group."""
        self._p_corrupt[sample], self._p_clean = run.p_corrupt, run.p_clean
        _fill_before(self._maps, self._cells, sample, run)
        for group in self._groups:
            values = run.probabilities([cell.patch for cell in group], self._checks)
            for cell, value in zip(group, values, strict=True):
                self._maps[cell.map][sample, cell.layer, cell.position] = value
            if group is self._groups[-1]:
                self._finish(run, sample)
            yield group

    def _finish(self, run: NoisedRun, sample: int) -> None:
        """Before its last cells are told: whoever hears them may stop the trace."""
        if sample == 0:
            _compare(self._checks, run, self._maps, self._groups)
        self._done = sample + 1

    def _now(self) -> KeptDraws:
        return KeptDraws(
            method=self._model.resumption.method,
            at_once=self._size,
            draws=self._done,
            cells=self._done * sum(map(len, self._groups)),
            p_clean=self._p_clean,
            p_corrupt=self._p_corrupt[: self._done].tobytes(),
            maps={name: values[: self._done].tobytes() for name, values in self._maps.items()},
            live=self._checks.live,
            unmoved=self._checks.unmoved,
            errors=self._checks.errors,
        )

    def _traced(self, resumed: int) -> Traced:
        return Traced(
            p_clean=self._p_clean,
            p_corrupt=self._p_corrupt,
            maps=self._maps,
            subject=self._question.subject,
            tokens=self._question.prompt.tokens,
            method=self._model.resumption.method,
            contracts=self._checks.contracts(),
            resumed=resumed,
        )


def rows_at(model: InterpretableModel, tokens: int, size: int) -> Callable[[int], int]:
    """The most rows of one evaluation, by the position that is given back.

    size: rows times tokens.
    """
    resumes = model.resumption.method == "suffix"
    return lambda position: size // (tokens - position if resumes else tokens)


def recorded(model: InterpretableModel, restorations: Restorations) -> list[Site]:
    """What both runs have to be recorded at; the middle state is for `patch_full`."""
    sites = [site for name in restorations.maps for site in restorations.sites_of(name)]
    sites += [cell.site for cell in everything(model)]
    return list(dict.fromkeys(sites))


def _empty(
    restorations: Restorations, samples: int, blocks: int, tokens: int
) -> dict[str, np.ndarray]:
    shape = (samples, blocks, tokens)
    return {name: np.full(shape, np.nan, np.float32) for name in restorations.maps}


def _fill_before(
    maps: Mapping[str, np.ndarray], restorations: Restorations, sample: int, run: NoisedRun
) -> None:
    """What stands before the subject is the same in both runs, in the blocks that have the site."""
    for name, values in maps.items():
        having = [cell.layer for cell in restorations.column(name, 0)]
        values[sample, having, : run.question.subject[0]] = run.p_corrupt


def _means(
    maps: Mapping[str, np.ndarray], sample: int, group: Sequence[Restored]
) -> Iterator[PatchCells]:
    """By map: the group's cells, which are of one position, over the draws so far."""
    for name in dict.fromkeys(cell.map for cell in group):
        layers = sorted(cell.layer for cell in group if cell.map == name)
        at = group[0].position
        values = maps[name][: sample + 1, layers, at].mean(axis=0, dtype=np.float64)
        column = values.astype(np.float32)[:, None]
        yield PatchCells(site=name, layers=layers, at=[at], values=Array.of(column))


def _compare(
    checks: Checks,
    run: NoisedRun,
    maps: Mapping[str, np.ndarray],
    groups: Sequence[Sequence[Restored]],
) -> None:
    """Everything given back; and a cell of the middle of each map by a whole pass."""
    whole = [Patch(everything(run.model))]
    if whole[0].cells:
        checks.full(float(run.probabilities(whole, checks)[0]), run.p_clean)
    cells = [cell for group in groups for cell in group]
    some = [own[len(own) // 2] for name in maps if (own := [c for c in cells if c.map == name])]
    if run.method == "full" or not some:
        return
    expected = replace(run, method="full").probabilities([c.patch for c in some], checks)
    found = [maps[cell.map][0, cell.layer, cell.position] for cell in some]
    checks.resumed(np.array(found), expected)


def everything(model: InterpretableModel) -> tuple[Cell, ...]:
    """All positions of the middle block's input: the clean run from there on."""
    site = Site("resid_pre", model.sites.blocks // 2)
    return (Cell(site),) if model.sites.has(site.kind, site.block) else ()
