"""From a cell of the patch pane onwards, in the running app on the tiny model."""

from __future__ import annotations

from mlxterp_engine.experiments import Attention, LogitLens
from mlxterp_tui.panes.patch.pane import LENS
from mlxterp_tui.panes.patch.words import CAT

import pytest
from patch_on_screen import asked, done, pane_of, prompts, with_example

BLOCKS, HEADS = 4, 4


class TestOnwards:
    async def test_p_asks_for_the_block_s_heads_by_position(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            await screen.press("j", "p")
            await done(screen, 2)
            request = asked(screen)[-1]
            assert (request.by_position, request.layers) == (True, [BLOCKS - 2])
            assert pane_of(screen).view.name == f"z_pos[{BLOCKS - 2}]"
            assert len(pane_of(screen).run.maps[pane_of(screen).view.name].rows) == HEADS

    async def test_A_shows_the_pattern_of_the_cell_s_head_and_esc_comes_back(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            await screen.command("map z")
            await screen.press("A")
            await screen.until(lambda: asked(screen, Attention), "a pattern")
            await screen.sees(f"head {BLOCKS - 1}.{HEADS - 1}")
            await screen.press("escape")
            assert screen.app.main.pane_name == "patch"

    async def test_v_shows_the_patched_run_in_the_lens_and_the_prompts_come_back(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            await screen.press("n", "v")
            await screen.until(lambda: any(t.patch for t in asked(screen, LogitLens)), "the lens")
            run, at = screen.app.main.pane_named("patch").run, None
            (request,) = [task for task in asked(screen, LogitLens) if task.patch]
            at = screen.app.main.pane_named("patch").body.at
            assert (request.prompt, request.patch_prompt) == (CAT.corrupt, CAT.clean)
            assert request.patch == [f"blocks.{at.row}.resid_pre@{at.column}"]
            assert screen.app.main.pane_name == LENS
            await screen.press("2")
            await screen.until(lambda: screen.app.main.prompt.text == CAT.clean, "the prompt")
            assert run.request.clean == CAT.clean

    async def test_the_patched_run_in_the_lens_has_the_metric_of_the_cell(self, on_tiny):
        """One run seen from two sides: the cell's probability of the answer, and the lens's."""
        async with on_tiny() as screen:
            await screen.press("escape", "2")
            await prompts(screen, "The old man", "They went")
            await done(screen, 1)
            await screen.press("m")
            await done(screen, 2)
            await screen.press("n")
            run, at = pane_of(screen).run, pane_of(screen).body.at
            await screen.press("v")
            lens = screen.app.main.pane_named(LENS)
            await screen.until(lambda: lens.alert == "1 edit on", "the patched run")
            await screen.until(lambda: lens.run.state == "done", "the patched run")
            seen = lens.run.row(lens.run.last_layer).target_prob.values[-1]
            # float32, and the sweep goes on from a block where the lens runs the whole prompt
            assert seen == pytest.approx(run.raw(run.maps["resid_pre"].value(at)), abs=1e-4)

    async def test_a_zeroes_the_place_in_the_clean_run(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            await screen.press("s", "n")
            at = pane_of(screen).body.at
            await screen.press("a")
            await screen.until(lambda: any(t.intervention for t in asked(screen, LogitLens)), "it")
            request = asked(screen, LogitLens)[-1]
            wanted = f"blocks.{at.row}.attn_out=zero@{at.column}"
            edits = [t.intervention for t in asked(screen, LogitLens) if t.intervention]
            assert edits[0] == [wanted]
            assert request.prompt in (CAT.clean, CAT.corrupt)
