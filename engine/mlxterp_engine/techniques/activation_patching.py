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
    BadInput,
    PatchCells,
    PatchEnds,
    Price,
    Step,
)
from mlxterp_engine.experiments.activation_patching import NeuronsAt
from mlxterp_engine.experiments.alignment import partners
from mlxterp_engine.experiments.patching import BY_HEAD, BY_POSITION, KINDS, PairRequest, Patching
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.runlog.unfinished import Unfinished
from mlxterp_engine.techniques.findings import Findings, Prompts
from mlxterp_engine.techniques.patching import Pair, Session, check_lengths, open_pair
from mlxterp_engine.techniques.patching_cells import NEURONS, RECORDED, TOGETHER, Z_POS, Asked
from mlxterp_engine.techniques.patching_kept import SweepKeeper, cells_in, keeper_of
from mlxterp_engine.techniques.patching_metric import WORDS, answers_of
from mlxterp_engine.techniques.patching_missing import UNALIGNED
from mlxterp_engine.techniques.patching_padding import padding
from mlxterp_engine.techniques.patching_pairs import check_alike, pairs_of
from mlxterp_engine.techniques.patching_price import price_of
from mlxterp_engine.techniques.patching_sets import OfPair, over_pairs, price_of_pairs
from mlxterp_engine.techniques.patching_sweep import Maps, Swept, sweep
from mlxterp_engine.tracing.resume import first_different
from mlxterp_engine.tracing.sites import Site

import msgspec
import numpy as np

Parts = Generator[PatchEnds | PatchCells | Step, None, Findings]


def check(model: InterpretableModel, request: ActivationPatching) -> None:
    """Answers are single tokens; the model has every site asked for in some block."""
    answers_of(model, request.answer, request.wrong)
    check_sites(model, request)
    if request.pairs is not None:
        check_alike(pairs_of(model, request), asked_of(model, request))
    if request.by_position:
        for layer in asked_of(model, request).layers:
            model.sites.parse(f"blocks.{layer}.attn.z")


def check_sites(model: InterpretableModel, request: Patching) -> None:
    for name in request.kinds:
        kind = KINDS[name]
        if not any(model.sites.has(kind, block) for block in range(model.sites.blocks)):
            raise BadInput(f"{model.card.reference} has no {name}: {model.sites.missing[kind]}")


def price(model: InterpretableModel, request: ActivationPatching, prompts: Prompts) -> Price:
    if request.pairs is None:
        pair = pair_of(model, request, prompts)
        check_lengths(pair)
        asked = asked_of(model, request, pair)
        return price_of(model, asked, pair, request.metric, request.direction)
    asked = asked_of(model, request)

    def of_one(pair: Pair) -> Price:
        return price_of(model, asked, pair, request.metric, request.direction)

    return price_of_pairs(pairs_of(model, request), of_one)


def run(model: InterpretableModel, request: ActivationPatching, prompts: Prompts) -> Parts:
    """The ends first, then cells as they are known; columns by position come whole."""
    return (yield from go_on(model, request, prompts, None))


def go_on(
    model: InterpretableModel,
    request: ActivationPatching,
    prompts: Prompts,
    store: Unfinished | None,
) -> Parts:
    """`run`, from where the same request was stopped before; store: what it had by then."""
    if request.pairs is not None:
        return (yield from _of_pairs(model, request, store))
    pair = pair_of(model, request, prompts)
    check_lengths(pair)
    asked = asked_of(model, request, pair)
    yield Step(0, 1, "both runs")
    session = open_pair(model, pair, kinds_of(asked), request.metric, request.direction)
    keeper = _keeper(store, model, request, pair, asked)
    kept = cells_in(keeper, session)
    yield msgspec.structs.replace(session.ends, resumed=kept.cells if kept else 0)
    swept = yield from sweep(session, asked, request.metric, keeper, kept)
    arrays = ends_of(session, pair) | _coordinates(asked)
    tokens = [pair.clean.tokens, pair.corrupt.tokens]
    return Findings(
        arrays | swept.maps,
        session.contracts(swept.done),
        {"clean_tokens": tokens[0], "corrupt_tokens": tokens[1], "method": session.method}
        | ({"padded": filled} if (filled := padding(model, request)) else {})
        | _partners_in_words(pair),
        _headline(request, session, swept.maps, tokens[0]) + _resumed_words([swept]),
        figures(session, swept.maps) | _resumed_figures([swept]),
    )


def _of_pairs(
    model: InterpretableModel, request: ActivationPatching, store: Unfinished | None
) -> Parts:
    """Each pair in its turn; after each, the mean maps of those that are done."""
    pairs, asked = pairs_of(model, request), asked_of(model, request)
    sweeps: list[Swept] = []

    def swept(session: Session, pair: Pair) -> Generator[PatchCells | Step, None, OfPair]:
        keeper = _keeper(store, model, request, pair, asked)
        sweeps.append(
            (yield from sweep(session, asked, request.metric, keeper, cells_in(keeper, session)))
        )
        return sweeps[-1].maps, session.contracts(sweeps[-1].done)

    kinds = kinds_of(asked)
    found = yield from over_pairs(model, request, pairs, kinds, request.direction, swept)
    means = {name: found.arrays[name] for name in asked.maps}
    words = f"{len(pairs)} pairs, mean {_ends_words(request, *found.ends)}"
    tokens = pairs[0].clean.tokens if len(pairs) == 1 else []
    return Findings(
        found.arrays | _coordinates(asked),
        found.contracts,
        {"pairs": found.texts, "method": model.resumption.method},
        f"{words}; {_strongest(means, tokens)}{_resumed_words(sweeps)}",
        figures_between(*found.ends, means)
        | {"pairs": float(len(pairs))}
        | _resumed_figures(sweeps),
    )


def _keeper(
    store: Unfinished | None,
    model: InterpretableModel,
    request: ActivationPatching,
    pair: Pair,
    asked: Asked,
) -> SweepKeeper:
    return keeper_of(store, model, pair, asked, request.metric, request.direction, request.resume)


def _resumed_figures(sweeps: Sequence[Swept]) -> dict[str, float]:
    resumed = sum(swept.resumed for swept in sweeps)
    return {"cells_from_before": float(resumed)} if resumed else {}


def _resumed_words(sweeps: Sequence[Swept]) -> str:
    """How much of the maps a stopped run had computed; "" for nothing."""
    resumed = sum(swept.resumed for swept in sweeps)
    total = sum(swept.total for swept in sweeps)
    return f"; {resumed} of {total} cells from a stopped run" if resumed else ""


def ends_of(session: Session, pair: Pair) -> Maps:
    """The prompts' ids, and the metric of both runs as they are."""
    return {
        "clean_ids": np.array(pair.clean.ids, dtype=np.int32),
        "corrupt_ids": np.array(pair.corrupt.ids, dtype=np.int32),
        "clean_metric": np.array(session.readout.clean, dtype=np.float32),
        "corrupt_metric": np.array(session.readout.corrupt, dtype=np.float32),
    }


def pair_of(model: InterpretableModel, request: PairRequest, prompts: Prompts) -> Pair:
    clean, corrupt = prompts
    answers = answers_of(model, request.answer, request.wrong)
    if isinstance(request, ActivationPatching) and request.align == "spans":
        return Pair(clean, corrupt, answers, tuple(partners(clean.ids, corrupt.ids)))
    return Pair(clean, corrupt, answers)


def asked_of(
    model: InterpretableModel, request: ActivationPatching, pair: Pair | None = None
) -> Asked:
    """pair: the one that it is asked of; none of a set, in which no neurons are patched."""
    maps, layers = list(request.kinds), list[int]()
    if request.by_position:
        maps.append(Z_POS)
        every = [b for b in range(model.sites.blocks) if model.sites.has("attn.z", b)]
        layers = every if request.layers == "all" else request.layers
    if pair is not None and pair.partners is not None:
        columns = pair.columns(request.direction)
        return Asked(tuple(maps), tuple(layers), None, columns, len(pair.clean.ids))
    if pair is None or request.neurons_at is None:
        return Asked(tuple(maps), tuple(layers))
    return Asked(
        (*maps, TOGETHER, NEURONS), tuple(layers), _neurons_at(model, request.neurons_at, pair)
    )


def _partners_in_words(pair: Pair) -> dict[str, list[list[int]] | list[int]]:
    """For `meta`: which positions correspond, and the clean ones without a partner."""
    if pair.partners is None:
        return {}
    having = {clean for clean, _ in pair.partners}
    alone = [p for p in range(len(pair.clean.ids)) if p not in having]
    return {"partners": [list(both) for both in pair.partners], UNALIGNED: alone}


def _neurons_at(model: InterpretableModel, at: NeuronsAt, pair: Pair) -> tuple[int, int]:
    """The block and the position from the front. BadInput where the model shows no neurons, and
    where a patch can't change anything."""
    model.sites.parse(f"blocks.{at.block}.{RECORDED[NEURONS]}")
    count = len(pair.clean.ids)
    first = first_different(pair.clean.ids, pair.corrupt.ids)
    position = at.position + count if at.position < 0 else at.position
    if not first <= position < count:
        raise BadInput(
            f"neurons are asked for at position {at.position}; the prompts have {count} tokens and "
            f"differ from {first} on: give one from {first} to {count - 1}"
        )
    return at.block, position


def _coordinates(asked: Asked) -> dict[str, np.ndarray]:
    """Which blocks z_pos is of, and which block and position the neurons."""
    found = {"z_pos_layers": asked.layers, "neurons_at": asked.neurons or ()}
    return {name: np.array(values, dtype=np.int32) for name, values in found.items() if values}


def kinds_of(asked: Asked) -> list[str | Site]:
    """The kinds of site that have to be recorded; of neurons the one site."""
    kinds = [RECORDED[name] for name in asked.maps if name not in (NEURONS, TOGETHER)]
    neurons = [Site(RECORDED[NEURONS], asked.neurons[0])] if asked.neurons else []
    return [*dict.fromkeys(kinds), *neurons]


def figures(session: Session, maps: Maps) -> dict[str, float]:
    """clean and corrupt metric, and each map's largest effect by its size."""
    return figures_between(session.readout.clean, session.readout.corrupt, maps)


def figures_between(clean: float, corrupt: float, maps: Maps) -> dict[str, float]:
    found = {"clean_metric": clean, "corrupt_metric": corrupt}
    for name, values in maps.items():
        if np.isfinite(values).any():
            found[f"{name}_most" if values.ndim else name] = float(values[most(values)])
    return found


def most(values: np.ndarray) -> tuple[int, ...]:
    """Where the effect is largest by its size."""
    return tuple(int(i) for i in np.unravel_index(np.nanargmax(np.abs(values)), values.shape))


def _headline(
    request: ActivationPatching, session: Session, maps: Maps, tokens: Sequence[str]
) -> str:
    """Both ends, and the strongest cell of the most telling map."""
    ends = _ends_words(request, session.readout.clean, session.readout.corrupt)
    return f"{ends}; {_strongest(maps, tokens)}"


def _ends_words(request: Patching, clean: float, corrupt: float) -> str:
    return f"{WORDS[request.metric]} {clean:.2f} clean, {corrupt:.2f} corrupt"


def _strongest(maps: Maps, tokens: Sequence[str]) -> str:
    """tokens: of the clean prompt; none where there are several."""
    first = [name for name in ("z", "attn_out", "mlp_out") if name in maps]
    telling = [name for name in (*first, *maps) if name != TOGETHER]
    name = next((name for name in telling if np.isfinite(maps[name]).any()), None)
    if name is None:
        return "no cell could be computed"
    where = most(maps[name])
    if name in BY_HEAD:
        place = f"{name} of head {where[0]}.{where[1]}"
    elif name in BY_POSITION:
        token = f" {tokens[where[1]]!r}" if tokens else ""
        place = f"{name} of block {where[0]} at {where[1]}{token}"
    elif name == NEURONS:
        place = f"neuron {where[0]}"
    else:
        place = f"{name} {list(where)}"
    return f"most: {place}, {maps[name][where]:.2f}"
