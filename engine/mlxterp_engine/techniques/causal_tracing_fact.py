"""One fact traced: under each draw of noise, one place after another given its clean value back.

Each draw is a pair of runs, noised and clean; a row of a batch goes on from the noised one
with a place of the clean one (`tracing.resume`). What comes out is p(answer) itself, never a ratio:
the indirect effect of a place is that less p(answer) under noise (Meng et al. 2022, section 2).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments import Array, Contract, PatchCells, Price, Step
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
from mlxterp_engine.techniques.findings import Prompted
from mlxterp_engine.techniques.patching_price import (
    BATCHED,
    BYTES_AT_ONCE,
    SECONDS_AT_ONCE,
    at_once,
)
from mlxterp_engine.tracing.added_noise import Added
from mlxterp_engine.tracing.patching_rows import Cell, Patch
from mlxterp_engine.tracing.resume import Method, TwoRuns, last_logits, patched_together, two_runs
from mlxterp_engine.tracing.sites import Site
from mlxterp_engine.vocabulary import probability_of

import mlx.core as mx
import numpy as np

METRIC = "prob"


@dataclass(frozen=True)
class Question:
    """A prompt as the model reads it, its subject's tokens, and the id of the answer."""

    prompt: Prompted
    subject: Span
    answer: int


@dataclass(frozen=True, eq=False)
class Traced:
    """What a fact came to.

    p_corrupt: p(answer) under noise, [sample]; maps: the same with a state given back, by name,
    [sample, layer, position], NaN where the model lacks the site. Before the subject it is
    p_corrupt itself: nothing differs there.
    """

    p_clean: float
    p_corrupt: np.ndarray
    maps: dict[str, np.ndarray]
    subject: Span
    tokens: list[str]
    method: Method
    contracts: dict[str, Contract] = field(default_factory=dict)

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
    model: InterpretableModel, question: Question, noise: np.ndarray, options: Options
) -> Generator[PatchCells | Step, None, Traced]:
    """noise: [sample, subject token, d_model], added to the embeddings.

    Draw by draw; of each, the subject's last token comes first, then the prompt's last. The cells
    are means over the draws that are done.
    """
    tokens = len(question.prompt.ids)
    restorations = Restorations(model.anatomy, model.sites, options)
    order = column_order(question.subject, tokens)
    groups = list(in_turns(restorations, order, rows_at(model, tokens)))
    maps = _empty(restorations, len(noise), model.sites.blocks, tokens)
    record = recorded(model, restorations)
    checks = Checks(model)
    p_corrupt = np.full(len(noise), np.nan, np.float32)
    p_clean = np.nan
    total, done = len(noise) * sum(map(len, groups)), 0
    for sample, draw in enumerate(noise):
        run = noised_run(model, question, draw, record)
        p_corrupt[sample], p_clean = run.p_corrupt, run.p_clean
        _fill_before(maps, restorations, sample, run)
        for group in groups:
            values = run.probabilities([cell.patch for cell in group], checks)
            for cell, value in zip(group, values, strict=True):
                maps[cell.map][sample, cell.layer, cell.position] = value
            yield from _means(maps, sample, group)
            done += len(group)
            yield Step(done, total, "cells")
        if sample == 0:
            _compare(checks, run, maps, groups)
    return Traced(
        p_clean=float(p_clean),
        p_corrupt=p_corrupt,
        maps=maps,
        subject=question.subject,
        tokens=question.prompt.tokens,
        method=model.resumption.method,
        contracts=checks.contracts(),
    )


def rows_at(model: InterpretableModel, tokens: int) -> Callable[[int], int]:
    """The most rows of one evaluation, by the position that is given back."""
    size = at_once(model, tokens, METRIC)
    resumes = model.resumption.method == "suffix"
    return lambda position: size // (tokens - position if resumes else tokens)


def price_of_fact(
    model: InterpretableModel,
    tokens: int,
    subject: Span,
    samples: int,
    options: Options,
    more: int = 0,
) -> Price:
    """Forward passes of the prompt, by time. more: passes beside those of the trace."""
    restorations = Restorations(model.anatomy, model.sites, options)
    cells = [
        cell
        for position in column_order(subject, tokens)
        for name in restorations.maps
        for cell in restorations.column(name, position)
    ]
    blocks, pace = model.sites.blocks, model.pace
    depth = sum((tokens - cell.position) * (blocks - cell.patch.block) / blocks for cell in cells)
    size = SECONDS_AT_ONCE  # of an evaluation
    each = BATCHED * pace.per_token * depth + pace.per_unembedding * len(cells)
    each += pace.start * max(each / size, tokens - subject[0]) + pace.seconds(2 * tokens)
    seconds = samples * (each + pace.seconds(tokens)) + more * pace.seconds(tokens)
    return Price(seconds / pace.seconds(tokens), seconds, _bytes(model, restorations, tokens))


def _bytes(model: InterpretableModel, restorations: Restorations, tokens: int) -> int:
    """Both runs' recorded sites and caches, what one evaluation holds."""
    card = model.card
    widths = len(recorded(model, restorations)) + card.layers * 2
    keys = 2 * card.layers * card.kv_heads * card.d_head
    return 2 * 4 * tokens * (widths * card.d_model + keys) + BYTES_AT_ONCE


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
