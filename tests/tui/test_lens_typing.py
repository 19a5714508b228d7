"""The lens follows the prompt while it is typed, and the log knows nothing of it."""

from __future__ import annotations

from mlxterp_engine.experiments import LogitLens
from mlxterp_engine.runlog.log import RunLog
from mlxterp_tui.panes.lens.cells import all_cells
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.panes.lens.view import Cell, LensView
from mlxterp_tui.widgets.cell_painter import UNKNOWN

import pytest


@pytest.fixture
def log(tmp_path) -> RunLog:
    return RunLog.open(tmp_path / "log")


def lenses(screen) -> list[LogitLens]:
    return [task for task in screen.engine.asked if isinstance(task, LogitLens)]


def shown(screen) -> LensRun:
    return screen.app.main.pane.run


async def typed(screen, text: str) -> None:
    """At the end of the prompt; then the grid shows it."""
    prompt = screen.app.main.prompt.text + text
    await screen.press("end")
    await screen.type(text)
    await screen.until(lambda: shown(screen).request.prompt == prompt, f"the lens of {prompt!r}")


class TestFollowing:
    async def test_the_grid_shows_what_is_typed_without_enter(self, on_tiny):
        async with on_tiny() as screen:
            before = shown(screen).positions
            await typed(screen, " the")
            assert shown(screen).positions > before
            await screen.sees("not kept: Enter keeps it")

    async def test_fast_typing_asks_once(self, on_tiny):
        async with on_tiny() as screen:
            asked = len(lenses(screen))
            await typed(screen, " a b c")
            assert len(lenses(screen)) == asked + 1

    async def test_nothing_of_it_is_in_the_log_until_enter(self, on_tiny, log):
        async with on_tiny(log=log) as screen:
            await typed(screen, " the")
            assert screen.engine.said[-1] is None
            assert len(screen.app.session.jobs) == 2  # the opening and the first lens
            await screen.press("enter")
            await screen.until(lambda: screen.engine.said[-1] is not None, "a recorded run")
            assert [line.prompt for line in log.lines()] == [
                "The capital of France is the",
                "The capital of France is",
            ]

    async def test_the_columns_before_an_edit_keep_their_cells(self, on_tiny):
        async with on_tiny() as screen:
            grid = screen.app.main.pane.grid
            before = [[grid.cell_at(row, column) for column in range(4)] for row in range(5)]
            await typed(screen, "s")
            after = [[grid.cell_at(row, column) for column in range(4)] for row in range(5)]
            assert [[cell.text for cell in row] for row in after] == [
                [cell.text for cell in row] for row in before
            ]
            # The same numbers, but for the order in which a longer product is summed.
            for row, others in zip(after, before, strict=True):
                assert [c.level for c in row] == pytest.approx([c.level for c in others], abs=1e-4)

    async def test_the_metric_stays_and_the_cursor_stays_on_the_last_token(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape", "m", "j", "i")
            metric, layer = screen.app.main.pane.view.metric, screen.app.main.pane.view.cursor.layer
            await typed(screen, " the")
            view = screen.app.main.pane.view
            assert (view.metric, view.cursor) == (metric, Cell(layer, shown(screen).positions - 1))

    async def test_a_cursor_on_an_earlier_token_stays_there(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape", "h", "h", "i")
            cursor = screen.app.main.pane.view.cursor
            await typed(screen, " the")
            assert screen.app.main.pane.view.cursor == cursor

    async def test_a_prompt_put_there_by_the_app_is_not_run_in_passing(self, on_tiny):
        async with on_tiny() as screen:
            asked = len(lenses(screen))
            screen.app.main.prompt.text = "another prompt"
            await screen.pilot.pause(0.5)
            assert len(lenses(screen)) == asked

    async def test_what_can_not_be_run_is_said_in_the_line_below_and_the_grid_stays(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape")
            await screen.command("edit blocks.1.mlp_out=zero@4")
            await screen.until(lambda: screen.app.main.pane.alert == "1 edit on")
            await screen.press("i", "home", "ctrl+k")
            await screen.type("The")
            await screen.sees("not run: the edit at blocks.1.mlp_out: position 4 is outside")
            assert shown(screen).request.prompt == "The capital of France is"
            assert not screen.app.troubles


class TestSwitch:
    async def test_off_runs_nothing_until_enter(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape")
            await screen.command("live off")
            asked = len(lenses(screen))
            await screen.press("i", "end")
            await screen.type(" the")
            await screen.pilot.pause(0.5)
            assert len(lenses(screen)) == asked

    async def test_a_slow_model_is_not_run_in_passing_and_that_is_said_once(self, on_tiny):
        async with on_tiny() as screen:
            screen.engine.seconds = 4.0
            asked = len(lenses(screen))
            await screen.press("end")
            for letter in "ab":
                await screen.type(letter)
                await screen.pilot.pause(0.4)
            assert len(lenses(screen)) == asked
            assert [n for n in screen.notices if ":live on" in n] == [
                "a run of glass-tiny takes about 4.0 s, so typing does not run it; "
                ":live on does, Enter runs it as ever"
            ]

    async def test_it_is_kept_for_the_next_session(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape")
            await screen.command("live off")
            await screen.press("q")
        async with on_tiny() as screen:
            assert screen.app.live.switch == "off"


class TestHalfway:
    """A slow run that has not come to its end, after one of a prompt that begins the same."""

    def test_known_columns_stand_until_the_rows_come(self, tiny):
        before, after = run_of(tiny, "The capital of France"), run_of(tiny, "The capital of Rome")
        half = LensRun(after.request, layers=4).read(list(after.tokens), list(after.token_ids))
        half = half.with_rows([after.rows[3]])
        shared = half.goes_on_from(before)
        assert 0 < shared < half.positions
        cells = all_cells(half, LensView(), before)
        assert cells[0][:shared] == all_cells(before, LensView())[0][:shared]
        assert set(cells[0][shared:]) == {UNKNOWN}
        assert cells[4] == all_cells(after, LensView())[4]

    def test_an_edited_run_takes_nothing_over(self, tiny):
        before = run_of(tiny, "The capital of France")
        edited = LensRun(LogitLens(prompt="The capital", intervention=["embed=zero"]), layers=4)
        assert edited.goes_on_from(before) == 0


def run_of(model, prompt: str, **asked) -> LensRun:
    """What the pane has once the model has answered."""
    from mlxterp_engine.experiments import Started
    from mlxterp_engine.techniques.execute import execute

    request = LogitLens(prompt=prompt, model="glass-tiny", **asked)
    parts = list(execute(model, request))
    assert isinstance(parts[0], Started)
    return LensRun(request=request).with_parts(parts, model.card)
