"""The list of runs without a screen: its order, its lines, what is said of one run."""

from __future__ import annotations

from datetime import datetime

from mlxterp_engine.experiments import BadInput, Contract, Price
from mlxterp_engine.runlog.record import RunLine, RunRecord
from mlxterp_tui.panes.runs import text as runs_text
from mlxterp_tui.panes.runs.tree import UNFOLDED_AT_MOST, Entry, arranged
from mlxterp_tui.recorded import run_number, with_tags

import msgspec
import pytest
from rich.cells import cell_len

NOW = datetime(2026, 11, 21, 15, 0)


def line(id: int, parent: int | None = None, **fields) -> RunLine:
    defaults = {
        "experiment": "logit-lens", "model": "smollm2-135m", "state": "done", "headline": "",
        "created": NOW.timestamp(),
    }  # fmt: skip
    return RunLine(id=id, parent=parent, **{**defaults, **fields})


def shape(entries: list[Entry]) -> list[tuple[int, int]]:
    """(run, depth) from the top."""
    return [(entry.line.id, entry.depth) for entry in entries]


class TestOrder:
    def test_the_newest_stands_on_top(self):
        assert shape(arranged([line(1), line(3), line(2)])) == [(3, 0), (2, 0), (1, 0)]

    def test_a_family_is_as_new_as_its_newest_run_and_stands_under_its_parent(self):
        lines = [line(1), line(2), line(3, parent=1), line(4, parent=3)]
        assert shape(arranged(lines)) == [(1, 0), (3, 1), (4, 2), (2, 0)]

    def test_among_siblings_too_the_newest_comes_first(self):
        lines = [line(1), line(2, parent=1), line(3, parent=1)]
        assert shape(arranged(lines)) == [(1, 0), (3, 1), (2, 1)]

    def test_a_child_whose_parent_is_filtered_away_stands_alone(self):
        assert shape(arranged([line(3, parent=1)])) == [(3, 0)]

    def test_pinned_runs_come_first_even_out_of_their_family(self):
        lines = [line(1), line(2, parent=1), line(3)]
        entries = arranged(lines, pinned={2})
        assert shape(entries) == [(2, 0), (3, 0), (1, 0)]
        assert [entry.pinned for entry in entries] == [True, False, False]

    def test_a_chain_as_long_as_the_log_is_no_recursion(self):
        lines = [line(1), *(line(run, parent=run - 1) for run in range(2, 3000))]
        assert arranged(lines)[-1].depth == 2998

    def test_a_run_that_names_itself_its_parent_is_listed(self):
        assert shape(arranged([line(1, parent=1)])) == [(1, 0)]


class TestFolding:
    few = (line(1), *(line(run, parent=1) for run in range(2, 2 + UNFOLDED_AT_MOST)))
    many = (*few, line(99, parent=1))

    def test_a_large_family_begins_folded_and_a_small_one_does_not(self):
        assert len(arranged(self.few)) == len(self.few)
        (only,) = arranged(self.many)
        assert only.folded
        assert only.children == UNFOLDED_AT_MOST + 1

    def test_turning_it_once_is_the_other_way(self):
        assert len(arranged(self.few, turned={1})) == 1
        assert len(arranged(self.many, turned={1})) == len(self.many)

    def test_what_a_filter_found_is_never_folded_away(self):
        assert len(arranged(self.many, all_unfolded=True)) == len(self.many)


class TestLine:
    def text(self, width: int = 78, entry: Entry | None = None, **fields) -> str:
        shown = entry or Entry(line(42, **{"headline": "' Paris' p 0.77", **fields}))
        return "".join(text for text, _ in runs_text.run_line(shown, width, NOW))

    def test_it_says_number_time_experiment_and_what_came_out(self):
        assert self.text().split() == [
            "✓", "42", "15:00", "logit-lens", "'", "Paris'", "p", "0.77",
        ]  # fmt: skip

    def test_tags_stand_at_the_right_end(self):
        assert self.text(tags=("ioi", "old")).endswith(" #ioi #old")

    @pytest.mark.parametrize("width", [60, 78, 100, 160, 200])
    @pytest.mark.parametrize("headline", ["", "short", "x" * 300, "한국어 토큰 " * 40])
    def test_it_fills_the_line_exactly_whatever_it_says(self, width, headline):
        shown = self.text(width, headline=headline, prompt="The capital", tags=("a" * 40, "b"))
        assert cell_len(shown) == width

    def test_without_a_headline_the_prompt_is_said(self):
        assert "'The capital'" in self.text(headline="", prompt="The capital")

    def test_a_line_break_in_a_headline_stays_in_the_line(self):
        assert "\n" not in self.text(headline="'\n' p 0.15")

    def test_what_failed_its_checks_stands_in_red(self):
        found = runs_text.run_line(Entry(line(1, headline="bad", broken=True)), 78, NOW)
        assert ("bad", "$text-error bold") in [(text.strip(), style) for text, style in found]

    def test_a_folded_family_says_how_many_it_holds(self):
        entry = Entry(line(1, headline="x"), children=12, folded=True)
        assert "▸12 logit-lens" in self.text(entry=entry)

    @pytest.mark.parametrize(
        ("at", "said"),
        [
            (datetime(2026, 11, 21, 9, 5), "09:05"),
            (datetime(2026, 3, 2), "Mar 02"),
            (datetime(2024, 3, 2), "2024"),
        ],
    )
    def test_the_older_the_coarser_the_time(self, at, said):
        assert runs_text.when(at.timestamp(), NOW) == said


def record(**fields) -> RunRecord:
    request = {
        "name": "logit-lens",
        "model": "smollm2-135m",
        "prompt": "a b",
        "top_k": 7,
        "seed": 0,
    }
    return RunRecord(id=42, request=request, created=0.0, **{"state": "done", **fields})


class TestDetail:
    def test_what_was_expected_stands_before_what_came_out(self):
        shown = runs_text.detail(record(hypothesis="Mary", outcome="John")).plain
        assert shown.index("Mary") < shown.index("John")

    def test_an_expectation_without_an_outcome_asks_for_it(self):
        assert ":outcome" in runs_text.detail(record(hypothesis="Mary")).plain
        assert ":outcome" not in runs_text.detail(record(hypothesis="M", state="running")).plain

    def test_a_failed_check_says_by_how_much_and_comes_first(self):
        contracts = {"good": Contract(0.0, 1.0, True), "bad": Contract(2.0, 1.0, False)}
        shown = runs_text.detail(record(contracts=contracts)).plain
        assert shown.index("✗ bad: off by 2, allowed 1") < shown.index("✓ good")

    def test_parameters_other_than_by_default_are_named(self):
        shown = runs_text.detail(record()).plain
        assert "top_k       7" in shown
        assert "seed" not in shown

    def test_a_line_break_in_a_parameter_stays_in_its_line(self):
        request = {"name": "logit-lens", "model": "m", "prompt": "a", "target": "\n"}
        told = msgspec.structs.replace(record(), request=request)
        assert "target ⏎" in runs_text.summary(told).plain.replace("'", "")

    def test_why_it_failed_is_said(self):
        shown = runs_text.detail(record(state="failed", reason="out of memory")).plain
        assert "✗ run 42 out of memory" in shown

    def test_children_and_parent_are_named(self):
        shown = runs_text.detail(record(parent=7), [line(50), line(51)]).plain
        assert "run 7" in shown
        assert "50, 51" in shown

    def test_the_price_and_the_time_are_both_there(self):
        shown = runs_text.detail(record(price=Price(1, 0.5, 1000), seconds=0.25)).plain
        assert "about 0.50 s" in shown
        assert "0.25 s" in shown

    def test_the_short_form_has_at_most_five_lines(self):
        shown = runs_text.summary(record(hypothesis="x", figures={"a": 1.0}, note="n"))
        assert shown.plain.count("\n") < 5


class TestTables:
    def test_a_tab_or_a_line_break_ends_no_field(self):
        table = runs_text.runs_tsv([line(1, headline="a\tb\nc"), line(2)])
        assert [len(row.split("\t")) for row in table.splitlines()] == [10, 10, 10]
        assert "a\\tb\\nc" in table


class TestWords:
    def test_tags_are_added_and_taken_away(self):
        assert with_tags(("old", "ioi"), "new -old #ioi") == ("ioi", "new")

    def test_a_tag_that_is_not_there_cannot_be_taken_away(self):
        with pytest.raises(BadInput, match="tag 'old' is not on this run; on it: ioi"):
            with_tags(("ioi",), "-old")

    @pytest.mark.parametrize("words", ["x", "-1", "1.5", ""])
    def test_a_run_has_a_number(self, words):
        with pytest.raises(BadInput, match="is no number of a run"):
            run_number(words)


def test_a_hypothesis_of_several_lines_stands_under_its_first():
    shown = runs_text.detail(record(hypothesis="one\ntwo")).plain
    assert "expected    one\n            two" in shown


def test_a_name_as_long_as_its_column_keeps_its_distance_and_lists_read_as_words():
    request = {"name": "trace", "sites": ["embed", "a b"], "intervention": ["embed:zero"]}
    shown = runs_text.detail(msgspec.structs.replace(record(), request=request)).plain
    assert "sites       embed, 'a b'" in shown
    assert "intervention embed:zero" in shown
