"""How far estimates hold: some cells of each map patched, and set beside what was estimated."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from mlxterp_engine.experiments import Step
from mlxterp_engine.techniques.patching import Session
from mlxterp_engine.techniques.patching_agreement import Agreement, agreement
from mlxterp_engine.techniques.patching_cells import Asked, Place, grouped, places_of
from mlxterp_engine.techniques.patching_sweep import Maps
from mlxterp_engine.tracing.patching_rows import Cell
from mlxterp_engine.tracing.sites import SiteTable

import numpy as np


def chosen_cells(
    sites: SiteTable, asked: Asked, maps: Maps, positions: range, top: int, seed: int
) -> list[Place]:
    """Of each map the cells whose estimate is largest by its size, largest first; then as many
    others, drawn."""
    draw = np.random.default_rng(seed)
    chosen: list[Place] = []
    for name in asked.maps:
        places = places_of(sites, name, positions, asked)
        places.sort(key=lambda place: -abs(maps[place.map][place.index]))
        rest = range(top, len(places))
        others = draw.choice(rest, min(top, len(rest)), replace=False) if rest else []
        chosen += places[:top] + [places[i] for i in others]
    return chosen


def exact_effects(
    session: Session, chosen: Sequence[Place], tokens_at_once: int
) -> Generator[Step, None, np.ndarray]:
    """Their effects by patching, [cell], in the order given."""
    found: dict[Cell, float] = {}
    for group in grouped(
        chosen, session.runs.first, session.runs.tokens, tokens_at_once, session.model.sites.blocks
    ):
        cells = [place.cell for place in group]
        found |= zip(cells, session.effects(cells).tolist(), strict=True)
        yield Step(len(found), len(chosen), "exact cells")
    return np.array([found[place.cell] for place in chosen], dtype=np.float32)


def estimates_of(maps: Maps, chosen: Sequence[Place]) -> np.ndarray:
    """[cell]."""
    return np.array([maps[place.map][place.index] for place in chosen], dtype=np.float32)


def agreements(maps: Maps, chosen: Sequence[Place], exact: np.ndarray) -> dict[str, Agreement]:
    """By map."""
    found = {}
    for name in maps:
        own = [i for i, place in enumerate(chosen) if place.map == name]
        found[name] = agreement(estimates_of(maps, [chosen[i] for i in own]), exact[own])
    return found


def coordinates(asked: Asked, chosen: Sequence[Place]) -> dict[str, np.ndarray]:
    """exact_site counts the sites in the order asked for; the cell's layer and at."""
    index = np.array([place.index for place in chosen], dtype=np.int32)
    return {
        "exact_site": np.array([asked.maps.index(p.map) for p in chosen], dtype=np.int32),
        "exact_layer": index[:, 0],
        "exact_at": index[:, 1],
    }


def figures_of(agreed: dict[str, Agreement]) -> dict[str, float]:
    """Rank correlation, slope and miss by map, and how many maps' estimates can't be trusted."""
    found = {}
    for name, one in agreed.items():
        found[f"{name}_rank_correlation"] = one.rank_correlation
        found[f"{name}_slope"] = one.slope
        found[f"{name}_miss"] = one.miss
    found["disagreeing_maps"] = float(sum(one.disagrees for one in agreed.values()))
    return {name: value for name, value in found.items() if np.isfinite(value)}


def words_of(agreed: dict[str, Agreement]) -> str:
    """Which maps' estimates can't be trusted."""
    off = [name for name, one in agreed.items() if one.disagrees]
    return f"estimates off at {', '.join(off)}: patch there" if off else _NEAR


_NEAR = "estimates near the exact values"
