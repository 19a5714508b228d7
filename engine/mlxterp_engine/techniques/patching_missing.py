"""Cells of patching maps that the model has not: NaN there is no failure.

A map has a row for each block and as many heads as the block that has most. Where some blocks mix
tokens without attention, or have fewer heads, nothing is there that could be patched.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import product

from mlxterp_engine.experiments.patching import BY_POSITION
from mlxterp_engine.techniques.findings import Findings
from mlxterp_engine.techniques.patching_cells import RECORDED, Z_POS
from mlxterp_engine.tracing.sites import SiteTable

import numpy as np

UNALIGNED = "unaligned"  # positions of the clean prompt that the other has no partner of
EFFECT = "effect"  # of path patching: by senders' z
_KINDS = {**RECORDED, EFFECT: RECORDED["z"]}

Cells = list[tuple[int, ...]]


def with_missing(sites: SiteTable, findings: Findings) -> Findings:
    """`strings.missing`, {map: [[layer, at]]}, of z_pos [[row, position, head]], where there is
    any; such NaNs are counted as absent, in the map, in its spread, and in each pair's."""
    arrays = findings.arrays
    named = [name for name in arrays if name in _KINDS and arrays[name].ndim > 1]
    alone = findings.strings.get(UNALIGNED, [])
    missing = {name: cells for name in named if (cells := _missing(sites, name, arrays, alone))}
    if not missing:
        return findings
    absent = sum(
        int(np.isnan(arrays[each][..., *np.array(cells).T]).sum())
        for name, cells in missing.items()
        for each in (name, f"{name}_sd", f"{name}_pairs")
        if each in arrays
    )
    strings = {**findings.strings, "missing": missing}
    return replace(findings, strings=strings, absent=findings.absent + absent)


def _missing(
    sites: SiteTable, name: str, arrays: Mapping[str, np.ndarray], alone: Collection[int]
) -> Cells:
    """In the order of the array. alone: positions where nothing corresponds."""
    shape, kind = arrays[name].shape, _KINDS[name]
    blocks = arrays[f"{Z_POS}_layers"].tolist() if name == Z_POS else range(shape[0])
    return [
        cell
        for row, block in enumerate(blocks)
        for cell in product([row], *map(range, shape[1:]))
        if not sites.has(kind, block)
        or (name not in BY_POSITION and cell[-1] >= sites.heads_of(kind, block))
        or (name in (*BY_POSITION, Z_POS) and cell[1] in alone)
    ]
