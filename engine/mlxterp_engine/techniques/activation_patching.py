"""Activation patching: one run's activation written into the other, one place at a time.

Vig et al. 2020 (arXiv 2004.12265) called it interchange intervention, Meng et al. 2022 (arXiv
2202.05262) causal tracing when the corrupt run is a noised one. Metrics and normalisation as
Zhang & Nanda 2024 (arXiv 2309.16042) recommend: logit difference first, and effects not clipped.
A residual state is one position's: all positions at once give the source's run by construction.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from mlxterp_engine.experiments import (
    ActivationPatching,
    Array,
    BadInput,
    PatchCells,
    PatchEnds,
    Price,
    Step,
)
from mlxterp_engine.experiments.patching import BY_HEAD, BY_POSITION, KINDS, Patching
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.findings import Findings, Prompts
from mlxterp_engine.techniques.patching import Pair, Session, check_lengths, open_pair
from mlxterp_engine.techniques.patching_cells import (
    Z_POS,
    Asked,
    Place,
    column_order,
    in_turns,
    shape_of,
)
from mlxterp_engine.techniques.patching_metric import WORDS, answers_of
from mlxterp_engine.techniques.patching_price import at_once, price_of
from mlxterp_engine.tracing.patching_rows import Cell

import numpy as np

Maps = dict[str, np.ndarray]
Parts = Generator[PatchEnds | PatchCells | Step, None, Findings]


def check(model: InterpretableModel, request: ActivationPatching) -> None:
    """Answers are single tokens; the model has every site asked for in some block."""
    answers_of(model, request.answer, request.wrong)
    check_sites(model, request)
    if request.by_position:
        for layer in asked_of(model, request).layers:
            model.sites.parse(f"blocks.{layer}.attn.z")


def check_sites(model: InterpretableModel, request: Patching) -> None:
    for name in request.kinds:
        kind = KINDS[name]
        if not any(model.sites.has(kind, block) for block in range(model.sites.blocks)):
            raise BadInput(f"{model.card.reference} has no {name}: {model.sites.missing[kind]}")


def price(model: InterpretableModel, request: ActivationPatching, prompts: Prompts) -> Price:
    pair = pair_of(model, request, prompts)
    check_lengths(pair)
    return price_of(model, asked_of(model, request), pair, request.metric)


def run(model: InterpretableModel, request: ActivationPatching, prompts: Prompts) -> Parts:
    """The ends first, then cells as they are known; columns by position come whole."""
    pair = pair_of(model, request, prompts)
    asked = asked_of(model, request)
    yield Step(0, 1, "both runs")
    session = open_pair(model, pair, kinds_of(asked), request.metric, request.direction)
    yield session.ends
    maps, done = yield from sweep(session, asked, request.metric)
    arrays = ends_of(session, pair)
    if asked.layers:
        arrays["z_pos_layers"] = np.array(asked.layers, dtype=np.int32)
    tokens = [pair.clean.tokens, pair.corrupt.tokens]
    return Findings(
        arrays | maps,
        session.contracts(done),
        {"clean_tokens": tokens[0], "corrupt_tokens": tokens[1], "method": session.method},
        _headline(request, session, maps, tokens[0]),
        figures(session, maps),
    )


def ends_of(session: Session, pair: Pair) -> Maps:
    """The prompts' ids, and the metric of both runs as they are."""
    return {
        "clean_ids": np.array(pair.clean.ids, dtype=np.int32),
        "corrupt_ids": np.array(pair.corrupt.ids, dtype=np.int32),
        "clean_metric": np.array(session.readout.clean, dtype=np.float32),
        "corrupt_metric": np.array(session.readout.corrupt, dtype=np.float32),
    }


def pair_of(model: InterpretableModel, request: Patching, prompts: Prompts) -> Pair:
    clean, corrupt = prompts
    return Pair(clean, corrupt, answers_of(model, request.answer, request.wrong))


def asked_of(model: InterpretableModel, request: ActivationPatching) -> Asked:
    if not request.by_position:
        return Asked(tuple(request.kinds))
    layers = request.layers
    if layers == "all":
        layers = [b for b in range(model.sites.blocks) if model.sites.has("attn.z", b)]
    return Asked((*request.kinds, Z_POS), tuple(layers))


def kinds_of(asked: Asked) -> list[str]:
    """The kinds of site that have to be recorded."""
    return list(dict.fromkeys(KINDS["z" if name == Z_POS else name] for name in asked.maps))


def sweep(
    session: Session, asked: Asked, metric: str
) -> Generator[PatchCells | Step, None, tuple[Maps, list[tuple[Cell, float]]]]:
    """Every map that is asked for; and the cells that were computed, with their effects.

    Before the first difference both runs are the same, so that a patch changes nothing: 0. NaN
    where a block lacks the site, or a patched run's metric is not finite.
    """
    sites, runs = session.model.sites, session.runs
    maps: Maps = {}
    for name in asked.maps:
        maps[name] = np.full(shape_of(sites, name, runs.tokens, asked), np.nan, np.float32)
        _zero_before(session, name, maps[name], asked)
    order = column_order(*runs.ids, runs.first)
    size = at_once(session.model, runs.tokens, metric)
    groups = list(in_turns(sites, asked, order, runs.tokens - 1, size))
    total = sum(map(len, groups))
    done: list[tuple[Cell, float]] = []
    for group in groups:
        effects = session.effects([place.cell for place in group])
        for place, effect in zip(group, effects, strict=True):
            maps[place.map][place.index] = effect
        done += zip((place.cell for place in group), effects.tolist(), strict=True)
        yield from _parts(group, maps)
        yield Step(len(done), total, "cells")
    return maps, done


def _zero_before(session: Session, name: str, values: np.ndarray, asked: Asked) -> None:
    """Exactly nothing moves before the first difference, in the blocks that have the site."""
    first, sites = session.runs.first, session.model.sites
    if name in BY_POSITION:
        having = [b for b in range(sites.blocks) if sites.has(KINDS[name], b)]
        values[having, :first] = 0
    if name == Z_POS:
        for row, block in enumerate(asked.layers):
            values[row, :first, : sites.heads_of(KINDS["z"], block)] = 0


def _parts(group: Sequence[Place], maps: Maps) -> list[PatchCells]:
    """What a group brought, by map: rectangles of its cells."""
    parts = []
    for name in dict.fromkeys(place.map for place in group):
        indices = [place.index for place in group if place.map == name]
        rows = sorted({index[0] for index in indices})
        at = sorted({index[1] for index in indices})
        parts.append(rectangle(name, rows, at, maps[name][np.ix_(rows, at)]))
    return parts


def rectangle(name: str, rows: list[int], at: list[int], values: np.ndarray) -> PatchCells:
    """Cells of a map as a part. values: [row, at]."""
    return PatchCells(site=name, layers=rows, at=at, values=Array.of(values))


def figures(session: Session, maps: Maps) -> dict[str, float]:
    """clean and corrupt metric, and each map's largest effect by its size."""
    found = {"clean_metric": session.readout.clean, "corrupt_metric": session.readout.corrupt}
    for name, values in maps.items():
        if np.isfinite(values).any():
            found[f"{name}_most"] = float(values[most(values)])
    return found


def most(values: np.ndarray) -> tuple[int, ...]:
    """Where the effect is largest by its size."""
    return tuple(int(i) for i in np.unravel_index(np.nanargmax(np.abs(values)), values.shape))


def _headline(
    request: ActivationPatching, session: Session, maps: Maps, tokens: Sequence[str]
) -> str:
    """Both ends, and the strongest cell of the most telling map."""
    ends = f"{session.readout.clean:.2f} clean, {session.readout.corrupt:.2f} corrupt"
    words = f"{WORDS[request.metric]} {ends}"
    telling = [n for n in ("z", "attn_out", "mlp_out", *maps) if n in maps]
    name = next((n for n in telling if np.isfinite(maps[n]).any()), None)
    if name is None:
        return f"{words}; no cell could be computed"
    where = most(maps[name])
    if name in BY_HEAD:
        place = f"{name} of head {where[0]}.{where[1]}"
    elif name in BY_POSITION:
        place = f"{name} of block {where[0]} at {where[1]} {tokens[where[1]]!r}"
    else:
        place = f"{name} {list(where)}"
    return f"{words}; most: {place}, {maps[name][where]:.2f}"
