"""The app comes back as it was left, in each workspace for itself."""

from __future__ import annotations

from mlxterp_tui.panes.lens.view import Cell

from runs_on_screen import to_runs

CAPITAL = "The capital of France is"
STORE = "When Mary and John went to the store, John gave a drink to"


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
