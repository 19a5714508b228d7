"""The cells of the maps that are asked for, and the order in which they are computed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from mlxterp_engine.experiments.patching import BY_HEAD, BY_POSITION, KINDS
from mlxterp_engine.tracing.patching_rows import Cell
from mlxterp_engine.tracing.sites import Site, SiteTable

Z_POS = "z_pos"
NEURONS, TOGETHER = "neurons", "neurons_together"
RECORDED = {**KINDS, Z_POS: KINDS["z"], NEURONS: "mlp.post", TOGETHER: "mlp.post"}
"""The kind of site that a map's cells are of."""


@dataclass(frozen=True)
class Place:
    """A cell, and where it stands in its map: [layer, at], of z_pos [row, position, head], of
    neurons [neuron]."""

    map: str
    index: tuple[int, ...]
    cell: Cell


@dataclass(frozen=True)
class Asked:
    """What is swept: the maps by name, for z_pos its blocks, for neurons the block and position.

    columns, width: where maps by position are of another prompt's, its length.
    """

    maps: tuple[str, ...]
    layers: tuple[int, ...] = ()
    neurons: tuple[int, int] | None = None
    columns: tuple[int | None, ...] | None = None
    width: int | None = None

    def column(self, position: int) -> int | None:
        """Where a position of the unpatched run stands in maps; None: nowhere."""
        return position if self.columns is None else self.columns[position]


def shape_of(sites: SiteTable, name: str, tokens: int, asked: Asked) -> tuple[int, ...]:
    """[L, T], [L, H], [L, G], [L', T, H], [d_mlp] or []; H and G are of the block that has most."""
    tokens = asked.width or tokens
    if asked.neurons and name in (NEURONS, TOGETHER):
        return (sites.neurons_of(asked.neurons[0]),) if name == NEURONS else ()
    if name == Z_POS:
        heads = max(sites.heads_of(KINDS["z"], block) for block in asked.layers)
        return len(asked.layers), tokens, heads
    if name in BY_POSITION:
        return sites.blocks, tokens
    kind = KINDS[name]
    having = [block for block in range(sites.blocks) if sites.has(kind, block)]
    return sites.blocks, max(sites.heads_of(kind, block) for block in having)


def places_of(sites: SiteTable, name: str, positions: Iterable[int], asked: Asked) -> list[Place]:
    """All cells of a map that the model has, at these positions."""
    kind = RECORDED[name]
    if asked.neurons and name in (NEURONS, TOGETHER):
        block, at = asked.neurons
        if name == TOGETHER:
            return [Place(name, (), Cell(Site(kind, block), at))]
        count = sites.neurons_of(block)
        return [Place(name, (i,), Cell(Site(kind, block, (i,)), at)) for i in range(count)]
    shown = [(p, column) for p in positions if (column := asked.column(p)) is not None]
    blocks = asked.layers if name == Z_POS else range(sites.blocks)
    having = [(row, b) for row, b in enumerate(blocks) if sites.has(kind, b)]
    if name == Z_POS:
        return [
            Place(name, (row, column, head), Cell(Site(kind, b, (head,)), p))
            for p, column in shown
            for row, b in having
            for head in range(sites.heads_of(kind, b))
        ]
    if name in BY_POSITION:
        return [
            Place(name, (b, column), Cell(Site(kind, b), p))
            for p, column in shown
            for _, b in having
        ]
    return [
        Place(name, (b, head), Cell(Site(kind, b, (head,))))
        for _, b in having
        for head in range(sites.heads_of(kind, b))
    ]


def in_turns(
    sites: SiteTable, asked: Asked, positions: Sequence[int], last: int, tokens_at_once: int
) -> Iterator[list[Place]]:
    """Groups that are computed together, what tells most first.

    Columns by position, all their maps at once; then the maps by head, from blocks far apart to
    those between; heads by position; then neurons. tokens_at_once: rows times tokens of a group,
    about.
    """
    blocks = sites.blocks
    columns = [name for name in asked.maps if name in BY_POSITION]
    for position in positions:
        places = [p for name in columns for p in places_of(sites, name, [position], asked)]
        yield from _groups(places, tokens_at_once // (last + 1 - position), blocks)
    suffix = last + 1 - min(positions, default=last)
    for name in asked.maps:
        if name in BY_HEAD:
            places = places_of(sites, name, (), asked)
            groups = list(_groups(places, tokens_at_once // suffix, blocks))
            yield from (groups[i] for i in far_apart_first(len(groups)))
    if Z_POS in asked.maps:
        for position in positions:
            places = places_of(sites, Z_POS, [position], asked)
            yield from _groups(places, tokens_at_once // (last + 1 - position), blocks)
    if asked.neurons:
        places = [p for name in (TOGETHER, NEURONS) for p in places_of(sites, name, (), asked)]
        yield from _groups(places, tokens_at_once // (last + 1 - asked.neurons[1]), blocks)


def grouped(
    places: Iterable[Place], first: int, tokens: int, tokens_at_once: int, blocks: int
) -> Iterator[list[Place]]:
    """Any cells, those that run the same tokens together."""
    by_start: dict[int, list[Place]] = {}
    for place in places:
        position = place.cell.position
        by_start.setdefault(first if position is None else position, []).append(place)
    for start, members in by_start.items():
        yield from _groups(members, tokens_at_once // (tokens - start), blocks)


def _groups(places: Sequence[Place], most: int, blocks: int) -> Iterator[list[Place]]:
    """Groups of about `most` rows of average depth, equal in the blocks that they run; blocks that
    lie together stay together. blocks: of the model."""
    if not places:
        return
    ordered = sorted(places, key=lambda place: place.cell.block)
    run = list(accumulate(blocks - place.cell.block for place in ordered))  # blocks, so far
    count = min(len(ordered), -(-2 * run[-1] // (max(most, 1) * blocks)))
    ends = [bisect_left(run, (i + 1) * run[-1] / count) + 1 for i in range(count)]
    for start, end in pairwise([0, *ends]):
        if start < end:
            yield ordered[start:end]


def column_order(clean: Sequence[int], corrupt: Sequence[int], first: int) -> list[int]:
    """Positions from the first difference on: the last, those that differ, then far apart first."""
    last = len(clean) - 1
    differing = [p for p in range(first, last + 1) if clean[p] != corrupt[p]]
    rest = [first + i for i in far_apart_first(last + 1 - first)]
    return list(dict.fromkeys([last, *differing, *rest]))


def far_apart_first(count: int) -> list[int]:
    """0 … count − 1, every half of a half of a gap in its turn: 0, 4, 2, 6, 1, 3, 5, 7."""
    step = 1
    while step < count:
        step *= 2
    order: list[int] = []
    while step:
        order += [i for i in range(0, count, step) if i not in order]
        step //= 2
    return order
