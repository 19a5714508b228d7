"""The small widgets of one row or a few: lists, lines, strips."""

from __future__ import annotations

import math

from mlxterp_tui.widgets.bar_list import BarList, BarRow
from mlxterp_tui.widgets.contract_strip import ContractStrip, short
from mlxterp_tui.widgets.legend import Legend
from mlxterp_tui.widgets.mini_line import MiniLine, peaks
from mlxterp_tui.widgets.progress_line import ProgressLine, duration

import pytest

TOP = [
    BarRow(" Paris", 1.0, ".412", highlighted=True),
    BarRow(" the", 0.25, ".104"),
    BarRow("\n", 0.0, ".020"),
]


class TestBarList:
    async def test_rank_token_number_and_bar_stand_in_columns(self, alone):
        app = alone(BarList(ascii_bars=False), lambda bars: bars.set_rows(TOP))
        async with app.run_test(size=(30, 5)):
            assert app.lines()[:3] == [
                "▸ 1 '·Paris' .412 ████████████",
                "  2 '·the'   .104 ███",
                "  3 '⏎'      .020",
            ]

    async def test_a_narrow_list_gives_up_bar_and_text_before_the_number(self, alone):
        rows = [BarRow(" internationally", 1.0, ".4", False)]
        app = alone(BarList(ascii_bars=False), lambda bars: bars.set_rows(rows))
        async with app.run_test(size=(18, 3)):
            assert app.lines()[0] == "  1 '·inter… .4 ██"

    async def test_words_are_not_quoted_when_they_are_no_tokens(self, alone):
        app = alone(BarList(quoted=False), lambda bars: bars.set_rows([BarRow("a b", 0, "1")]))
        async with app.run_test(size=(30, 3)):
            assert app.lines()[0] == "  1 a b 1"

    async def test_an_empty_list_says_what_it_will_show(self, alone):
        app = alone(BarList(empty="press enter on a cell"))
        async with app.run_test(size=(30, 3)):
            assert app.lines()[0] == "press enter on a cell"


class TestMiniLine:
    async def test_each_value_is_a_block_and_a_gap_stays_a_gap(self, alone):
        def fill(line: MiniLine) -> None:
            line.set_values([0, None, 0.5, math.nan, 1], current=4, note="rank 0")

        app = alone(MiniLine(label="rank", ascii_bars=False), fill)
        async with app.run_test(size=(30, 2)):
            assert app.lines()[0] == "rank ▁ ▅×█  rank 0"

    @pytest.mark.parametrize(
        ("room", "drawn"),
        [
            (4, [(0.1, 0, 1), (0.9, 1, 2), (None, 2, 3), (0.2, 3, 4)]),
            (2, [(0.9, 0, 2), (0.2, 2, 4)]),
            (1, [(0.9, 0, 4)]),
        ],
    )
    def test_too_many_values_share_a_column_and_the_highest_shows(self, room, drawn):
        assert peaks([0.1, 0.9, None, 0.2], room) == drawn

    def test_a_failed_value_is_not_hidden_by_a_high_one(self):
        ((level, _, _),) = peaks([1.0, math.nan], 1)
        assert math.isnan(level)


class TestLegend:
    async def test_both_ends_of_the_scale_are_in_words(self, alone):
        def fill(legend: Legend) -> None:
            legend.set_scale("KL(final ‖ row), nats", "0", "100", log=True)

        app = alone(Legend(ascii_bars=False), fill)
        async with app.run_test(size=(46, 2)):
            assert app.lines()[0] == "KL(final ‖ row), nats · log  0 ▁▁▂▃▄▅▅▆▇██ 100"

    async def test_without_a_scale_it_is_empty(self, alone):
        app = alone(Legend())
        async with app.run_test(size=(46, 2)):
            assert app.lines()[0] == ""


class TestContractStrip:
    async def test_what_holds_is_named_with_its_measured_error(self, alone):
        checks = [("last row = logits", 3e-5, 5e-4, True), ("trace identity", 0.0, 0.0, True)]
        app = alone(ContractStrip(), lambda strip: strip.set_checks(checks, "31 × 5"))
        async with app.run_test(size=(60, 2)):
            line = app.lines()[0]
        assert line.startswith("✓ last row = logits 3e-5  ✓ trace identity 0")
        assert line.endswith(" 31 × 5")
        assert len(line) == 60

    async def test_what_fails_comes_first_with_a_sentence(self, alone):
        checks = [("trace identity", 0.0, 0.0, True), ("last row = logits", 0.12, 5e-4, False)]
        app = alone(ContractStrip(), lambda strip: strip.set_checks(checks))
        async with app.run_test(size=(110, 2)):
            assert app.lines()[0] == (
                "✗ last row = logits: off by 0.12, allowed 5e-4; do not trust this result"
                "  ✓ trace identity 0"
            )
            assert [check.name for check in app.widget.failed] == ["last row = logits"]

    @pytest.mark.parametrize(
        ("number", "text"),
        [(0, "0"), (3.4e-5, "3e-5"), (5e-4, "5e-4"), (0.123, "0.12"), (12.0, "12")],
    )
    def test_errors_have_the_digits_that_are_meant(self, number, text):
        assert short(number) == text


class TestProgressLine:
    @pytest.mark.parametrize(
        ("state", "done", "says"),
        [
            ("running", 0.62, " 62%"),
            ("running", None, "…"),
            ("queued", None, "waiting"),
            ("done", None, "✓ done"),
            ("failed", 0.5, "✗ failed"),
            ("cancelled", 0.5, "stopped"),
        ],
    )
    async def test_the_state_is_in_words(self, alone, state, done, says):
        app = alone(ProgressLine(), lambda line: line.set_job("logit-lens", state, done=done))
        async with app.run_test(size=(80, 2)):
            line = app.lines()[0]
        assert line.startswith("logit-lens ")
        assert line.endswith(says)

    async def test_price_and_time_left_follow(self, alone):
        def fill(line: ProgressLine) -> None:
            line.set_job("trace", done=0.5, price="2 passes · 40 MB", seconds_left=3.2)

        app = alone(ProgressLine(ascii_bars=True), fill)
        async with app.run_test(size=(80, 2)):
            assert app.lines()[0] == "trace ########          50%  2 passes · 40 MB · 3 s left"

    async def test_cleared_it_is_empty(self, alone):
        line = ProgressLine()
        app = alone(line, lambda line: line.set_job("trace", done=0.5))
        async with app.run_test(size=(80, 2)) as pilot:
            line.clear()
            await pilot.pause()
            assert app.lines()[0] == ""

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (None, ""),
            (0.2, "1 s left"),
            (59, "59 s left"),
            (150, "2 min left"),
            (5400, "1.5 h left"),
        ],
    )
    def test_time_left_has_one_unit(self, seconds, text):
        assert duration(seconds) == text
