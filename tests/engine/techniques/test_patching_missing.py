"""Cells that a model has not are no failures: beside models whose blocks are not alike."""

from __future__ import annotations

from mlxterp_engine.models.anatomy import discover
from mlxterp_engine.techniques.findings import Findings
from mlxterp_engine.techniques.patching_cells import Asked, places_of, shape_of
from mlxterp_engine.techniques.patching_missing import with_missing
from mlxterp_engine.tracing.proofs import proven

import numpy as np
import pytest
from engine.architectures.building import IDS, build

TOKENS = 3


@pytest.fixture(scope="module")
def sites_of():
    def opened(architecture):
        net = build(architecture)
        return proven(net, architecture, discover(net, IDS), {}, IDS).sites

    return opened


def swept(sites, asked):
    """As a sweep leaves its maps: 0 where there is a cell, NaN elsewhere."""
    maps = {}
    for name in asked.maps:
        maps[name] = np.full(shape_of(sites, name, TOKENS, asked), np.nan, np.float32)
        for place in places_of(sites, name, range(TOKENS), asked):
            maps[name][place.index] = 0
    return maps


@pytest.mark.parametrize("architecture", ["lfm2", "openelm"])
def test_every_cell_that_no_sweep_has_is_told_and_none_else(sites_of, architecture):
    """lfm2: convolutions in some blocks; openelm: other numbers of heads in other blocks."""
    sites = sites_of(architecture)
    layers = tuple(b for b in range(sites.blocks) if sites.has("attn.z", b))
    maps = swept(sites, Asked(("resid_pre", "z", "k", "z_pos"), layers))
    holes = sum(int(np.isnan(values).sum()) for values in maps.values())
    assert holes
    arrays = maps | {"z_pos_layers": np.array(layers, np.int32)}
    arrays["z_pairs"] = np.stack([maps["z"], maps["z"]])
    found = with_missing(sites, Findings(arrays, {}))
    assert found.absent == holes + 2 * np.isnan(maps["z"]).sum()
    told = found.strings["missing"]
    for name, values in maps.items():
        there = {tuple(map(int, index)) for index in np.argwhere(np.isnan(values))}
        assert set(told.get(name, [])) == there


def test_a_cell_that_failed_stays_one(sites_of):
    sites = sites_of("lfm2")
    maps = swept(sites, Asked(("z",)))
    holes = int(np.isnan(maps["z"]).sum())
    block = next(b for b in range(sites.blocks) if sites.has("attn.z", b))
    maps["z"][block, 0] = np.nan
    found = with_missing(sites, Findings(maps, {}))
    assert found.absent == holes
    assert (block, 0) not in found.strings["missing"]["z"]


def test_where_all_blocks_are_alike_nothing_is_said(sites_of):
    sites = sites_of("llama")
    findings = Findings(swept(sites, Asked(("z", "mlp_out"))), {})
    assert with_missing(sites, findings) is findings
