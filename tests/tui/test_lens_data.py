"""The lens without a screen: what is known, how it is looked at, what the colours mean."""

from __future__ import annotations

import math
from array import array
from dataclasses import replace

from mlxterp_engine.experiments import Array, BadInput, LogitLens, LogitLensRow
from mlxterp_tui.panes.lens import text as lens_text
from mlxterp_tui.panes.lens.inspector import rank_levels, settled
from mlxterp_tui.panes.lens.metrics import (
    METRICS,
    cycled,
    log_kl,
    log_rank,
    probability,
    share_of_most_entropy,
)
from mlxterp_tui.panes.lens.run import LensRun, address
from mlxterp_tui.panes.lens.view import (
    Cell,
    LensView,
    found,
    level_at,
    shown_layers,
    title,
    value_at,
)

import pytest

VOCABULARY = 1000


def floats(*values: float, shape: tuple[int, ...]) -> Array:
    return Array("float32", shape, memoryview(array("f", values).tobytes()))


def ints(*values: int) -> Array:
    return Array("int32", (len(values),), memoryview(array("i", values).tobytes()))


def row(layer: int, tokens: list[str], ranks: list[int], target: bool = False) -> LogitLensRow:
    """A row whose top token at each position is given, with probability a half."""
    count = len(tokens)
    return LogitLensRow(
        layer=layer,
        top_ids=Array("int32", (count, 1), memoryview(array("i", range(count)).tobytes())),
        top_probs=floats(*[0.5] * count, shape=(count, 1)),
        top_tokens=[[token] for token in tokens],
        entropy=floats(*[1.0] * count, shape=(count,)),
        kl=floats(*[2.0] * count, shape=(count,)),
        final_rank=ints(*ranks),
        target_prob=floats(*[0.25] * count, shape=(count,)) if target else None,
        target_rank=ints(*[3] * count) if target else None,
    )


@pytest.fixture
def run() -> LensRun:
    """Two blocks, two positions: 'b' wins from block 0 on at position 0, ' B' at last at 1."""
    empty = LensRun(LogitLens(prompt="ab"), layers=2, vocabulary=VOCABULARY).read(
        ["a", "b"], [1, 2]
    )
    return empty.with_rows(
        [
            row(-1, ["x", "y"], [7, 9]),
            row(0, ["b", "y"], [0, 0]),
            row(1, ["b", " B\t"], [0, 0]),
        ]
    )


class TestLevels:
    """Where a value lies on the colour scale."""

    @pytest.mark.parametrize(
        ("kl", "level"), [(0, 0), (0.1, 0), (math.sqrt(10), 0.5), (100, 1), (300, 1)]
    )
    def test_kl_is_logarithmic_from_a_tenth_to_a_hundred_nats(self, kl, level):
        assert log_kl(kl, VOCABULARY) == pytest.approx(level)

    @pytest.mark.parametrize(("rank", "level"), [(0, 1), (VOCABULARY - 1, 0)])
    def test_rank_zero_is_brightest_and_the_last_of_the_vocabulary_darkest(self, rank, level):
        assert log_rank(rank, VOCABULARY) == pytest.approx(level)

    def test_a_rank_of_the_square_root_is_halfway(self):
        assert log_rank(math.sqrt(VOCABULARY) - 1, VOCABULARY) == pytest.approx(0.5)

    def test_entropy_is_a_share_of_knowing_nothing(self):
        assert share_of_most_entropy(math.log(VOCABULARY), VOCABULARY) == pytest.approx(1)
        assert share_of_most_entropy(math.log(VOCABULARY) / 2, VOCABULARY) == pytest.approx(0.5)

    @pytest.mark.parametrize(
        ("value", "text"),
        [(0.412, ".412"), (0.99999, "1.00"), (0.0031, ".003"), (2.1e-6, "2.1e-6"), (0, "0")],
    )
    def test_probabilities_have_the_digits_that_are_meant(self, value, text):
        assert probability(value) == text

    def test_cycling_leaves_out_what_needs_a_target(self):
        names = list(METRICS)
        assert cycled("next-loss", 1, has_target=False) == names[0]
        assert cycled("next-loss", 1, has_target=True) == "target-probability"


class TestRun:
    def test_the_answer_settles_at_the_first_layer_from_which_it_stays_on_top(self, run):
        assert run.settled_from(0) == 0
        assert run.settled_from(1) == 0
        assert settled(run, 0).plain == "'b' on top from block 0 on"

    def test_an_answer_that_loses_the_top_once_more_settles_later(self, run):
        again = run.with_rows([row(0, ["y", "y"], [5, 5])])
        assert again.settled_from(0) == 1

    def test_with_the_last_row_unknown_nothing_has_settled(self, run):
        partial = replace(run, rows={-1: run.rows[-1], 0: run.rows[0]})
        assert partial.settled_from(0) is None
        assert partial.final_token(0) is None

    def test_ranks_over_layers_leave_a_gap_where_nothing_is_known(self, run):
        partial = replace(run, rows={1: run.rows[1]})
        assert rank_levels(partial, 0) == [None, None, 1.0]

    def test_another_question_about_the_same_tokens_keeps_the_place(self, run):
        assert run.reads_the_same(LogitLens(prompt="ab", target="b", state="resid_mid"))
        assert not run.reads_the_same(LogitLens(prompt="ab", bos="on"))
        assert not run.reads_the_same(None)

    def test_rows_have_the_sites_addresses(self):
        assert [address(layer, "resid_post", 30) for layer in (-1, 7)] == [
            "embed",
            "blocks.7.resid_post",
        ]


class TestView:
    def test_the_last_block_is_on_top_until_turned_over(self, run):
        assert shown_layers(LensView(), run) == [1, 0, -1]
        assert shown_layers(LensView(embeddings_on_top=True), run) == [-1, 0, 1]

    def test_a_stride_counts_from_the_last_block(self, run):
        assert shown_layers(LensView(stride=2), run) == [1, -1]
        assert shown_layers(LensView(stride=4), run) == [1]

    def test_a_new_prompt_starts_at_the_last_cell(self, run):
        view = LensView(cursor=Cell(0, 0), pinned=Cell(0, 0)).for_run(run, False, False)
        assert (view.cursor, view.pinned) == (Cell(1, 1), None)

    def test_the_same_prompt_keeps_the_place_and_the_pin(self, run):
        view = LensView(cursor=Cell(0, 0), pinned=Cell(1, 0)).for_run(run, True, False)
        assert (view.cursor, view.pinned) == (Cell(0, 0), Cell(1, 0))

    def test_a_new_target_is_shown_and_a_lost_one_is_not(self, run):
        assert LensView().for_run(run, True, True).metric == "target-rank"
        assert LensView(metric="target-rank").for_run(run, True, False).metric == "rank"

    def test_values_of_a_target_are_unknown_without_one(self, run):
        view = LensView(metric="target-probability")
        assert value_at(view, run, Cell(1, 0)) is None
        assert level_at(view, run, Cell(1, 0)) is None
        known = run.with_rows([row(1, ["b", "c"], [0, 0], target=True)])
        assert value_at(view, known, Cell(1, 0)) == 0.25

    def test_pinning_the_pinned_cell_unpins_it(self):
        once = LensView(cursor=Cell(3, 1)).pinned_here()
        assert once.pinned == Cell(3, 1)
        assert once.pinned_here().pinned is None

    def test_the_title_names_the_target(self, run):
        asked = replace(run, request=LogitLens(prompt="ab", target=" Paris"))
        assert title(LensView(metric="target-rank"), asked) == "rank of ' Paris' (0 = top)"


class TestFinding:
    def test_it_goes_along_the_row_then_down_and_around(self, run):
        view = LensView(cursor=Cell(1, 1), needle="y")
        assert found(run, view, 1) == Cell(0, 1)
        assert found(run, replace(view, cursor=Cell(0, 1)), 1) == Cell(-1, 1)
        assert found(run, replace(view, cursor=Cell(-1, 1)), 1) == Cell(0, 1)

    def test_small_letters_find_capitals_but_not_the_other_way_round(self, run):
        assert found(run, LensView(cursor=Cell(0, 0), needle=" b"), 1) == Cell(1, 1)
        assert found(run, LensView(cursor=Cell(0, 0), needle="Y"), 1) is None

    def test_unknown_rows_hold_nothing(self, run):
        assert found(replace(run, rows={}), LensView(needle="b"), 1) is None


class TestText:
    def test_a_token_with_a_tab_stays_in_its_field(self, run):
        last = lens_text.table_tsv(run).splitlines()[2].split("\t")
        assert last[:5] == ["1", "blocks.1.resid_post", "1", '"b"', '" B\\t"']

    def test_without_a_target_its_columns_are_empty(self, run):
        assert lens_text.table_tsv(run).splitlines()[1].split("\t")[-2:] == ["", ""]

    def test_a_cell_that_is_not_known_cannot_be_copied(self, run):
        with pytest.raises(BadInput, match=r"blocks\.1\.resid_post is not computed yet"):
            lens_text.cell_tsv(replace(run, rows={}), Cell(1, 0))
