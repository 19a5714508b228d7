"""Every architecture of mlx-lm shows what the checked-in table says, with these errors or less."""

import pytest
from engine.architectures.building import architectures
from engine.architectures.table import FILE, comparable, measured, share, written

# Float32: sums in another order cost a few roundings (6e-8 each) a block; a central
# difference is itself good to about 5e-4, and one pass in other shapes to 1e-5.
TOLERANCES = {
    "opens": 0.0,
    "resid": 0.0,
    "attn_out": 1e-6,
    "mlp_out": 1e-6,
    "resid_mid": 1e-6,
    "pattern, z": 1e-5,
    "unembed": 1e-5,
    "gradient": 1e-2,
    "cache": 1e-4,
}


@pytest.fixture(scope="module")
def table():
    return measured()


def test_the_checked_in_table_is_true(table):
    """After a change that is right: python tests/engine/architectures/table.py"""
    before = comparable(FILE.read_text(encoding="utf-8")).splitlines()
    assert comparable(written(table)).splitlines() == before


def test_what_is_there_is_there_within_its_tolerance(table):
    wrong = [
        f"{architecture} {column}: {cell.error}"
        for architecture, row in table.items()
        for column, cell in row.items()
        if cell.error is not None and not cell.error <= TOLERANCES[column]
    ]
    assert wrong == []


def test_what_is_not_there_has_a_reason(table):
    for row in table.values():
        assert all(cell.reasons for cell in row.values() if cell.found < cell.blocks)


def test_residual_states_and_increments_are_there_on_19_of_20_architectures(table):
    assert len(table) == len(architectures()) >= 121
    for column in ("resid", "attn_out"):
        found, count = share(table, column)
        assert found / count >= 0.95


def test_patterns_are_there_on_19_of_20_of_those_with_softmax_attention(table):
    found, count = share(table, "pattern, z", of="pattern, z")
    assert count >= 115
    assert found / count >= 0.95
