"""The research log on screen: true results in a true log, without an engine's process."""

from __future__ import annotations

import time

from mlxterp_engine.runlog.record import Recording as Said
from mlxterp_tui.panes.runs.tree import listing

import pytest
from runs_on_screen import listed, to_runs


class TestList:
    async def test_an_empty_log_teaches_how_to_fill_it(self, opened):
        async with opened() as screen:
            await screen.press("escape", "4")
            await screen.sees("No runs yet")
            assert ":hypothesis TEXT" in screen.text

    async def test_a_run_of_the_app_is_saved_and_listed(self, opened, log):
        async with opened(log=log) as screen:
            await screen.sees("run 1 saved")
            await to_runs(screen)
            await screen.sees("1 run")
            assert screen.app.main.run_in_front == 1

    async def test_beside_the_list_stands_what_is_known(self, opened, add):
        add(said=Said(hypothesis="it says Paris", tags=("ioi",)))
        async with opened() as screen:
            await to_runs(screen)
            await screen.sees("it says Paris")
            assert "kl_middle   5" in screen.text
            assert "✓ last row = logits" in screen.text

    @pytest.mark.parametrize("size", [(80, 24), (60, 24), (200, 50)])
    async def test_it_fits_any_size(self, opened, add, size):
        add(said=Said(hypothesis="it says Paris"))
        async with opened(size=size) as screen:
            await to_runs(screen)
            await screen.sees("it says Paris")

    async def test_children_stand_under_their_parent_and_fold(self, opened, add):
        parent = add()
        child, other = add(said=Said(parent=parent)), add(1)
        async with opened() as screen:
            await to_runs(screen)
            assert listed(screen) == [other, parent, child]
            await screen.press("j", "j", "f")
            await screen.until(lambda: listed(screen) == [other, parent], "folded")
            assert screen.app.main.run_in_front == parent
            await screen.press("f")
            await screen.until(lambda: child in listed(screen), "unfolded")
            await screen.press("j", "o")
            assert screen.app.main.run_in_front == parent

    async def test_a_run_made_elsewhere_comes_into_the_list_and_the_cursor_stays(
        self, opened, add, monkeypatch
    ):
        monkeypatch.setattr("mlxterp_tui.panes.runs.pane.LOOK", 0.05)
        first = add()
        async with opened() as screen:
            await to_runs(screen)
            later = add(1)
            await screen.until(lambda: listed(screen) == [later, first], "the run made elsewhere")
            assert screen.app.main.run_in_front == first

    async def test_a_reading_that_takes_long_is_not_begun_anew_at_every_look(
        self, opened, add, monkeypatch
    ):
        readings = []

        def slowly(*question):
            readings.append(question)
            time.sleep(0.3)
            return listing(*question)

        monkeypatch.setattr("mlxterp_tui.panes.runs.pane.LOOK", 0.05)
        monkeypatch.setattr("mlxterp_tui.panes.runs.pane.listing", slowly)
        first = add()
        async with opened() as screen:
            await to_runs(screen)
            readings.clear()
            later = add(1)
            await screen.until(lambda: listed(screen) == [later, first], "the run made elsewhere")
            assert len(readings) <= 3  # two writings, and the look that was under way

    async def test_only_a_list_in_front_looks_for_runs_made_elsewhere(
        self, opened, add, monkeypatch
    ):
        monkeypatch.setattr("mlxterp_tui.panes.runs.pane.LOOK", 0.05)
        first = add()
        async with opened() as screen:
            await to_runs(screen)
            pane = screen.app.main.pane
            await screen.press("1")
            later = add(1)
            await screen.pilot.pause(0.3)
            assert [entry.line.id for entry in pane._listing.entries] == [first]
            await screen.press("4")
            await screen.until(lambda: listed(screen) == [later, first], "the run made elsewhere")

    async def test_a_pinned_run_stays_on_top_also_next_time(self, opened, add):
        first, second = add(), add(1)
        async with opened() as screen:
            await to_runs(screen)
            await screen.press("j", "p")
            await screen.until(lambda: listed(screen) == [first, second], "on top")
            await screen.app.remembering.keep()
        async with opened() as screen:
            await screen.press("escape", "4")
            await screen.until(lambda: listed(screen) == [first, second], "still on top")


class TestFilter:
    async def test_it_narrows_while_it_is_typed_and_escape_clears_it(self, opened, add):
        first, second = add(), add(2)
        async with opened() as screen:
            await to_runs(screen)
            await screen.press("slash")
            await screen.type("mary")
            await screen.until(lambda: listed(screen) == [second], "the one")
            await screen.sees("1 of 2 runs")
            await screen.press("escape")
            await screen.until(lambda: listed(screen) == [second, first], "all")
            assert screen.app.main.pane.listed.has_focus

    async def test_figures_and_fields(self, opened, add):
        low, high = add(figures={"kl_middle": 1.0}), add(1, figures={"kl_middle": 9.0})
        async with opened() as screen:
            await to_runs(screen)
            for typed, found in (
                ("kl_middle>5", [high]), ("kl_middle<5", [low]), ("experiment:log", [high, low]),
                ("since:1d", [high, low]), ("until:2000-01-01", []),
            ):  # fmt: skip
                screen.app.main.pane.action_filter(typed)
                await screen.until(lambda found=found: listed(screen) == found, typed)

    async def test_what_is_no_date_is_said_in_the_line_and_the_list_stays(self, opened, add):
        run = add()
        async with opened() as screen:
            await to_runs(screen)
            screen.app.main.pane.action_filter("since:soon")
            await screen.sees("'soon' is no date")
            assert listed(screen) == [run]
            assert not screen.notices

    async def test_nothing_found_says_what_can_be_asked(self, opened, add):
        add()
        async with opened() as screen:
            await to_runs(screen)
            screen.app.main.pane.action_filter("zebra")
            await screen.sees("No run matches")

    async def test_up_and_down_move_the_list_from_the_line(self, opened, add):
        first, _ = add(), add(1)
        async with opened() as screen:
            await to_runs(screen)
            await screen.press("slash", "down")
            assert screen.app.main.run_in_front == first


class TestWriting:
    async def test_tag_note_and_outcome_are_kept(self, opened, add, log):
        run = add(said=Said(hypothesis="Paris"))
        async with opened() as screen:
            await to_runs(screen)
            await screen.press("t")
            await screen.sees("tag")
            await screen.type("ioi new")
            await screen.press("enter")
            await screen.until(lambda: log.record(run).tags == ("ioi", "new"), "tags")
            await screen.command("note look again")
            await screen.until(lambda: log.record(run).note == "look again", "a note")
            await screen.press("O")
            await screen.until(lambda: screen.app.main.query("#command-line"), "the line")
            await screen.until(lambda: screen.app.focused.id == "command-line", "its focus")
            await screen.type("as expected")
            await screen.press("enter")
            await screen.until(lambda: log.record(run).outcome == "as expected", "an outcome")
            await screen.sees("as expected")
            await screen.sees("#ioi #new")

    async def test_n_begins_with_the_note_that_is_there(self, opened, add, log):
        run = add(said=Said(note="first"))
        async with opened() as screen:
            await to_runs(screen)
            await screen.press("n")
            await screen.sees("note first")
            await screen.type(", then")
            await screen.press("enter")
            await screen.until(lambda: log.record(run).note == "first, then")

    async def test_without_a_run_in_front_there_is_nothing_to_write_on(self, opened):
        async with opened() as screen:
            await screen.press("escape")
            await screen.command("note x")
            await screen.until(lambda: any("no recorded run" in n for n in screen.notices))

    async def test_a_hypothesis_is_written_down_before_the_next_run_and_used_once(
        self, opened, log
    ):
        async with opened(log=log) as screen:
            await screen.press("escape")
            await screen.command("hypothesis Paris comes late")
            await screen.sees("next run expects: Paris comes late")
            await screen.press("r")
            await screen.sees("run 2 saved")
            assert log.record(2).hypothesis == "Paris comes late"
            assert "next run expects" not in screen.text
            await screen.press("r")
            await screen.sees("run 3 saved")
            assert log.record(3).hypothesis == ""

    async def test_a_deleted_run_is_gone_until_undo(self, opened, add):
        first, second = add(), add(1)
        async with opened() as screen:
            await to_runs(screen)
            await screen.press("d")
            await screen.until(lambda: listed(screen) == [first], "one left")
            await screen.press("u")
            await screen.until(lambda: listed(screen) == [second, first], "both")
            assert screen.app.main.run_in_front == second
            await screen.press("u")
            await screen.until(lambda: any("nothing was deleted" in n for n in screen.notices))

    async def test_lines_and_the_list_are_copied(self, opened, add, home):
        add()
        copied = home / "state" / "last-copy.txt"
        async with opened() as screen:
            await to_runs(screen)
            await screen.press("y")
            await screen.until(copied.exists, "a copy")
            assert copied.read_text().splitlines()[1].split("\t")[0] == "1"


class TestTroubles:
    async def test_a_log_of_a_newer_version_is_said_once_and_the_app_works(self, opened, log, add):
        add()
        log._connection.execute("PRAGMA user_version = 99")
        async with opened() as screen:
            await screen.press("escape", "4")
            await screen.until(lambda: any("newer mlxterp-tui" in n for n in screen.notices))
            await screen.press("1", "4", "1", "E")
            await screen.sees("newer mlxterp-tui")
            assert sum("newer" in trouble.sentence for trouble in screen.app.troubles) == 1
            await screen.press("escape")
            assert screen.app.main.pane.contracts
