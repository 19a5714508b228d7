"""Means by layer and by position, on numbers that can be checked by hand."""

from __future__ import annotations

import math

from mlxterp_tui.panes.lens import summary_text
from mlxterp_tui.panes.lens.summary import (
    FIGURES,
    Mean,
    by_layer,
    by_position,
    mean,
    of_layer,
    of_position,
    positions,
)
from mlxterp_tui.panes.lens.summary_text import Summary, about, known, line, spans, table, tsv

import made_lens
import pytest
from made_lens import row


@pytest.fixture
def run():
    """Tokens 1 2 3 are read. The last row answers 9 2 9; row 0 says 9 2 3; the embeddings 1 2 3."""
    return made_lens.run(
        row(-1, [[1], [2], [3]], kl=[9, 4, 2], ranks=[8, 6, 4], losses=[5, 3]),
        row(0, [[9], [2], [3]], kl=[9, 2, 1], ranks=[0, 0, 2], losses=[4, 2]),
        row(1, [[9], [2], [9]], kl=[0, 0, 0], ranks=[0, 0, 0], losses=[3, 1]),
    )


def layers(run, name, with_first=False):
    return [found.value for found in by_layer(run, FIGURES[name], with_first)]


class TestMeans:
    def test_what_failed_is_left_out_and_counted_and_what_is_not_known_is_not(self):
        assert mean([1.0, None, 3.0, math.nan]) == Mean(2.0, of=2, failed=1)
        assert mean([None, None]) == Mean(None)
        assert math.isnan(mean([math.nan, math.inf]).value)
        assert mean([math.nan]).failed == 1

    def test_the_first_token_is_left_out_unless_it_is_asked_for_or_alone(self, run):
        assert positions(run, with_first=False) == range(1, 3)
        assert positions(run, with_first=True) == range(3)
        alone = made_lens.run(row(-1, [[1]]), ids=[1])
        assert positions(alone, with_first=False) == range(1)


class TestLayers:
    @pytest.mark.parametrize(
        ("name", "expected", "with_first"),
        [
            ("kl", [3, 1.5, 0], [5, 4, 0]),
            ("entropy", [0, 1, 2], [0, 1, 2]),
            ("agreement", [1 / 2, 1 / 2, 1], [1 / 3, 2 / 3, 1]),
            ("echo", [1, 1, 1 / 2], [1, 2 / 3, 1 / 3]),
            ("next-loss", [3, 2, 1], [4, 3, 2]),
            ("rank", [5, 1, 0], [6, 2 / 3, 0]),
        ],
    )
    def test_each_figure_by_hand(self, run, name, expected, with_first):
        assert layers(run, name) == pytest.approx(expected)
        assert layers(run, name, with_first=True) == pytest.approx(with_first)

    def test_the_last_position_has_no_next_token_and_is_not_counted_in_the_loss(self, run):
        assert of_layer(run, 0, FIGURES["next-loss"]).of == 1
        assert of_layer(run, 0, FIGURES["kl"]).of == 2

    def test_a_row_that_has_not_come_is_not_known_nor_is_agreement_with_it(self, run):
        part = made_lens.run(run.rows[-1], run.rows[0])
        assert layers(part, "kl") == [3, 1.5, None]
        assert layers(part, "agreement") == [None, None, None]
        assert layers(part, "echo") == [1, 1, None]

    def test_an_older_run_has_no_loss(self):
        older = made_lens.run(*(row(at, [[1], [2], [3]]) for at in (-1, 0, 1)))
        assert layers(older, "next-loss") == [None] * 3
        assert "older" in known(older, table(older, Summary()))

    def test_a_failed_cell_is_told(self):
        failed = made_lens.run(
            *(row(at, [[1], [2], [3]], kl=[0, math.nan, 2], losses=[1, 1]) for at in (-1, 0, 1))
        )
        assert layers(failed, "kl") == [2, 2, 2]
        assert known(failed, table(failed, Summary())) == "3 cells failed and are left out"


class TestPositions:
    def test_means_are_over_the_rows_before_the_last(self, run):
        assert [found.value for found in by_position(run, FIGURES["kl"])] == [9, 3, 1.5]
        assert [found.value for found in by_position(run, FIGURES["agreement"])] == [0.5, 1, 0]
        assert of_position(run, 2, FIGURES["next-loss"]) == Mean(None)

    def test_it_is_told_from_where_the_answer_stays(self, run):
        words = table(run, Summary(of_layers=False)).words
        assert words == ["' i' from 0 on", "' b' from 0 on", "' i' from 1 on"]


class TestWords:
    def test_what_the_means_are_of_is_said(self, run):
        assert about(run, Summary()) == "means over 2 positions, the first token left out"
        assert about(run, Summary(with_first=True)) == "means over all 3 positions"
        assert about(run, Summary(of_layers=False)) == "means over the 2 rows before the last"

    def test_rows_that_miss_are_told(self, run):
        part = made_lens.run(run.rows[-1])
        assert known(part, table(part, Summary())).startswith("1 of 3 rows known")

    @pytest.mark.parametrize("width", [40, 78, 118, 198])
    @pytest.mark.parametrize("of_layers", [True, False])
    def test_lines_and_heading_are_equally_wide_and_fit(self, run, width, of_layers):
        summary = Summary(of_layers)
        found = table(run, summary)
        heading = summary_text.heading(found, summary, width)
        for at in range(3):
            pieces = line(found, spans(found, run), summary, at, width, True)
            size = sum(len(text) for text, _ in pieces)
            assert sum(len(text) for text, _ in heading[:-1]) == size - len(pieces[-1][0])
            assert width < 60 or size <= width

    def test_a_table_leaves_open_what_is_not_known_and_says_how_many_went_in(self, run):
        part = made_lens.run(run.rows[-1])
        head, first, second, _ = tsv(table(part, Summary())).splitlines()
        assert head.startswith("block\tkl\tentropy\tagreement\techo\tnext-loss\trank\tkl_n")
        assert first == "embed\t3\t0\t\t1\t3\t5\t2\t2\t0\t2\t1\t2"
        assert second == "0\t\t\t\t\t\t\t0\t0\t0\t0\t0\t0"
