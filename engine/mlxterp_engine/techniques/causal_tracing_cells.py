"""The cells of a causal trace: what is given back in each, and the order in which they come.

hidden: the state behind a block. mlp, attn: what the MLPs or the attentions of a window of blocks
add. Each at one token. hidden_severed: the state behind a block, while all later MLPs (or
attentions) of that token give what they gave under noise: figure 3 of Meng et al. 2022, where the
authors' `trace_with_repatch` takes those of all blocks, which up to the restored one is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mlxterp_engine.experiments.alignment import Span
from mlxterp_engine.experiments.causal_tracing import (
    MAPS,
    SEVERED,
    Sever,
    WindowRule,
    window_blocks,
)
from mlxterp_engine.models.anatomy_parts import Anatomy
from mlxterp_engine.techniques.patching_cells import far_apart_first
from mlxterp_engine.tracing.patching_rows import Cell, Patch
from mlxterp_engine.tracing.sites import Site, SiteTable

KINDS = {"mlp": "mlp_out", "attn": "attn_out"}


@dataclass(frozen=True)
class Options:
    """window: in blocks. maps: hidden, mlp, attn, of which some may be left out."""

    window: int
    rule: WindowRule = "code"
    sever: Sever = "none"
    maps: tuple[str, ...] = MAPS

    @property
    def names(self) -> tuple[str, ...]:
        return self.maps if self.sever == "none" else (*self.maps, SEVERED)


@dataclass(frozen=True)
class Restored:
    """A cell of a map [layer, position], and what it gives back."""

    map: str
    layer: int
    position: int
    patch: Patch


class Restorations:
    """The cells that a model has."""

    def __init__(self, anatomy: Anatomy, sites: SiteTable, options: Options) -> None:
        self._anatomy = anatomy
        self._sites = sites
        self._options = options
        self.maps = options.names

    def sites_of(self, name: str) -> list[Site]:
        """All sites whose values the cells of a map read."""
        cells = [place for found in self.column(name, 0) for place in found.patch.places]
        return list(dict.fromkeys(cell.site for cell in cells))

    def column(self, name: str, position: int) -> list[Restored]:
        """A map's cells at one position, block by block, those that the model has."""
        blocks = range(self._sites.blocks)
        patches = {block: self._patch(name, block, position) for block in blocks}
        return [Restored(name, b, position, patch) for b, patch in patches.items() if patch]

    def _patch(self, name: str, block: int, position: int) -> Patch | None:
        if name in KINDS:
            cells = self._window(KINDS[name], block, position)
            return Patch(cells) if cells else None
        site = self.state_behind(block)
        if site is None:
            return None
        kept = self._severed(block, position) if name == SEVERED else ()
        return Patch((Cell(site, position),), kept)

    def _window(self, kind: str, block: int, position: int) -> tuple[Cell, ...]:
        options, count = self._options, self._sites.blocks
        blocks = window_blocks(block, count, options.window, options.rule)
        return tuple(Cell(Site(kind, b), position) for b in blocks if self._sites.has(kind, b))

    def _severed(self, block: int, position: int) -> tuple[Cell, ...]:
        kind = KINDS[self._options.sever]
        later = range(block + 1, self._sites.blocks)
        return tuple(Cell(Site(kind, b), position) for b in later if self._sites.has(kind, b))

    def state_behind(self, block: int) -> Site | None:
        """resid_post, as the next block's resid_pre where that is the same: a block less to run."""
        after = self._anatomy.blocks[block + 1 : block + 2]
        if after and after[0].entry is None and self._sites.has("resid_pre", block + 1):
            return Site("resid_pre", block + 1)
        return Site("resid_post", block) if self._sites.has("resid_post", block) else None


def column_order(subject: Span, tokens: int) -> list[int]:
    """From the subject on: its last token, the prompt's last, then far apart first."""
    first, end = subject
    rest = [first + i for i in far_apart_first(tokens - first)]
    return list(dict.fromkeys([end - 1, tokens - 1, *rest]))


def in_turns(
    restorations: Restorations, order: Sequence[int], rows_at: Callable[[int], int]
) -> Iterator[list[Restored]]:
    """Groups that are computed together, all maps of a position; even ones, of neighbouring blocks.

    rows_at: the most rows of a group at a position.
    """
    for position in order:
        cells = [cell for name in restorations.maps for cell in restorations.column(name, position)]
        cells.sort(key=lambda cell: cell.patch.block)
        count = -(-len(cells) // max(rows_at(position), 1))
        for i in range(count):
            yield cells[i * len(cells) // count : (i + 1) * len(cells) // count]
