"""Attribution patching: all maps from one backward pass, and the truth of their largest cells.

A first-order estimate misses what saturates or cancels (Kramár et al. 2024, arXiv 2403.00745), so
no map comes without exact values of its largest cells and of as many others, drawn at random,
their rank correlation and slope. Of a set of pairs the estimates are averaged first, and the cells
whose mean is largest are patched in every pair.
"""

from __future__ import annotations

from collections.abc import Generator

from mlxterp_engine.experiments import (
    AttributionPatching,
    PatchCells,
    PatchEnds,
    Price,
    Step,
)
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.activation_patching import (
    check_sites,
    ends_of,
    figures,
    figures_between,
    kinds_of,
    pair_of,
)
from mlxterp_engine.techniques.findings import Findings, Prompts
from mlxterp_engine.techniques.patching import Pair, Session, check_lengths, open_pair
from mlxterp_engine.techniques.patching_cells import Asked, Place
from mlxterp_engine.techniques.patching_exact import (
    agreements,
    chosen_cells,
    coordinates,
    estimates_of,
    exact_effects,
    figures_of,
    words_of,
)
from mlxterp_engine.techniques.patching_gradients import estimates
from mlxterp_engine.techniques.patching_metric import WORDS, answers_of
from mlxterp_engine.techniques.patching_padding import padding
from mlxterp_engine.techniques.patching_pairs import check_alike, pairs_of
from mlxterp_engine.techniques.patching_price import at_once, price_of_attribution
from mlxterp_engine.techniques.patching_sets import OfPair, over_pairs, price_of_pairs
from mlxterp_engine.techniques.patching_sweep import Maps, rectangle
from mlxterp_engine.techniques.shares import as_a_share
from mlxterp_engine.tracing.resume import first_different
from mlxterp_engine.tracing.sites import Site

import numpy as np

DIRECTION = "denoise"
EXACT = "exact_effect"

Parts = Generator[PatchEnds | PatchCells | Step, None, Findings]
Sweep = Generator[Step, None, OfPair]


def check(model: InterpretableModel, request: AttributionPatching) -> None:
    """Answers are single tokens; the model has every site asked for in some block."""
    answers_of(model, request.answer, request.wrong)
    check_sites(model, request)
    if request.pairs is not None:
        check_alike(pairs_of(model, request), _asked(request))


def price(model: InterpretableModel, request: AttributionPatching, prompts: Prompts) -> Price:
    def of_one(pair: Pair) -> Price:
        return price_of_attribution(model, _asked(request), pair, request.steps, request.top)

    if request.pairs is not None:
        return price_of_pairs(pairs_of(model, request), of_one)
    pair = pair_of(model, request, prompts)
    check_lengths(pair)
    return of_one(pair)


def run(model: InterpretableModel, request: AttributionPatching, prompts: Prompts) -> Parts:
    """The ends, every map whole, then the exact cells, which are in the result alone."""
    if request.pairs is not None:
        return (yield from _of_pairs(model, request))
    pair, asked = pair_of(model, request, prompts), _asked(request)
    yield Step(0, 1, "both runs")
    session = open_pair(model, pair, _kinds(request), request.metric, DIRECTION)
    yield session.ends
    maps = yield from estimates(session, asked, request.metric, pair.answers, request.steps)
    for name, values in maps.items():
        rows, at = (list(range(count)) for count in values.shape)
        yield rectangle(name, rows, at, values)
    positions = range(session.runs.first, session.runs.tokens)
    chosen = chosen_cells(model.sites, asked, maps, positions, request.top, request.seed)
    exact, contracts = yield from _patched(session, chosen, request)
    agreed = agreements(maps, chosen, exact[EXACT])
    return Findings(
        ends_of(session, pair) | maps | coordinates(asked, chosen) | _beside(maps, chosen) | exact,
        contracts,
        {
            "clean_tokens": pair.clean.tokens,
            "corrupt_tokens": pair.corrupt.tokens,
            **_strings(session.method, request, chosen),
        }
        | ({"padded": filled} if (filled := padding(model, request)) else {}),
        _headline(request, (session.readout.clean, session.readout.corrupt), words_of(agreed)),
        figures(session, maps) | figures_of(agreed),
    )


def _of_pairs(model: InterpretableModel, request: AttributionPatching) -> Parts:
    """First every pair's estimates, then in every pair the same exact cells."""
    pairs, asked = pairs_of(model, request), _asked(request)

    def estimated(session: Session, pair: Pair) -> Sweep:
        steps = estimates(session, asked, request.metric, pair.answers, request.steps)
        return (yield from steps), {}

    def patched(session: Session, _: Pair) -> Sweep:
        return (yield from _patched(session, chosen, request))

    sweep = over_pairs(model, request, pairs, _kinds(request), DIRECTION, estimated)
    found = yield from as_a_share(sweep, 0, 2, "pairs", told=True)
    maps = {name: found.arrays[name] for name in asked.maps}
    first = min(first_different(pair.clean.ids, pair.corrupt.ids) for pair in pairs)
    positions = range(first, len(pairs[0].clean.ids))
    chosen = chosen_cells(model.sites, asked, maps, positions, request.top, request.seed)
    sweep = over_pairs(model, request, pairs, _kinds(request), DIRECTION, patched)
    exact = yield from as_a_share(sweep, 1, 2, "pairs", told=True)
    agreed = agreements(maps, chosen, exact.arrays[EXACT])
    words = _headline(request, found.ends, words_of(agreed))
    return Findings(
        found.arrays | coordinates(asked, chosen) | _beside(maps, chosen) | exact.arrays,
        exact.contracts,
        {"pairs": found.texts, **_strings(model.resumption.method, request, chosen)},
        f"{len(pairs)} pairs, mean {words}",
        figures_between(*found.ends, maps) | figures_of(agreed) | {"pairs": float(len(pairs))},
    )


def _asked(request: AttributionPatching) -> Asked:
    return Asked(tuple(request.kinds))


def _kinds(request: AttributionPatching) -> list[str | Site]:
    """What is recorded; integrated gradients start at the first block's input."""
    return [*kinds_of(_asked(request)), *(["resid_pre"] if request.steps > 1 else [])]


def _patched(session: Session, chosen: list[Place], request: AttributionPatching) -> Sweep:
    """The exact effects, [cell], and what those runs prove."""
    size = at_once(session.model, session.runs.tokens, request.metric)
    exact = yield from exact_effects(session, chosen, size)
    done = [(place.cell, float(exact[i])) for i, place in enumerate(chosen)]
    return {EXACT: exact}, session.contracts(done)


def _beside(maps: Maps, chosen: list[Place]) -> dict[str, np.ndarray]:
    return {"exact_estimate": estimates_of(maps, chosen)}


def _strings(
    method: str, request: AttributionPatching, chosen: list[Place]
) -> dict[str, str | list[str]]:
    return {
        "method": method,
        "gradient": "of the corrupt run" if request.steps == 1 else "between both prompts",
        "exact_sites": [place.map for place in chosen],
    }


def _headline(request: AttributionPatching, ends: tuple[float, float], words: str) -> str:
    return f"{WORDS[request.metric]} {ends[0]:.2f} clean, {ends[1]:.2f} corrupt; {words}"
