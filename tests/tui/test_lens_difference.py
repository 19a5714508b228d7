"""Two lenses, one minus the other: values and colours that can be checked by hand."""

from __future__ import annotations

import math
from array import array
from dataclasses import replace

from mlxterp_engine.experiments import Array, LogitLens, LogitLensRow
from mlxterp_engine.runlog.comparison import Comparison
from mlxterp_tui import comparison_text
from mlxterp_tui.panes.lens import difference
from mlxterp_tui.panes.lens.run import LensRun

import pytest


def floats(values: list[float], *shape: int) -> Array:
    return Array("float32", shape, memoryview(array("f", values).tobytes()))


def ints(values: list[int], *shape: int) -> Array:
    return Array("int32", shape, memoryview(array("i", values).tobytes()))


def row(layer: int, token: str, prob: float, kl: float) -> LogitLensRow:
    return LogitLensRow(
        layer=layer,
        top_ids=ints([0], 1, 1),
        top_probs=floats([prob], 1, 1),
        top_tokens=[[token]],
        entropy=floats([1.0], 1),
        kl=floats([kl], 1),
        final_rank=ints([0], 1),
    )


def lens(*rows: LogitLensRow) -> LensRun:
    return LensRun(LogitLens(prompt="a"), layers=1).read(["a"], [1]).with_rows(list(rows))


FIRST = lens(row(-1, "x", 0.5, 3.0), row(0, "y", 0.5, 0.0))
SECOND = lens(row(-1, "x", 0.25, 10.0), row(0, "z", 0.75, 0.0))


@pytest.fixture
def both() -> difference.LensPair:
    found = difference.pair(FIRST, SECOND)
    assert found is not None
    return found


def levels(both: difference.LensPair, metric: str) -> list[float | None]:
    found = difference.differences(both, metric)
    return [row[0].level for row in difference.cells(both, found)]


def test_it_is_the_second_minus_the_first(both):
    found = difference.differences(both, "probability")
    assert found.values == [[-0.25], [0.25]]
    assert found.most == 0.25


def test_less_and_more_are_the_two_ends_and_nothing_the_middle(both):
    assert levels(both, "probability") == [0.0, 1.0]
    assert levels(both, "kl") == [1.0, 0.5]
    assert levels(both, "entropy") == [0.5, 0.5]


def test_measures_on_a_log_scale_keep_their_sign(both):
    found = difference.differences(both, "kl")
    assert found.values == [[7.0], [0.0]]
    half = replace(FIRST, rows={**FIRST.rows, 0: row(0, "y", 0.5, math.sqrt(8) - 1)})
    turned = difference.pair(half, SECOND)
    assert turned is not None  # log(1 + 1.83) is half of log(1 + 7), and downwards
    assert levels(turned, "kl") == pytest.approx([1.0, 0.25])


def test_where_another_token_stands_on_top_is_marked(both):
    assert difference.changed_tokens(both) == {(1, 0): "≠"}


def test_a_cell_is_said_in_both(both):
    found = difference.differences(both, "kl")
    assert difference.in_words(both, found, -1, 0) == (
        "embed · position 0 · 'x' · 3.00 → 10.00 (+7)"
    )
    assert "'y' → 'z'" in difference.in_words(both, found, 0, 0)


def test_a_row_that_one_of_them_lacks_is_unknown(both):
    partial = difference.pair(FIRST, replace(SECOND, rows={0: SECOND.rows[0]}))
    assert partial is not None
    assert levels(partial, "kl") == [None, 0.5]


def test_other_shapes_are_no_pair():
    assert difference.pair(FIRST, replace(SECOND, layers=2)) is None


class TestInWords:
    def said(self, drift: dict[str, float], unlike: dict[str, str] | None = None) -> str:
        found = Comparison(drift=drift, unlike=unlike or {}, differences={}, fields={})
        return comparison_text.verdict(found).plain

    def test_no_drift_is_said_of_every_array(self):
        assert self.said({"kl": 0.0, "entropy": 0.0}) == (
            "✓ drift 0 in all 2 arrays: equal bit for bit"
        )

    def test_the_largest_drift_is_named(self):
        assert self.said({"kl": 1e-5, "entropy": 0.25}) == "≠ largest drift 0.25, in entropy"

    def test_what_cannot_be_compared_is_named_beside_it(self):
        told = self.said({"kl": 0.5, "ids": math.nan}, {"ids": "the shapes differ"})
        assert told == "≠ largest drift 0.5, in kl; not comparable: ids"

    def test_a_drift_that_is_not_a_number_is_the_largest(self):
        assert "in bad" in self.said({"kl": 0.5, "bad": math.nan})
