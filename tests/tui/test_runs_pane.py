"""The research log on screen: true results in a true log, without an engine's process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from mlxterp_engine.experiments import LogitLens, Result, Trace
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.record import Recording as Said
from mlxterp_tui.panes.lens.view import Cell
from mlxterp_tui.panes.runs.tree import listing
from mlxterp_tui.screens.comparison import LensComparison
from mlxterp_tui.screens.reader import Reader

import msgspec
import pytest
from recorded_engine import Recording

CAPITAL = "The capital of France is"
NOTHING = Said()
STORE = "When Mary and John went to the store, John gave a drink to"


@pytest.fixture
def log(home: Path) -> Iterator[RunLog]:
    with RunLog.open() as opened:
        yield opened


@pytest.fixture
def add(log: RunLog, recording: Recording):
    """Logs one of the recorded lenses; its number. changes: of the result's meta."""

    def added(number: int = 0, said: Said = NOTHING, **changes: object) -> int:
        run = recording.runs[number]
        outcome = run.events[-1].outcome  # type: ignore[union-attr]
        assert isinstance(outcome, Result)
        meta = msgspec.structs.replace(
            outcome.meta, **{"headline": f"lens {number}", "figures": {"kl_middle": 5.0}, **changes}
        )
        id = log.begin(run.task, said, run.price)  # type: ignore[arg-type]
        log.finish(id, msgspec.structs.replace(outcome, meta=meta))
        return id

    return added


@pytest.fixture
def cancelled(log: RunLog, recording: Recording) -> int:
    """A lens that was stopped after its first rows."""
    run = recording.runs[0]
    id = log.begin(run.task, Said(), run.price, model=recording.card)  # type: ignore[arg-type]
    log.cancelled(id, run.events[:8])  # type: ignore[arg-type]
    return id


async def to_runs(screen) -> None:
    await screen.press("escape", "4")
    await screen.until(lambda: screen.app.main.pane_name == "runs")
    await screen.until(lambda: screen.app.main.run_in_front is not None, "a list")


def listed(screen) -> list[int]:
    return [entry.line.id for entry in screen.app.main.pane._listing.entries]


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


class TestOpening:
    async def test_enter_shows_the_lens_as_it_was_without_asking(self, opened, add):
        run = add(2)
        async with opened() as screen:
            await to_runs(screen)
            asked = len(screen.engine.asked)
            await screen.press("enter")
            await screen.sees(f"run {run} of the log")
            pane = screen.app.main.pane
            assert screen.app.main.pane_name == "lens"
            assert len(pane.run.rows) == 31
            assert pane.contracts
            assert screen.app.main.prompt.text == STORE
            assert len(screen.engine.asked) == asked

    async def test_its_numbers_are_those_of_the_run_that_streamed(self, opened, add, recording):
        add(1)
        async with opened() as screen:
            await to_runs(screen)
            await screen.press("enter")
            await screen.sees("of the log")
            rows = screen.app.main.pane.run.rows
            streamed = {e.layer: e for e in recording.runs[1].events if hasattr(e, "layer")}
            assert len(streamed) == 31
            for layer, part in streamed.items():
                assert rows[layer].top_tokens == part.top_tokens
                for name in ("top_ids", "top_probs", "entropy", "kl", "final_rank", "target_rank"):
                    assert getattr(rows[layer], name) == getattr(part, name), (layer, name)

    async def test_a_cancelled_run_shows_the_rows_that_it_came_to(self, opened, cancelled):
        async with opened() as screen:
            await to_runs(screen)
            await screen.press("enter")
            await screen.sees("of the log")
            rows = screen.app.main.pane.run.rows
            assert 0 < len(rows) < 31
            assert screen.app.main.pane.run.state == "cancelled"

    async def test_a_failed_run_is_read_out(self, opened, log, recording):
        run = log.begin(recording.runs[0].task)
        log.failed(run, "out of memory")
        async with opened() as screen:
            await to_runs(screen)
            await screen.press("enter")
            await screen.until(lambda: isinstance(screen.app.screen, Reader))
            assert "out of memory" in screen.text

    async def test_an_experiment_without_a_pane_is_read_out(self, opened, log):
        run = log.begin(Trace(prompt=CAPITAL, sites=["embed"]))
        log.failed(run, "why")
        async with opened() as screen:
            await to_runs(screen)
            await screen.press("v")
            await screen.until(lambda: isinstance(screen.app.screen, Reader))
            assert "blocks" not in screen.text
            assert "trace" in screen.text

    async def test_another_model_is_named_and_not_asked_about_this_run(
        self, opened, add, recording
    ):
        card = msgspec.structs.replace(recording.card, reference="glass-tiny", sha256="0" * 64)
        add(model=card)
        async with opened() as screen:
            await to_runs(screen)
            await screen.press("enter")
            await screen.sees("glass-tiny, while smollm2-135m is open")
            asked = len(screen.engine.asked)
            await screen.press("t")
            await screen.until(lambda: any("is of glass-tiny" in n for n in screen.notices))
            assert len(screen.engine.asked) == asked
            assert screen.app.main.pane.request(CAPITAL, screen.app.setting).target is None

    async def test_a_missing_result_is_said_and_the_app_goes_on(self, opened, add, log):
        run = add()
        for file in log.folder.rglob("*.safetensors"):
            file.unlink()
        async with opened() as screen:
            await to_runs(screen)
            await screen.press("enter")
            await screen.until(lambda: any(f"run {run} is missing" in n for n in screen.notices))
            assert screen.app.main.pane_name == "runs"

    async def test_show_takes_a_number(self, opened, add):
        run = add(1)
        async with opened() as screen:
            await screen.press("escape")
            await screen.command(f"show {run}")
            await screen.sees(f"run {run} of the log")
            await screen.press("escape")
            await screen.command("show 99")
            await screen.until(lambda: any("no run 99" in n for n in screen.notices))

    async def test_enter_in_the_prompt_leaves_the_log_for_the_engine(self, opened, add):
        add()
        async with opened() as screen:
            await to_runs(screen)
            await screen.press("enter")
            await screen.sees("of the log")
            await screen.press("i", "enter")
            await screen.until(lambda: screen.app.main.pane.stored is None, "a new run")
            assert "of the log" not in screen.text


class TestReplay:
    async def test_it_asks_the_same_names_its_parent_and_shows_the_drift(self, opened, log, add):
        run = add(1)
        async with opened(log=log) as screen:
            await to_runs(screen)
            screen.app.main.pane._go_to(run)
            await screen.press("r")
            await screen.until(lambda: isinstance(screen.app.screen, LensComparison), "the drift")
            assert "drift 0 in all" in screen.text
            asked = screen.engine.asked[-1]
            assert asked == LogitLens(prompt=CAPITAL, top_k=10, target=" Paris")
            assert screen.engine.said[-1].parent == run
            assert log.lines()[0].parent == run

    async def test_other_weights_are_named_and_not_run(self, opened, add, recording):
        add(model=msgspec.structs.replace(recording.card, sha256="f" * 64))
        async with opened() as screen:
            await to_runs(screen)
            asked = len(screen.engine.asked)
            await screen.press("r")
            await screen.until(lambda: any("ffffffffffff… and are" in n for n in screen.notices))
            assert len(screen.engine.asked) == asked

    async def test_a_model_made_in_python_can_not_be_run_again_from_here(
        self, opened, add, recording
    ):
        add(model=msgspec.structs.replace(recording.card, provenance="given as a module"))
        async with opened() as screen:
            await to_runs(screen)
            asked = len(screen.engine.asked)
            await screen.press("r")
            await screen.until(lambda: any("made in Python" in n for n in screen.notices))
            assert len(screen.engine.asked) == asked

    async def test_r_on_a_stored_lens_replays_it(self, opened, add, log):
        run = add()
        async with opened(log=log) as screen:
            await screen.press("escape")
            await screen.command(f"show {run}")
            await screen.sees("of the log")
            await screen.press("r")
            await screen.until(lambda: isinstance(screen.app.screen, LensComparison), "the drift")
            assert screen.engine.said[-1].parent == run


class TestComparing:
    async def test_lenses_of_one_shape_are_a_grid_of_differences(self, opened, add, log):
        first, second = add(0), add(1)
        async with opened(log=log) as screen:
            await to_runs(screen)
            screen.app.main.pane._go_to(first)
            await screen.press("space")
            await screen.sees(f"run {first} is marked")
            screen.app.main.pane._go_to(second)
            await screen.press("c")
            await screen.until(lambda: isinstance(screen.app.screen, LensComparison))
            await screen.sees("run 2 − run 1 · KL(final ‖ row)")
            await screen.press("m")
            await screen.sees("rank of the final token")
            await screen.press("v")
            await screen.sees("what else differs")

    async def test_other_shapes_are_compared_field_by_field(self, opened, add, log):
        first, second = add(0), add(2)
        async with opened(log=log) as screen:
            await to_runs(screen)
            screen.app.recorded.compare(first, second)
            await screen.until(lambda: isinstance(screen.app.screen, Reader))
            await screen.sees("the shapes differ")

    async def test_without_a_mark_it_is_said_how(self, opened, add):
        add()
        async with opened() as screen:
            await to_runs(screen)
            await screen.press("c")
            await screen.until(lambda: any("mark another run" in n for n in screen.notices))

    async def test_only_whole_results_are_compared(self, opened, add, cancelled):
        done = add()
        async with opened() as screen:
            await to_runs(screen)
            screen.app.recorded.compare(cancelled, done)
            await screen.until(lambda: any("no whole result" in n for n in screen.notices))


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


class TestSessions:
    async def test_prompt_place_and_metric_come_back(self, opened, log):
        async with opened(log=log) as screen:
            await screen.press("escape", "m", "j", "j", "h")
            place = Cell(27, 3)
            await screen.until(lambda: screen.app.main.pane.view.cursor == place)
            metric = screen.app.main.pane.view.metric
            await screen.press("q")
            await screen.until(lambda: screen.engine.closed)
        async with opened(log=log) as screen:
            view = screen.app.main.pane.view
            assert (view.cursor, view.metric) == (place, metric)

    async def test_the_last_run_is_shown_out_of_the_log_and_not_computed_again(self, opened, log):
        async with opened(log=log) as screen:
            await screen.sees("run 1 saved")
            await screen.app.remembering.keep()
        async with opened(log=log) as screen:
            await screen.sees("run 1 of the log")
            await screen.until(lambda: screen.app.session.card is not None, "an open model")
            await screen.press("escape", "3")
            await screen.sees("1 jobs")  # opening the model, and nothing else
            assert len(log.lines()) == 1

    async def test_an_argument_wins_over_what_was_left(self, opened, log):
        async with opened(log=log) as screen:
            await screen.press("escape")
            await screen.command("bos on")
            await screen.sees("BOS on")
            await screen.app.remembering.keep()
        async with opened(log=log, bos="off", free=0) as screen:
            assert screen.app.setting.bos == "off"
        async with opened(log=log, free=0) as screen:
            assert screen.app.setting.bos == "on"

    async def test_a_damaged_session_is_said_and_the_app_opens(self, opened, home):
        (home / "state" / "session").mkdir(parents=True)
        (home / "state" / "session" / "session.json").write_text("{")
        async with opened() as screen:
            assert any("could not be read" in n for n in screen.notices)

    async def test_half_a_character_in_the_prompt_is_no_trouble(self, opened):
        async with opened() as screen:
            screen.app.main.prompt.text = "a\ud83d"
            await screen.app.remembering.keep()
            assert screen.app.remembering.workspaces.load("")[0].prompt == "a?"


class TestWorkspaces:
    async def test_another_one_has_its_own_prompt_and_pins(self, opened, add, home):
        add()
        async with opened() as screen:
            await to_runs(screen)
            await screen.press("p")
            await screen.command("workspace ioi")
            await screen.sees("mlxterp ioi")
            assert screen.app.pinned_runs == set()
            screen.app.main.prompt.text = STORE
            await screen.command("workspace default")
            await screen.until(lambda: screen.app.main.prompt.text == CAPITAL, "the first prompt")
            assert screen.app.pinned_runs == {1}
            await screen.command("workspace ioi")
            await screen.until(lambda: screen.app.main.prompt.text == STORE, "the other prompt")

    async def test_the_command_line_names_one(self, opened):
        async with opened(workspace="ioi") as screen:
            await screen.sees("mlxterp ioi")

    async def test_delete_and_restore(self, opened):
        async with opened(workspace="ioi") as screen:
            await screen.app.remembering.keep()
            await screen.press("escape")
            await screen.command("workspace-delete ioi")
            await screen.until(lambda: any("is open" in n for n in screen.notices))
            await screen.command("workspace default")
            await screen.until(lambda: screen.app.remembering.name == "", "the first one")
            await screen.command("workspace-delete ioi")
            await screen.until(lambda: any("ioi is deleted" in n for n in screen.notices))
            await screen.command("workspace-restore ioi")
            await screen.until(lambda: any("ioi is back" in n for n in screen.notices))

    async def test_a_bad_name_is_refused(self, opened):
        async with opened() as screen:
            await screen.press("escape")
            await screen.command("workspace a/b")
            await screen.until(lambda: any("a name has up to 40" in n for n in screen.notices))
