"""A sweep: every cell of every map that is asked for, group by group, told as it goes."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from mlxterp_engine.experiments import Array, PatchCells, Step
from mlxterp_engine.experiments.patching import BY_POSITION, KINDS
from mlxterp_engine.techniques.patching import Session
from mlxterp_engine.techniques.patching_cells import (
    NEURONS,
    TOGETHER,
    Z_POS,
    Asked,
    Place,
    column_order,
    in_turns,
    shape_of,
)
from mlxterp_engine.techniques.patching_kept import (
    NOTHING_KEPT,
    Kept,
    SweepKeeper,
    as_bytes,
    as_effects,
)
from mlxterp_engine.techniques.patching_price import at_once
from mlxterp_engine.tracing.patching_rows import Cell

import numpy as np

EVERYTHING = "everything"

Maps = dict[str, np.ndarray]


@dataclass(eq=False)
class Swept:
    """maps: by name. done: the cells that were run, with their effects. told: cells that are
    known, of `total`; resumed: those of them that a stopped run had computed."""

    maps: Maps
    done: list[tuple[Cell, float]] = field(default_factory=list)
    told: int = 0
    total: int = 0
    resumed: int = 0


def sweep(
    session: Session,
    asked: Asked,
    metric: str,
    keeper: SweepKeeper = NOTHING_KEPT,
    kept: Kept | None = None,
) -> Generator[PatchCells | Step, None, Swept]:
    """Every map that is asked for; and the cells that were computed, with their effects.

    Before the first difference both runs are the same, so that a patch changes nothing: 0. NaN
    where a block lacks the site, or a patched run's metric is not finite. kept: what a stopped
    sweep had; its groups are not run again.
    """
    size = kept.at_once if kept else at_once(session.model, session.runs.tokens, metric)
    groups = _all_groups(session, asked, size)
    swept = Swept({name: _empty(session, name, asked) for name in asked.maps})
    swept.total = sum(place.map != EVERYTHING for group in groups for place in group)
    effects: list[float] = []
    finished = 0

    def now() -> Kept:
        return Kept(
            method=session.method,
            ends=(session.readout.clean, session.readout.corrupt),
            at_once=size,
            groups=finished,
            effects=as_bytes(effects),
            cells=swept.told,
            live=session.live,
            unmoved=session.unmoved,
        )

    before = _by_group(session, groups, kept)
    try:
        for group in groups:
            cells = _cells_to_run(session, group)
            if finished < len(before):
                found = before[finished]
            else:
                found = session.effects(cells).tolist() if cells else []
            effects += found
            finished += 1
            yield from _settled(session, swept, asked, group, dict(zip(cells, found, strict=True)))
            if finished == len(before):
                assert kept is not None
                session.live, session.unmoved = kept.live, kept.unmoved
                swept.resumed = swept.told
            if finished >= len(before):
                keeper.note(now)
                yield Step(swept.told, swept.total, _words(swept))
    finally:
        keeper.note(now, at_last=True)
    return swept


def _words(swept: Swept) -> str:
    return f"cells, {swept.resumed} there before" if swept.resumed else "cells"


def _all_groups(session: Session, asked: Asked, size: int) -> list[list[Place]]:
    """One more cell, for `patch_full`, in a group that runs whatever differs."""
    runs = session.runs
    order = column_order(*runs.ids, runs.first)
    groups = list(in_turns(session.model.sites, asked, order, runs.tokens - 1, size))
    whole = session.everything
    for group in groups:
        if whole is not None and any(p.cell.position in (None, runs.first) for p in group):
            group.append(Place(EVERYTHING, (), whole))
            break
    return groups


def _by_group(session: Session, groups: list[list[Place]], kept: Kept | None) -> list[list[float]]:
    """What is kept, a list for each group that it has; none where it does not add up."""
    if kept is None:
        return []
    effects = as_effects(kept)
    counts = [len(_cells_to_run(session, group)) for group in groups[: kept.groups]]
    if len(counts) < kept.groups or sum(counts) != len(effects):
        return []
    ends = accumulate(counts)
    return [effects[end - count : end] for count, end in zip(counts, ends, strict=True)]


def _cells_to_run(session: Session, group: list[Place]) -> list[Cell]:
    """Those of a group in which the runs differ."""
    return [place.cell for place in group if not session.is_same(place.cell)]


def _settled(
    session: Session, swept: Swept, asked: Asked, group: list[Place], found: dict[Cell, float]
) -> list[PatchCells]:
    """A group's effects in their maps, and as parts."""
    places = [place for place in group if place.map != EVERYTHING]
    if len(places) < len(group):
        session.full = found.pop(group[-1].cell)
    for place in places:
        swept.maps[place.map][place.index] = found.get(place.cell, 0.0)
    swept.done += found.items()
    swept.told += len(places)
    return _parts(places, swept.maps, asked)


def _empty(session: Session, name: str, asked: Asked) -> np.ndarray:
    """Exactly nothing moves before the first difference, in the blocks that have the site."""
    first, sites = session.runs.first, session.model.sites
    values = np.full(shape_of(sites, name, session.runs.tokens, asked), np.nan, np.float32)
    if name in BY_POSITION:
        having = [b for b in range(sites.blocks) if sites.has(KINDS[name], b)]
        values[having, :first] = 0
    if name == Z_POS:
        for row, block in enumerate(asked.layers):
            values[row, :first, : sites.heads_of(KINDS["z"], block)] = 0
    return values


def _parts(places: Sequence[Place], maps: Maps, asked: Asked) -> list[PatchCells]:
    """What a group brought, by map: rectangles of its cells, by block."""
    parts = []
    for name in dict.fromkeys(place.map for place in places):
        if name in (NEURONS, TOGETHER):
            parts += _neurons(name, places, maps, asked)
            continue
        by_row: dict[int, dict[int, None]] = {}
        for place in places:
            if place.map == name:
                by_row.setdefault(place.index[0], {})[place.index[1]] = None
        alike: dict[tuple[int, ...], list[int]] = {}
        for row in sorted(by_row):
            alike.setdefault(tuple(sorted(by_row[row])), []).append(row)
        for at, rows in alike.items():
            blocks = [asked.layers[row] for row in rows] if name == Z_POS else rows
            parts.append(rectangle(name, blocks, list(at), maps[name][np.ix_(rows, at)]))
    return parts


def _neurons(name: str, places: Sequence[Place], maps: Maps, asked: Asked) -> Iterator[PatchCells]:
    """Of one block: [1, neuron]. What all of them do together is in the result alone."""
    if name == NEURONS and asked.neurons:
        at = [place.index[0] for place in places if place.map == NEURONS]
        yield rectangle(name, [asked.neurons[0]], at, maps[name][None, at])


def rectangle(name: str, rows: list[int], at: list[int], values: np.ndarray) -> PatchCells:
    """Cells of a map as a part. values: [row, at]."""
    return PatchCells(site=name, layers=rows, at=at, values=Array.of(values))
