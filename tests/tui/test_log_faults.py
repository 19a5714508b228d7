"""The screen where the log's files, or the words in it, are not as they should be."""

from __future__ import annotations

import shutil
from pathlib import Path

from mlxterp_engine import folders
from mlxterp_engine.experiments import BadInput, LogitLens
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.record import Recording as Said
from mlxterp_engine.worker.protocol import LogTrouble
from mlxterp_tui.__main__ import main
from mlxterp_tui.logbook import Logbook

import pytest
from recorded_engine import Recording

STEERING = "a \x1b[31mred\x1b[0m \x9b5C and \u202eturned"


@pytest.fixture
def log_folder(home: Path) -> Path:
    return folders.data_folder() / "runs"


def failed(log: RunLog, note: str = "", hypothesis: str = "") -> int:
    run = log.begin(LogitLens(prompt="x"), Said(note=note, hypothesis=hypothesis))
    log.failed(run, "it was to fail")
    return run


async def to_runs(screen) -> None:
    await screen.press("escape", "4")
    await screen.until(lambda: screen.app.main.pane_name == "runs")


class TestFilesTakenAway:
    async def test_what_comes_after_the_log_was_deleted_is_listed(self, opened, log_folder):
        with RunLog.open() as first:
            failed(first, note="of the old log")
        async with opened() as screen:
            await to_runs(screen)
            await screen.sees("of the old log")
            shutil.rmtree(log_folder)
            with RunLog.open() as second:
                failed(second, note="of the new log")
            screen.app.main.pane.refill()
            await screen.sees("of the new log")

    async def test_a_note_is_not_written_into_a_deleted_log(self, log_folder):
        logbook = Logbook()
        with RunLog.open() as first:
            run = failed(first)
        assert (await logbook.known(run)).record.note == ""
        shutil.rmtree(log_folder)
        with pytest.raises(BadInput, match=f"there is no run {run}"):
            await logbook.annotate(run, note="lost for good")
        logbook.close()

    async def test_a_database_put_aside_is_told(self, opened, log_folder):
        log_folder.mkdir(parents=True)
        (log_folder / "runs.db").write_bytes(b"no database" * 999)
        async with opened() as screen:
            await to_runs(screen)
            await screen.until(lambda: any("put aside" in n for n in screen.notices))


async def test_the_logs_trouble_is_told_as_it_was_said(opened):
    """It may be that the log was mended: then runs are recorded."""
    async with opened() as screen:
        screen.engine._notify(LogTrouble("the research log was put aside"))
        await screen.until(lambda: "the research log was put aside" in screen.notices)


class TestCancelled:
    async def test_a_run_cancelled_just_now_has_its_number(
        self, opened, log_folder, recording: Recording, tmp_path: Path
    ):
        with RunLog.open() as log:
            async with opened(log=log, free=12) as screen:
                await screen.until(lambda: screen.app.main.pane.run.rows, "rows")
                await screen.press("escape", "x")
                await screen.until(lambda: screen.app.main.pane.run.state == "cancelled")
                await screen.until(lambda: screen.app.main.pane.recorded_as == 1)
                await screen.command(f"export {tmp_path}/cancelled.md")
                await screen.until((tmp_path / "cancelled.md").exists)
        assert "cancelled" in (tmp_path / "cancelled.md").read_text()


class TestWords:
    async def test_nothing_in_a_note_or_prompt_steers_the_terminal(self, opened):
        with RunLog.open() as log:
            failed(log, note=STEERING, hypothesis=STEERING)
        async with opened() as screen:
            screen.app.main.prompt.text = STEERING
            await to_runs(screen)
            await screen.sees("[31mred")
            drawn = "\n".join(screen.lines)
        assert not set("\x1b\x9b\u202e") & set(drawn)

    async def test_tokens_follow_a_prompt_of_several_lines_out_of_the_log(self, opened):
        async with opened() as screen:
            await screen.sees("5 tokens")
            screen.app.main.prompt.text = "two\nlines"
            await screen.sees("two⏎lines")


class TestFolders:
    async def test_an_export_into_the_home_of_nobody_is_refused(self, opened):
        async with opened() as screen:
            await screen.press("escape")
            await screen.command("export ~no_such_user/x.md")
            await screen.until(lambda: any("~no_such_user" in n for n in screen.notices))

    @pytest.mark.parametrize("words", [("runs", "export", "1"), ("runs", "show", "1")])
    def test_the_command_line_refuses_it_in_words(self, words, capsys):
        with RunLog.open() as log:
            failed(log)
        assert main([*words, "--out", "~no_such_user/x.npz"]) == 2
        assert "~no_such_user" in capsys.readouterr().err


async def test_a_run_that_could_not_be_recorded_says_so_in_its_row(opened):
    async with opened() as screen:
        assert "not saved" not in screen.text
        screen.engine._notify(LogTrouble("the run is not recorded: the disk is full"))
        screen.app.show_run()
        await screen.sees("not saved: E says why")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_long_prompt_leaves_the_pane_its_room(opened, size):
    """Three rows of tokens, and a sign that there are more."""
    async with opened(size=size) as screen:
        await screen.sees("5 tokens")
        screen.app.main.prompt.show_tokens([f" token{n}" for n in range(500)], list(range(500)))
        await screen.sees("›")
        assert screen.app.main.pane.size.height >= size[1] // 2
        assert screen.app.main.prompt.tokens.size.height <= 6


async def test_the_last_run_deleted_comes_back_with_u(opened):
    """The list is hidden while it is empty; the pane's keys still work."""
    with RunLog.open() as log:
        run = failed(log)
    async with opened() as screen:
        await to_runs(screen)
        await screen.until(lambda: screen.app.main.run_in_front == run)
        await screen.press("d")
        await screen.sees("No runs yet")
        await screen.press("u")
        await screen.until(lambda: screen.app.main.run_in_front == run, "the run back")


async def test_escape_clears_a_filter_that_nothing_matches(opened):
    with RunLog.open() as log:
        run = failed(log)
    async with opened() as screen:
        await to_runs(screen)
        await screen.until(lambda: screen.app.main.run_in_front == run)
        await screen.command("filter-by nothing-at-all")
        await screen.sees("No run matches")
        await screen.press("escape")
        await screen.until(lambda: screen.app.main.run_in_front == run, "the whole list")
