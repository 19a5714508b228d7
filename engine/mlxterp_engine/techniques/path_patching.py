"""Path patching: what each head tells the chosen receivers, and nobody else.

Wang et al. 2022 (arXiv 2211.00593, section 3.1 and appendix B) and Goldowsky-Dill et al. 2023
(arXiv 2304.05969). Norms are computed anew in both passes; MLPs too in the second, and in the
first unless they are kept. Where the paper replaces the sender's output from a counterfactual
prompt in the clean run, that is `noise` here; `denoise` is the other way round.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from mlxterp_engine.experiments import (
    BadInput,
    PatchCells,
    PatchEnds,
    PathPatching,
    Price,
    Step,
)
from mlxterp_engine.experiments.path_patching import FINAL
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.activation_patching import (
    ends_of,
    figures_between,
    most,
    pair_of,
)
from mlxterp_engine.techniques.findings import Findings, Prompts
from mlxterp_engine.techniques.patching import Pair, Session, check_lengths, open_pair
from mlxterp_engine.techniques.patching_cells import Place, places_of, shape_of
from mlxterp_engine.techniques.patching_metric import WORDS, answers_of
from mlxterp_engine.techniques.patching_padding import padding
from mlxterp_engine.techniques.patching_pairs import pairs_of
from mlxterp_engine.techniques.patching_price import at_once
from mlxterp_engine.techniques.patching_sets import OfPair, over_pairs, price_of_pairs
from mlxterp_engine.techniques.patching_sweep import rectangle
from mlxterp_engine.techniques.path_patching_price import HEADS, in_turns, price_of_paths
from mlxterp_engine.techniques.path_patching_senders import Senders
from mlxterp_engine.tracing.paths import Paths, run_from
from mlxterp_engine.tracing.sites import Site

import numpy as np

EFFECT = "effect"


def check(model: InterpretableModel, request: PathPatching) -> None:
    """Answers are single tokens; the receivers exist; every block can be kept as it was."""
    answers_of(model, request.answer, request.wrong)
    paths_of(model, request)
    if request.pairs is not None:
        pairs_of(model, request)


def price(model: InterpretableModel, request: PathPatching, prompts: Prompts) -> Price:
    paths = paths_of(model, request)
    pairs = _pairs(model, request, prompts)
    return price_of_pairs(pairs, lambda pair: price_of_paths(model, paths, pair, request.metric))


def run(
    model: InterpretableModel, request: PathPatching, prompts: Prompts
) -> Generator[PatchEnds | PatchCells | Step, None, Findings]:
    """The ends first, then the senders of blocks far apart before those between."""
    if request.pairs is not None:
        return (yield from _of_pairs(model, request))
    (pair,), paths = _pairs(model, request, prompts), paths_of(model, request)
    yield Step(0, 1, "both runs")
    session = open_pair(model, pair, kinds_of(paths), request.metric, request.direction)
    yield session.ends
    maps, contracts = yield from sweep(session, paths, request.metric)
    ends = session.readout.clean, session.readout.corrupt
    return Findings(
        ends_of(session, pair) | maps,
        contracts,
        {
            "clean_tokens": pair.clean.tokens,
            "corrupt_tokens": pair.corrupt.tokens,
            "method": session.method,
            "receivers": words_of(paths),
        }
        | ({"padded": filled} if (filled := padding(model, request)) else {}),
        _headline(request, ends, paths, maps[EFFECT]),
        figures_between(*ends, maps),
    )


def _of_pairs(
    model: InterpretableModel, request: PathPatching
) -> Generator[PatchCells | Step, None, Findings]:
    pairs, paths = pairs_of(model, request), paths_of(model, request)
    found = yield from over_pairs(
        model,
        request,
        pairs,
        kinds_of(paths),
        request.direction,
        lambda session, _: sweep(session, paths, request.metric),
    )
    effect = found.arrays[EFFECT]
    return Findings(
        found.arrays,
        found.contracts,
        {"pairs": found.texts, "method": model.resumption.method, "receivers": words_of(paths)},
        f"{len(pairs)} pairs, mean {_headline(request, found.ends, paths, effect)}",
        figures_between(*found.ends, {EFFECT: effect}) | {"pairs": float(len(pairs))},
    )


def _pairs(model: InterpretableModel, request: PathPatching, prompts: Prompts) -> list[Pair]:
    """Those of the set, or the one that is given."""
    if request.pairs is not None:
        return pairs_of(model, request)
    pair = pair_of(model, request, prompts)
    check_lengths(pair)
    return [pair]


def paths_of(model: InterpretableModel, request: PathPatching) -> Paths:
    """What is reached and what is kept. BadInput in words for what this model has not."""
    sites = model.sites
    if not any(sites.has("attn.z", block) for block in range(sites.blocks)):
        raise BadInput(f"{model.card.reference} has no heads to send: {sites.missing['attn.z']}")
    receivers = _receivers(model, request)
    kept = []
    for block in range(sites.blocks):
        mixing = [Site(kind, block) for kind in ("attn.z", "attn_out") if sites.has(kind, block)]
        if not mixing:
            reason = sites.why_not(Site("attn_out", block))
            raise BadInput(f"block {block}'s token mixer can't be kept as it was: {reason}")
        kept += mixing
        if request.freeze == "heads+mlps":
            sites.require([Site("mlp_out", block)])
            kept.append(Site("mlp_out", block))
    return Paths(receivers, tuple(kept))


def _receivers(model: InterpretableModel, request: PathPatching) -> tuple[Site, ...]:
    """Heads, each once; none for `final`."""
    if FINAL in request.addresses:
        return ()
    found: list[Site] = []
    for address in request.addresses:
        site = model.sites.parse(address)
        assert site.part is not None  # the request has seen to it
        found += [Site(site.kind, site.block, (head,)) for head in site.part]
    twice = next((site for site in found if found.count(site) > 1), None)
    if twice is not None:
        raise BadInput(f"receivers names {twice} twice; name each once")
    if all(site.block == 0 for site in found):
        raise BadInput(
            f"receivers is {', '.join(map(str, found))}: no head stands before block 0; give "
            "heads of later blocks, or final"
        )
    return tuple(found)


def kinds_of(paths: Paths) -> list[str]:
    """The kinds of site that have to be recorded."""
    return list(dict.fromkeys(["attn.z", *(s.kind for s in (*paths.kept, *paths.receivers))]))


def words_of(paths: Paths) -> list[str]:
    return [str(site) for site in paths.receivers] or [FINAL]


def sweep(
    session: Session, paths: Paths, metric: str
) -> Generator[PatchCells | Step, None, OfPair]:
    """effect [layer, head]: exactly 0 behind every receiver, NaN where there is no such head."""
    sites = session.model.sites
    effect = np.full(shape_of(sites, "z", session.runs.tokens, HEADS), np.nan, np.float32)
    live = []
    for place in places_of(sites, "z", (), HEADS):
        effect[place.index] = 0
        if paths.reaches(place.cell.block):
            live.append(place)
    senders = Senders(session, paths)
    told = 0
    count = session.runs.tokens - run_from(session.runs, paths, session.method)
    size = at_once(session.model, session.runs.tokens, metric)
    for group in in_turns(session.model, paths, live, count, size):
        sending = [place.cell for place in group]
        values = senders.effects(sending if told else [*sending, None])
        for place, value in zip(group, values, strict=False):
            effect[place.index] = value
        yield from _parts(group, effect)
        told += len(group)
        yield Step(told, len(live), "senders")
    return {EFFECT: effect}, senders.contracts([place.cell for place in live], effect)


def _parts(group: Sequence[Place], effect: np.ndarray) -> list[PatchCells]:
    """Rectangles of the group's cells, and no others: blocks of the same heads together."""
    heads: dict[int, list[int]] = {}
    for row, head in sorted(place.index for place in group):
        heads.setdefault(row, []).append(head)
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, at in heads.items():
        rows.setdefault(tuple(at), []).append(row)
    return [
        rectangle(EFFECT, found, list(at), effect[np.ix_(found, at)]) for at, found in rows.items()
    ]


def _headline(
    request: PathPatching, ends: tuple[float, float], paths: Paths, effect: np.ndarray
) -> str:
    """Both ends, and the sender that moves most."""
    words = f"{WORDS[request.metric]} {ends[0]:.2f} clean, {ends[1]:.2f} corrupt"
    if not np.isfinite(effect).any():
        return f"{words}; no cell could be computed"
    layer, head = most(effect)
    return f"{words}; most: head {layer}.{head} to {_to(paths)}, {effect[layer, head]:.2f}"


def _to(paths: Paths) -> str:
    first, *others = words_of(paths)
    return f"{first} and {len(others)} more" if others else first
