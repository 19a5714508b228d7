"""The app around its panes: prompt, keys, commands, engine, files of the user."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mlxterp_engine.experiments import RunFailed
from mlxterp_engine.worker.client import Lost
from mlxterp_tui.app import MlxterpApp
from mlxterp_tui.arguments import AppArguments
from mlxterp_tui.screens.reader import Reader

import pytest
from recorded_engine import RecordedEngine

STORE = "When Mary and John went to the store, John gave a drink to"


def test_the_screen_loads_no_library_that_computes():
    heavy = ["mlx", "numpy", "transformers", "datasets", "pandas", "pydantic", "tomlkit"]
    code = f"import sys, mlxterp_tui.app; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


class TestPrompt:
    async def test_it_has_the_focus_and_typing_replaces_the_example(self, opened):
        async with opened() as screen:
            await screen.type("Hello")
            assert screen.app.main.prompt.text == "Hello"

    async def test_enter_asks_and_the_next_prompt_replaces_this_one(self, opened):
        async with opened() as screen:
            await screen.type(STORE.replace(",", ","))
            await screen.press("enter")
            await screen.until(lambda: screen.engine.asked[-1].prompt == STORE)
            await screen.type("x")
            assert screen.app.main.prompt.text == "x"

    async def test_tokens_and_their_number_follow_the_text(self, opened):
        async with opened() as screen:
            await screen.sees("5 tokens")
            await screen.sees("504 3575")
            await screen.type("Hi")
            await screen.sees("1 token ")

    async def test_up_brings_back_what_was_asked_even_in_the_next_session(self, opened):
        async with opened() as screen:
            await screen.type(STORE)
            await screen.press("enter")
            await screen.until(lambda: screen.engine.asked[-1].prompt == STORE)
        async with opened() as screen:
            assert screen.app.main.prompt.text == STORE
            await screen.type("The capital of France is")
            await screen.press("enter", "up")
            assert screen.app.main.prompt.text == STORE
            await screen.press("down")
            assert screen.app.main.prompt.text == "The capital of France is"

    async def test_a_line_becomes_several_and_one_again(self, opened):
        async with opened() as screen:
            await screen.press("f4")
            await screen.until(lambda: screen.app.main.prompt.query("#prompt-editor"))
            await screen.press("end", "enter", "b", "f4")
            await screen.until(lambda: not screen.app.main.prompt.query("#prompt-editor"))
            assert screen.app.main.prompt.text == "The capital of France is b"

    async def test_an_empty_prompt_is_refused_in_words(self, opened):
        async with opened() as screen:
            await screen.press("backspace", "enter")
            await screen.until(lambda: any("prompt is empty" in n for n in screen.notices))

    async def test_letters_are_text_in_the_prompt_and_keys_in_the_pane(self, opened):
        async with opened() as screen:
            await screen.type("q")
            assert screen.app.main.prompt.text == "q"
            await screen.press("escape", "q")
            assert not screen.app.is_running or screen.app._exit


class TestCommands:
    async def test_a_wrong_command_names_the_closest(self, opened):
        async with opened() as screen:
            await screen.press("escape")
            await screen.command("metrik kl")
            await screen.until(lambda: any("closest: metric" in n for n in screen.notices))

    async def test_a_wrong_choice_names_them_all(self, opened):
        async with opened() as screen:
            await screen.press("escape")
            await screen.command("bos perhaps")
            await screen.until(lambda: any("auto, on, off" in n for n in screen.notices))

    async def test_tab_completes(self, opened):
        async with opened() as screen:
            await screen.press("escape", "colon")
            await screen.type("thm")
            await screen.press("backspace", "tab", "space")
            await screen.type("lig")
            await screen.press("tab", "enter")
            await screen.until(lambda: screen.app.theme == "light")

    async def test_escape_leaves_the_line_for_the_pane(self, opened):
        async with opened() as screen:
            await screen.press("escape", "colon", "escape")
            assert screen.app.main.pane.has_focus_within

    async def test_a_theme_is_kept_for_the_next_session(self, opened, home: Path):
        async with opened() as screen:
            await screen.press("escape")
            await screen.command("theme light")
            await screen.until(lambda: (home / "config.toml").exists())
        async with opened() as screen:
            assert screen.app.theme == "light"

    async def test_bos_changes_what_is_asked(self, opened):
        async with opened() as screen:
            await screen.press("escape")
            await screen.command("bos on")
            await screen.until(lambda: screen.engine.asked[-1].bos == "on")
            await screen.sees("BOS on")

    async def test_the_palette_writes_keys_as_they_stand_on_the_keyboard(self, opened):
        async with opened() as screen:
            await screen.press("escape", "ctrl+p")
            await screen.sees(":help    ? f1")

    async def test_the_palette_carries_out_what_was_found(self, opened):
        async with opened() as screen:
            await screen.press("escape", "ctrl+p")
            await screen.until(lambda: screen.app.screen is not screen.app.main)
            await screen.type("next metric")
            await screen.until(lambda: "Next metric" in screen.text)
            await screen.press("enter")
            await screen.until(lambda: screen.app.main.pane.view.metric == "probability")


class TestHelp:
    async def test_it_explains_the_pane_and_lists_the_keys_that_work(self, opened):
        async with opened() as screen:
            await screen.press("escape", "question_mark")
            await screen.until(lambda: isinstance(screen.app.screen, Reader))
            await screen.sees("help: logit lens")
            await screen.press("q")
            assert screen.app.screen is screen.app.main

    async def test_rebound_keys_are_shown_as_they_are(self, opened, home: Path):
        (home / "config.toml").write_text('[keys]\nzoom = "Z"\n')
        async with opened(size=(200, 40)) as screen:
            await screen.press("escape", "Z")
            assert screen.app.main.has_class("-zoomed")
            await screen.press("z")
            assert screen.app.main.has_class("-zoomed")
            await screen.sees("Z zoom")


class TestConfigOfTheUser:
    async def test_a_broken_file_does_not_stop_the_start(self, opened, home: Path):
        (home / "config.toml").write_text("model = [")
        async with opened() as screen:
            assert any("could not be read" in n for n in screen.notices)

    async def test_a_key_that_is_taken_is_told_in_one_sentence(self, opened, home: Path):
        (home / "config.toml").write_text('[keys]\nzoom = "q"\n')
        async with opened() as screen:
            assert any("'q' is already quit" in n for n in screen.notices)
            await screen.press("escape", "z")
            assert screen.app.main.has_class("-zoomed")

    async def test_an_unknown_theme_is_told(self, opened):
        async with opened(theme="mauve") as screen:
            assert any("'mauve'" in n for n in screen.notices)


class TestEngine:
    async def test_without_an_engine_the_screen_says_so_and_stays(self):
        async def nobody() -> RecordedEngine:
            raise RunFailed("the engine would not start: no space left on the device")

        app = MlxterpApp(AppArguments(), connect=nobody)  # type: ignore[arg-type]
        async with app.run_test(size=(120, 40)) as pilot:
            for _ in range(100):
                if app.troubles:
                    break
                await pilot.pause(0.02)
            assert "no space left" in app.troubles[0].sentence
            assert app.session.state == "stopped"

    async def test_when_it_dies_the_last_lines_of_its_log_are_read_out(self, opened):
        async with opened() as screen:
            screen.engine.lose(Lost("the engine died", Path("/x/engine.log"), ["out of memory"]))
            await screen.sees("the engine died")
            assert "out of memory" in screen.text
            await screen.sees("R restarts")
            await screen.press("escape")
            await screen.sees("engine lost")
            assert "' Paris' on top" in screen.text

    async def test_r_brings_it_back(self, opened):
        async with opened() as screen:
            screen.engine.lose(Lost("the engine died", Path("/x/engine.log"), []))
            await screen.sees("R restarts")
            await screen.press("R")
            await screen.sees("engine ready")

    async def test_leaving_with_a_job_running_leaves_it_to_the_engine(self, opened):
        async with opened(free=3) as screen:
            await screen.until(lambda: screen.app.session.running, "a running job")
            await screen.press("escape", "q")
            await screen.until(lambda: screen.engine.closed, "hung up")
            assert not screen.engine.shut_down
            told = "".join(str(piece) for piece in screen.app._exit_renderables)
            assert "the engine goes on with" in told


class TestJobs:
    async def test_they_are_listed_newest_first(self, opened):
        async with opened() as screen:
            await screen.press("escape", "3")
            await screen.sees("2 jobs, 0 running")
            lines = [line for line in screen.lines if "✓ job" in line]
            assert "logit-lens" in lines[0]
            assert "open-model" in lines[1]

    async def test_enter_shows_an_ended_lens_again(self, opened):
        async with opened() as screen:
            await screen.press("escape", "3")
            await screen.sees("2 jobs")
            await screen.press("enter")
            await screen.sees("' Paris' on top")

    async def test_x_cancels_the_marked_one(self, opened):
        async with opened(free=5) as screen:
            await screen.until(lambda: len(screen.engine.asked) == 2, "the lens was asked")
            await screen.press("escape", "3", "x")
            await screen.sees("cancelled")


class TestErrors:
    async def test_they_are_kept_with_their_details(self, opened):
        async with opened() as screen:
            screen.app.report(RunFailed("it broke", "Traceback: here"))
            await screen.press("escape", "E")
            await screen.sees("Traceback: here")
            await screen.press("y")
            await screen.until(lambda: any("last-copy" in n for n in screen.notices))


@pytest.mark.parametrize(("color", "expected"), [("256", "256"), ("16", "16"), ("none", "none")])
async def test_the_number_of_colours_can_be_said(opened, color, expected):
    from mlxterp_tui.widgets.colour_depth import depth_of

    async with opened(color=color) as screen:
        assert depth_of(screen.app) == expected
