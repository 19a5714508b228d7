"""Attribution patching: all maps from one backward pass, and the truth of their largest cells.

A first-order estimate misses what saturates or cancels (Kramár et al. 2024, arXiv 2403.00745), so
no map comes without exact values of its largest cells and of as many others, drawn at random,
their rank correlation and slope.
"""

from __future__ import annotations

from collections.abc import Generator

from mlxterp_engine.experiments import AttributionPatching, PatchCells, PatchEnds, Price, Step
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.activation_patching import (
    check_sites,
    ends_of,
    figures,
    kinds_of,
    pair_of,
)
from mlxterp_engine.techniques.findings import Findings, Prompts
from mlxterp_engine.techniques.patching import Session, check_lengths, open_pair
from mlxterp_engine.techniques.patching_agreement import Agreement, agreement
from mlxterp_engine.techniques.patching_cells import Asked, Place, grouped, places_of
from mlxterp_engine.techniques.patching_gradients import estimates
from mlxterp_engine.techniques.patching_metric import WORDS, answers_of
from mlxterp_engine.techniques.patching_price import at_once, price_of_attribution
from mlxterp_engine.techniques.patching_sweep import Maps, rectangle
from mlxterp_engine.tracing.patching_rows import Cell

import numpy as np


def check(model: InterpretableModel, request: AttributionPatching) -> None:
    """Answers are single tokens; the model has every site asked for in some block."""
    answers_of(model, request.answer, request.wrong)
    check_sites(model, request)


def price(model: InterpretableModel, request: AttributionPatching, prompts: Prompts) -> Price:
    pair = pair_of(model, request, prompts)
    check_lengths(pair)
    return price_of_attribution(
        model, Asked(tuple(request.kinds)), pair, request.steps, request.top
    )


def run(
    model: InterpretableModel, request: AttributionPatching, prompts: Prompts
) -> Generator[PatchEnds | PatchCells | Step, None, Findings]:
    """The ends, every map whole, then the exact cells, which are in the result alone."""
    pair = pair_of(model, request, prompts)
    asked = Asked(tuple(request.kinds))
    yield Step(0, 1, "both runs")
    kinds = [*kinds_of(asked), *(["resid_pre"] if request.steps > 1 else [])]
    session = open_pair(model, pair, kinds, request.metric, "denoise")
    yield session.ends
    maps = yield from estimates(session, asked, request.metric, pair.answers, request.steps)
    for name, values in maps.items():
        rows, at = (list(range(count)) for count in values.shape)
        yield rectangle(name, rows, at, values)
    chosen = _chosen(session, asked, maps, request)
    exact = yield from _exact(session, chosen, at_once(model, session.runs.tokens, request.metric))
    done = [(place.cell, float(exact[i])) for i, place in enumerate(chosen)]
    agreements = _agreements(maps, chosen, exact)
    return Findings(
        ends_of(session, pair) | maps | _checked(asked, maps, chosen, exact),
        session.contracts(done),
        {
            "clean_tokens": pair.clean.tokens,
            "corrupt_tokens": pair.corrupt.tokens,
            "method": session.method,
            "gradient": "of the corrupt run" if request.steps == 1 else "between both prompts",
            "exact_sites": [place.map for place in chosen],
        },
        _headline(request, session, agreements),
        figures(session, maps) | _figures(agreements),
    )


def _chosen(
    session: Session, asked: Asked, maps: Maps, request: AttributionPatching
) -> list[Place]:
    """Of each map the cells whose estimate is largest by its size, largest first; then others."""
    sites, runs = session.model.sites, session.runs
    draw = np.random.default_rng(request.seed)
    chosen: list[Place] = []
    for name in asked.maps:
        places = places_of(sites, name, range(runs.first, runs.tokens), asked)
        places.sort(key=lambda place: -abs(maps[place.map][place.index]))
        rest = range(request.top, len(places))
        others = draw.choice(rest, min(request.top, len(rest)), replace=False) if rest else []
        chosen += places[: request.top] + [places[i] for i in others]
    return chosen


def _exact(
    session: Session, chosen: list[Place], tokens_at_once: int
) -> Generator[Step, None, np.ndarray]:
    """Their effects by patching, in the order given."""
    found: dict[Cell, float] = {}
    for group in grouped(chosen, session.runs.first, session.runs.tokens, tokens_at_once):
        cells = [place.cell for place in group]
        found |= zip(cells, session.effects(cells).tolist(), strict=True)
        yield Step(len(found), len(chosen), "exact cells")
    return np.array([found[place.cell] for place in chosen], dtype=np.float32)


def _agreements(maps: Maps, chosen: list[Place], exact: np.ndarray) -> dict[str, Agreement]:
    found = {}
    for name in maps:
        own = [i for i, place in enumerate(chosen) if place.map == name]
        estimated = np.array([maps[name][chosen[i].index] for i in own])
        found[name] = agreement(estimated, exact[own])
    return found


def _checked(
    asked: Asked, maps: Maps, chosen: list[Place], exact: np.ndarray
) -> dict[str, np.ndarray]:
    """exact_site counts the sites in the order asked for; the cell's layer and at; both values."""
    index = np.array([place.index for place in chosen], dtype=np.int32)
    return {
        "exact_site": np.array([asked.maps.index(p.map) for p in chosen], dtype=np.int32),
        "exact_layer": index[:, 0],
        "exact_at": index[:, 1],
        "exact_estimate": np.array([maps[p.map][p.index] for p in chosen], dtype=np.float32),
        "exact_effect": exact,
    }


def _figures(agreements: dict[str, Agreement]) -> dict[str, float]:
    found = {}
    for name, agreed in agreements.items():
        found[f"{name}_rank_correlation"] = agreed.rank_correlation
        found[f"{name}_slope"] = agreed.slope
    found["disagreeing_maps"] = float(sum(agreed.disagrees for agreed in agreements.values()))
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _headline(
    request: AttributionPatching, session: Session, agreements: dict[str, Agreement]
) -> str:
    """Which maps' estimates can't be trusted."""
    ends = f"{session.readout.clean:.2f} clean, {session.readout.corrupt:.2f} corrupt"
    off = [name for name, agreed in agreements.items() if agreed.disagrees]
    words = f"off at {', '.join(off)}: patch there" if off else "near the exact values"
    return f"{WORDS[request.metric]} {ends}; estimates {words}"
