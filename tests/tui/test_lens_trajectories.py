"""Lines over the layers: whose, of what, and what is not known."""

from __future__ import annotations

import math

from mlxterp_tui.panes.lens.trajectories import MEASURES, Drawn, as_csv, chart, lines, table
from mlxterp_tui.panes.lens.view import Cell, LensView

import made_lens
import pytest
from made_lens import row

AT_LAST = LensView(cursor=Cell(1, 2))


@pytest.fixture
def run():
    """Two blocks, three positions. At position 2 token 9 (' i') wins, and is second in block 0."""
    return made_lens.run(
        row(-1, [[1, 2], [2, 1], [3, 4]], ranks=[5, 6, 7], losses=[3, 2]),
        row(0, [[1, 2], [2, 1], [4, 9]], ranks=[5, 0, 1], losses=[2, 1]),
        row(1, [[7, 8], [2, 1], [9, 4]], ranks=[0, 0, 0], losses=[1, math.nan]),
    )


def names(found):
    return [line.name for line in found]


class TestLines:
    def test_the_rank_of_the_final_token_goes_over_the_layers(self, run):
        (line,) = lines(run, AT_LAST, Drawn())
        assert line.name == "' c'@2 → ' i'"
        assert line.xs == [-1, 0, 1]
        assert line.ys == [7, 1, 0]

    def test_a_target_has_a_line_and_the_final_token_another(self):
        run = made_lens.run(
            *(row(at, [[1, 2]] * 3, target=[4, 5, 6], ranks=[9, 9, 9 * (at < 1)])
              for at in (-1, 0, 1)),
            target=" Z",
        )  # fmt: skip
        target, final = lines(run, AT_LAST, Drawn())
        assert (target.name, target.ys) == ("' c'@2 → ' Z'", [6, 6, 6])
        assert (final.name, final.ys) == ("' c'@2 → ' a'", [9, 9, 0])

    def test_a_probability_that_no_row_lists_is_not_known_and_not_nought(self, run):
        (line,) = lines(run, AT_LAST, Drawn("probability"))
        assert line.ys == [None, 0.25, 0.5]
        assert line.missing == "below top"

    def test_the_tokens_on_top_are_those_of_the_last_row_then_those_on_the_way(self, run):
        found = lines(run, AT_LAST, Drawn("top"))
        assert {line.name: line.ys for line in found} == {
            "' i'": [None, 0.25, 0.5],
            "' d'": [0.25, 0.5, 0.25],
            "' c'": [0.5, None, None],
        }

    def test_positions_are_the_cursor_s_then_those_that_were_kept(self, run):
        kept = Drawn("kl").keeping(0).keeping(1).keeping(0)
        assert names(lines(run, AT_LAST, kept)) == ["' c'@2", "' b'@1"]
        every = Drawn("kl", every=True)
        assert names(lines(run, AT_LAST, every)) == ["' c'@2", "' a'@0", "' b'@1"]

    def test_a_pinned_cell_s_position_is_drawn_too(self, run):
        view = LensView(cursor=Cell(1, 2), pinned=Cell(0, 0))
        assert names(lines(run, view, Drawn("kl"))) == ["' c'@2", "' a'@0"]

    def test_another_run_stands_beside_it_at_the_same_position(self, run):
        other = made_lens.run(row(0, [[1, 2]] * 3, ranks=[4, 4, 4]))
        found = lines(run, AT_LAST, Drawn(), {"the pinned run": other})
        assert names(found) == ["' c'@2 → ' i'", "the pinned run: ' c'@2"]
        assert found[1].ys == [None, 4, None]

    def test_the_last_position_has_no_next_token(self, run):
        assert lines(run, AT_LAST, Drawn("next-loss")) == []
        assert "no next token" in chart(run, AT_LAST, Drawn("next-loss")).empty
        (line,) = lines(run, LensView(cursor=Cell(1, 1)), Drawn("next-loss"))
        assert line.ys[:2] == [2, 1]
        assert math.isnan(line.ys[2])

    def test_rows_that_have_not_come_yet_are_not_known(self, run):
        part = made_lens.run(run.rows[-1])
        (line,) = lines(part, AT_LAST, Drawn())
        assert line.ys == [7, None, None]
        assert "Enter" in chart(made_lens.run(), AT_LAST, Drawn()).empty


class TestAxes:
    @pytest.mark.parametrize("measure", MEASURES)
    def test_every_measure_can_be_linear_or_logarithmic(self, run, measure):
        one = chart(run, LensView(cursor=Cell(1, 1)), Drawn(measure))
        other = chart(run, LensView(cursor=Cell(1, 1)), Drawn(measure, flipped=True))
        assert (one.y.scale == "linear") != (other.y.scale == "linear")

    def test_ranks_have_their_top_at_the_top_and_the_last_of_the_vocabulary_at_the_foot(self, run):
        y = chart(run, AT_LAST, Drawn()).y
        assert (y.scale, y.reverse, y.least, y.most) == ("log1p", True, 0, 99)

    def test_layers_are_called_as_in_the_grid(self, run):
        x = chart(run, AT_LAST, Drawn()).x
        assert [x.text(layer) for layer in (-1, 0, 1)] == ["embed", "0", "1"]


class TestTables:
    def test_a_row_a_layer_and_nothing_where_nothing_is_known(self, run):
        found = lines(run, AT_LAST, Drawn("probability"))
        expected = "layer\t' c'@2 → ' i'\n-1\t\n0\t0.25\n1\t0.5\n"
        assert table(found, run) == expected
        assert as_csv(expected) == expected.replace("\t", ",")

    def test_what_failed_is_nan(self, run):
        found = lines(run, LensView(cursor=Cell(1, 1)), Drawn("next-loss"))
        assert table(found, run).endswith("1\tnan\n")
