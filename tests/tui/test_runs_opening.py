"""Runs out of the log: opened as they were, run again, compared."""

from __future__ import annotations

from mlxterp_engine.experiments import LogitLens, Trace
from mlxterp_tui.screens.comparison import LensComparison
from mlxterp_tui.screens.reader import Reader

import msgspec
from runs_on_screen import to_runs

CAPITAL = "The capital of France is"
STORE = "When Mary and John went to the store, John gave a drink to"


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
