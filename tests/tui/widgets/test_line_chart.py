"""The line chart: where values lie, which dots are drawn, what a change sends."""

from __future__ import annotations

import math

from mlxterp_tui.widgets.chart_axis import Axis, compact, fitted
from mlxterp_tui.widgets.chart_canvas import Series, Stroke, buckets, drawn, strokes
from mlxterp_tui.widgets.chart_sheet import Chart, Look, sheet, text_of
from mlxterp_tui.widgets.line_chart import LineChart

import pytest

LAYER = Axis("block", whole=True)
RANK = Axis("rank", "log1p", least=0, most=99, reverse=True)


def span(scale="linear", least=0.0, most=1.0, **more):
    return fitted(Axis(scale=scale, least=least, most=most, **more), [])


def line(*ys: float | None, name: str = "a") -> Series:
    return Series(name, list(range(len(ys))), ys)


class TestAnAxis:
    @pytest.mark.parametrize(
        ("scale", "ends", "value", "place"),
        [
            ("linear", (0, 4), 1, 0.25),
            ("log", (1, 100), 10, 0.5),
            ("log1p", (0, 99), 9, 0.5),
            ("log1p", (0, 99), 0, 0.0),
            ("linear", (0, 4), 9, 1.0),
            ("log", (0.1, 10), 0, 0.0),
        ],
    )
    def test_a_value_lies_where_its_scale_says_and_at_the_end_when_beyond(
        self, scale, ends, value, place
    ):
        assert span(scale, *ends).place(value) == pytest.approx(place)

    def test_a_reversed_axis_has_its_least_value_at_the_far_end(self):
        assert span("log1p", 0, 99, reverse=True).place(0) == 1.0

    def test_open_ends_go_out_to_round_values(self):
        found = fitted(Axis(), [0.13, 4.87])
        assert (found.least, found.most) == (0, 5)
        found = fitted(Axis(scale="log"), [0.13, 47])
        assert (found.least, found.most) == pytest.approx((0.1, 50))
        found = fitted(Axis(scale="log1p"), [0, 1234])
        assert (found.least, found.most) == (0, 2000)

    def test_an_axis_of_whole_numbers_ends_with_the_data(self):
        found = fitted(LAYER, [-1, 29])
        assert (found.least, found.most) == (-1, 29)
        assert found.ticks(9) == [0, 5, 10, 15, 20, 25]

    def test_a_few_whole_numbers_are_marked_one_by_one(self):
        assert fitted(LAYER, [-1, 3]).ticks(9) == [-1, 0, 1, 2, 3]

    def test_a_log_axis_marks_decades_and_between_them_where_they_are_few(self):
        assert span("log", 0.1, 1000).ticks(9) == pytest.approx([0.1, 1, 10, 100, 1000])
        assert span("log", 1, 20).ticks(9) == pytest.approx([1, 2, 5, 10, 20])

    def test_ranks_are_marked_from_nought(self):
        assert span("log1p", 0, 49151).ticks(9) == [0, 1, 10, 100, 1000, 10000]

    def test_an_end_that_hides_values_says_so(self):
        found = fitted(Axis(least=1, most=4), [0, 2, 9])
        assert [found.label(value) for value in (1, 2, 4)] == ["≤1", "2", "≥4"]

    def test_a_value_alone_has_room_around_it_and_no_values_have_an_axis(self):
        assert fitted(Axis(), [3.0]).place(3.0) == pytest.approx(0.5)
        assert fitted(Axis(), []).place(0.5) == pytest.approx(0.5)
        assert fitted(Axis(), [math.nan, math.inf]).place(0.5) == pytest.approx(0.5)

    @pytest.mark.parametrize(
        ("value", "words"),
        [(0, "0"), (0.05, ".05"), (-0.5, "-.5"), (12, "12"), (1446.4, "1446"), (12345, "12.3k"),
         (49151, "49.2k"), (999.9, "1000"), (3e-5, "3e-5"), (2e6, "2M")],
    )  # fmt: skip
    def test_a_number_is_said_in_few_characters(self, value, words):
        assert compact(value) == words


class TestStrokes:
    def test_a_line_that_rises_evenly_is_a_diagonal_of_dots(self):
        found = {*strokes(line(0, 1, 2, 3), span(most=3), span(most=3), 4, 4)}
        dots = {(s.column, dot) for s in found for dot in range(s.top, s.bottom + 1)}
        assert {(0, 3), (1, 2), (2, 1), (3, 0)} <= dots

    def test_a_steep_line_has_no_holes(self):
        found = strokes(line(0, 1), span(), span(), 2, 40)
        dots = {dot for s in found for dot in range(s.top, s.bottom + 1)}
        assert dots == set(range(40))

    def test_points_in_one_column_become_one_stroke_from_least_to_most(self):
        assert [*buckets([0, 0, 0, 1], [5.0, 1.0, 3.0, 2.0])] == [
            (0, 5.0, 3.0, 1.0, 5.0),
            (1, 2.0, 2.0, 2.0, 2.0),
        ]

    @pytest.mark.parametrize("missing", [None, math.nan])
    def test_what_is_missing_leaves_a_gap(self, missing):
        whole = drawn([line(1, 1, 1, 1, 1)], span(most=4), span(most=2), 9, 1, True)
        broken = drawn([line(1, 1, missing, 1, 1)], span(most=4), span(most=2), 9, 2, True)
        assert all(whole.character(column, 0) != " " for column in range(9))
        assert broken.character(4, 1) == ("·" if missing is None else "×")
        assert broken.character(4, 0) == " "

    def test_a_point_alone_is_large_enough_to_see(self):
        found = [*strokes(line(None, 1, None), span(most=2), span(most=2), 9, 9)]
        assert Stroke(4, 3, 4) in found
        assert Stroke(5, 3, 4) in found

    def test_the_first_series_is_drawn_over_the_others(self):
        canvas = drawn([line(1, 1), line(1, 1, name="b")], span(), span(), 3, 1, False)
        assert [canvas.character(column, 0) for column in range(3)] == ["1", "1", "1"]

    def test_series_beyond_the_colours_bear_their_marks(self):
        lines = [line(y, y, name=str(y)) for y in range(8)]
        canvas = drawn(lines, span(), span(most=7), 30, 8, True)
        rows = ["".join(canvas.character(column, row) for column in range(30)) for row in range(8)]
        assert [sum(row.count(mark) for row in rows) for mark in "1678"] == [0, 0, 2, 3]


class TestASheet:
    def test_a_small_chart_reads_as_text(self):
        chart = Chart([line(0, 9, 99)], LAYER, RANK)
        assert text_of(chart, 20, 9) == [
            "rank · log",
            "a",
            " 0┤⠑⠢⢄",
            "  │   ⠉⠒⢄⡀",
            "10┤      ⠈⠑⠤⣀",
            "  │          ⠉⠒⢄⡀",
            "  │             ⠈⠑⠢⢄",
            "  └┬───────────────┬",
            "   0           block",
        ]

    def test_without_colours_several_series_are_told_apart_by_their_marks(self):
        chart = Chart([line(0, 0), line(99, 99, name="b")], LAYER, RANK)
        text = "\n".join(text_of(chart, 40, 9))
        assert "1 a   2 b" in text
        assert "1111" in text
        assert "2222" in text

    def test_at_the_cursor_every_value_is_said(self):
        ys = (line(0, 9, 99), line(1, None, 2, name="b"), line(1, math.nan, 2, name="c"))
        text = "\n".join(text_of(Chart(ys, LAYER, RANK, cursor=1), 60, 12))
        assert "1 a 9 " in text
        assert "2 b not known" in text
        assert "3 c failed" in text

    def test_on_terminals_without_unicode_lines_are_ascii(self):
        chart = Chart([line(0, 9, 99)], LAYER, Axis("depth"), cursor=1)
        rows = sheet(chart, 40, 10, Look(False, False))
        assert "".join(piece.text for row in rows for piece in row).isascii()

    @pytest.mark.parametrize("size", [(1, 1), (7, 20), (8, 5), (20, 4), (9, 5), (300, 80)])
    def test_every_size_is_kept(self, size):
        rows = sheet(Chart([line(0, 9, 99), line(3, name="日本語")], LAYER, RANK, 1), *size)
        assert len(rows) == size[1]
        from rich.cells import cell_len

        assert all(sum(cell_len(piece.text) for piece in row) <= size[0] for row in rows)

    def test_nothing_to_draw_says_so(self):
        assert text_of(Chart(empty="no steps yet"), 30, 6)[0] == "no steps yet"


class TestTheWidget:
    async def test_only_what_differs_is_painted_again(self, alone, monkeypatch):
        chart = LineChart(ascii_lines=False)
        app = alone(chart, lambda c: c.show(Chart([line(0, 9, 99)], LAYER, RANK)))
        async with app.run_test(size=(40, 12)) as pilot:
            await pilot.pause()
            regions = []
            monkeypatch.setattr(chart, "refresh", lambda *changed, **_: regions.extend(changed))
            chart.show(Chart([line(0, 9, 99)], LAYER, RANK))
            assert regions == []
            chart.show(Chart([line(0, 9, 80)], LAYER, RANK))
            assert regions
            assert sum(region.area for region in regions) < 40 * 12 / 3

    async def test_it_is_drawn_anew_when_its_size_changes(self, alone):
        chart = LineChart(ascii_lines=False)
        app = alone(chart, lambda c: c.show(Chart([line(0, 9, 99)], LAYER, RANK)))
        async with app.run_test(size=(20, 9)) as pilot:
            await pilot.pause()
            assert app.lines() == text_of(chart.chart, 20, 9)
            await pilot.resize_terminal(50, 12)
            await pilot.pause()
            assert app.lines() == text_of(chart.chart, 50, 12)
