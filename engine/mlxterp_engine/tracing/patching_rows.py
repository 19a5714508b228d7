"""What one run has at a place, written into another run: each in a row of its own of one batch.

Interchange interventions of Vig et al. 2020 (arXiv 2004.12265), activation patching of Meng et
al. 2022 (arXiv 2202.05262). A place is a cell of the map that comes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from mlxterp_engine.tracing.interventions import Edit, Operation
from mlxterp_engine.tracing.sites import HEAD_KINDS, Site

import mlx.core as mx


@dataclass(frozen=True)
class Cell:
    """One place. site: whole, or with one head, key-value group or neuron. position: None is all.

    Of `attn.pattern` the position is that of the destination.
    """

    site: Site
    position: int | None = None

    @property
    def block(self) -> int:
        assert self.site.block is not None  # the model's own sites are not patched
        return self.site.block


def in_order(cell: Cell) -> tuple[int, str, tuple[int, ...], int]:
    """By block, and within it those that are written at one stroke together."""
    part = (-1,) if cell.site.part is None else cell.site.part
    position = -1 if cell.position is None else cell.position
    return cell.block, cell.site.kind, part, position


@dataclass(frozen=True)
class Patch:
    """What one row is given together: `cells` of the source, and `kept` of the unpatched run.

    kept: places behind the first of `cells` that stay as they were before anything was patched.
    """

    cells: tuple[Cell, ...]
    kept: tuple[Cell, ...] = ()

    @property
    def block(self) -> int:
        """The first that differs from the unpatched run's."""
        return min(cell.block for cell in self.cells)

    @property
    def places(self) -> tuple[Cell, ...]:
        return self.cells + self.kept


Sites = Mapping[Site, mx.array]
"""What a run has there: whole sites, [1, pos, d] or [1, head, pos, d]."""


def row_edits(
    patches: Sequence[Patch], source: Sites, unpatched: Sites, tokens: int, start: int
) -> list[Edit]:
    """Edits of a batch whose row i is the run with patches[i], which stand `in_order`.

    tokens: of the prompt. start: what is before it is the same in both runs and left alone.
    """
    writes = [
        (row, cell, values)
        for row, patch in enumerate(patches)
        for cells, values in ((patch.cells, source), (patch.kept, unpatched))
        for cell in cells
    ]
    writes.sort(key=lambda write: (*in_order(write[1]), write[2] is unpatched, write[0]))
    edits = []
    for key, group in groupby(writes, key=lambda write: _alike(write[1], write[2] is unpatched)):
        rows, members, origins = zip(*group, strict=True)
        write = _writing(members, rows, origins[0][key[0]][0], tokens, start)
        edits.append(Edit(key[0], write))
    return edits


def _alike(cell: Cell, kept: bool) -> tuple[Site, bool, bool, bool]:
    """What cells that are written at one stroke have in common."""
    return cell.site.whole, cell.site.part is None, cell.position is None, kept


def _writing(
    cells: Sequence[Cell], rows: Sequence[int], source: mx.array, tokens: int, start: int
) -> Operation:
    """Of cells that are alike. source: [pos, d] or [head, pos, d]."""
    row = mx.array(list(rows))
    kind = cells[0].site.kind
    parts = [cell.site.part[0] for cell in cells if cell.site.part is not None]
    part = mx.array(parts) if parts else None
    if cells[0].position is None:
        count = tokens - start
        if kind in HEAD_KINDS and part is not None:
            return _heads(row, part, source[part, -count:], count)
        if part is not None:
            return _neurons(row, part, source[-count:, part].T, count)
        return _everywhere(row, source[..., -count:, :], count)
    position = mx.array([c.position for c in cells])
    back = position - tokens  # rows may hold a prefix, or not: positions count from the end
    if kind in HEAD_KINDS and part is not None:
        return _at(row, part, back, source[part, position])
    if kind in HEAD_KINDS:
        return _all_heads_at(row, back, source[:, position].swapaxes(0, 1))
    if part is not None:
        return _neurons_at(row, part, back, source[position, part])
    return _states_at(row, back, source[position])


def _heads(row: mx.array, part: mx.array, values: mx.array, count: int) -> Operation:
    def write(x: mx.array) -> mx.array:
        x = mx.array(x)
        x[row, part, x.shape[2] - count :] = _fitting(values, x)
        return x

    return write


def _everywhere(row: mx.array, values: mx.array, count: int) -> Operation:
    def write(x: mx.array) -> mx.array:
        x = mx.array(x)
        x[row, ..., x.shape[-2] - count :, :] = _fitting(values, x)[None]
        return x

    return write


def _neurons(row: mx.array, part: mx.array, values: mx.array, count: int) -> Operation:
    """values: [row, pos]."""

    def write(x: mx.array) -> mx.array:
        x = mx.array(x)
        where = mx.arange(x.shape[1] - count, x.shape[1])
        x[row[:, None], where[None], part[:, None]] = values.astype(x.dtype)
        return x

    return write


def _at(row: mx.array, part: mx.array, back: mx.array, values: mx.array) -> Operation:
    def write(x: mx.array) -> mx.array:
        x = mx.array(x)
        x[row, part, back + x.shape[2]] = _fitting(values, x)
        return x

    return write


def _all_heads_at(row: mx.array, back: mx.array, values: mx.array) -> Operation:
    """values: [row, head, d]."""

    def write(x: mx.array) -> mx.array:
        x = mx.array(x)
        heads = mx.arange(x.shape[1])
        x[row[:, None], heads[None], (back + x.shape[2])[:, None]] = _fitting(values, x)
        return x

    return write


def _neurons_at(row: mx.array, part: mx.array, back: mx.array, values: mx.array) -> Operation:
    def write(x: mx.array) -> mx.array:
        x = mx.array(x)
        x[row, back + x.shape[1], part] = values.astype(x.dtype)
        return x

    return write


def _states_at(row: mx.array, back: mx.array, values: mx.array) -> Operation:
    def write(x: mx.array) -> mx.array:
        x = mx.array(x)
        x[row, back + x.shape[1]] = values.astype(x.dtype)
        return x

    return write


def _fitting(values: mx.array, x: mx.array) -> mx.array:
    """Of a pattern over all sources, those that this call still reads."""
    return values[..., values.shape[-1] - x.shape[-1] :].astype(x.dtype)
