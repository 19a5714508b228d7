"""Other lenses and states, edits, a pinned run and a second prompt, on the tiny model."""

from __future__ import annotations

from mlxterp_engine.experiments import LogitLens
from mlxterp_tui.panes.lens.alignment import aligned, not_compared
from mlxterp_tui.panes.lens.beside import RUN_ALONE, Look

import pytest

WIDE = (200, 50)


def pane(screen):
    return screen.app.main.pane


async def command(screen, line: str) -> None:
    await screen.press("escape")
    await screen.command(line)


async def edited(screen, line: str, alert: str = "1 edit on") -> None:
    await command(screen, line)
    await screen.until(lambda: pane(screen).alert == alert, alert)


class TestStates:
    async def test_s_reads_the_next_state_of_each_block(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape", "S")
            await screen.sees("logit lens · resid_mid")
            assert screen.engine.asked[-1].state == "resid_mid"
            await screen.sees("blocks.3.resid_mid · position 9")

    async def test_the_last_row_of_another_state_is_the_end(self, on_tiny):
        async with on_tiny() as screen:
            await command(screen, "state resid_pre")
            await screen.sees("logit lens · resid_pre")
            await screen.press("g")
            await screen.sees("blocks.3.resid_post · position 9")
            assert any(line.strip("▸ ").startswith("end ") for line in screen.lines)

    async def test_the_cursor_keeps_its_place(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape", "j", "h", "S")
            await screen.sees("resid_mid")
            assert (pane(screen).view.cursor.layer, pane(screen).view.cursor.pos) == (2, 8)


class TestLenses:
    async def test_without_a_kept_lens_w_says_how_to_get_one(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape", "w")
            await screen.until(lambda: any(":train ridge" in n for n in screen.notices))

    async def test_a_lens_that_is_none_is_refused_and_the_run_stays(self, on_tiny):
        async with on_tiny() as screen:
            await command(screen, "lens nowhere")
            await screen.until(
                lambda: any("there is no lens 'nowhere'" in n for n in screen.notices)
            )
            await screen.sees("logit lens · resid_post")
            assert pane(screen).question.lens == ""


class TestEdits:
    async def test_an_ablation_is_on_until_it_is_undone(self, on_tiny):
        async with on_tiny() as screen:
            before = pane(screen).run
            await edited(screen, "ablate blocks.1.mlp_out")
            await screen.sees("glass-tiny · 1 edit on")
            assert pane(screen).run.rows[3].entropy.tolist() != before.rows[3].entropy.tolist()
            assert pane(screen).run.rows[0].entropy.tolist() == before.rows[0].entropy.tolist()
            await screen.press("u")
            await screen.until(lambda: not pane(screen).alert, "the plain model")
            assert pane(screen).run.rows[3].entropy.tolist() == before.rows[3].entropy.tolist()

    async def test_a_begins_the_line_with_sites_of_the_cursor_s_block(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape", "j", "a", "tab", "enter")
            await screen.until(lambda: pane(screen).alert == "1 edit on")
            assert screen.engine.asked[-1].intervention == ["blocks.2.mlp_out=zero"]

    async def test_the_clean_run_is_at_hand_and_d_shows_what_changed(self, on_tiny):
        async with on_tiny() as screen:
            await edited(screen, "edit blocks.1.mlp_out=scale:0")
            asked = len(screen.engine.asked)
            await screen.press("d")
            await screen.sees("this − unedited")
            assert len(screen.engine.asked) == asked
            assert any("≠" in line for line in screen.lines)

    async def test_under_an_edit_another_prompt_is_asked_with_it_and_without(self, on_tiny):
        async with on_tiny() as screen:
            await edited(screen, "ablate blocks.1.mlp_out")
            await command(screen, "ask The end")
            await screen.until(
                lambda: pane(screen).beside.run_of("clean").request.prompt == "The end"
            )
            edited_run, clean = screen.engine.asked[-2:]
            assert (edited_run.prompt, edited_run.intervention) == (
                "The end", ["blocks.1.mlp_out=zero"],
            )  # fmt: skip
            assert (clean.prompt, clean.intervention) == ("The end", [])

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("edit blocks.9.mlp_out=zero", "has no block 9"),
            ("edit blocks.1.mlp_out=explode", "operation 'explode'"),
            ("steer /nowhere/v.npz*4", "/nowhere/v.npz"),
            ("ablate mlp_out=zero", "is no site"),
            ("edits off", "no edit is on"),
        ],
    )
    async def test_what_is_wrong_is_said_and_changes_nothing(self, on_tiny, line, told):
        async with on_tiny() as screen:
            before = pane(screen).run
            await command(screen, line)
            await screen.until(lambda: any(told in n for n in screen.notices), told)
            assert pane(screen).run is before
            assert not pane(screen).question.edits

    async def test_the_log_has_them_and_a_run_of_it_comes_back_with_them(self, on_tiny, log):
        async with on_tiny(log=log) as screen:
            await edited(screen, "ablate blocks.1.mlp_out@-1")
            newest = log.lines()[0].id
            assert log.record(newest).request["intervention"] == ["blocks.1.mlp_out=zero@-1"]
        async with on_tiny(log=log) as screen:
            await screen.press("escape")
            assert pane(screen).alert == "1 edit on"


class TestPinnedRun:
    async def test_differences_to_it_are_shown_beside_the_run_where_there_is_room(self, on_tiny):
        async with on_tiny(size=WIDE) as screen:
            await screen.press("escape", "P")
            await screen.sees("this − pinned run")
            await command(screen, "ask The capital of all France is")
            await screen.sees("no counterpart")
            assert pane(screen).body.grids.has_class("-two")

    async def test_on_a_narrow_screen_d_shows_one_after_the_other(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape", "P")
            looks = []
            for _ in range(3):
                await screen.press("d")
                looks.append(pane(screen).beside.look)
            assert looks == [Look("pinned", True), Look("pinned", False), RUN_ALONE]

    async def test_pinned_again_it_is_let_go(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape", "P", "P", "d")
            await screen.until(lambda: any("nothing to compare" in n for n in screen.notices))

    async def test_a_state_is_compared_row_by_row_with_another_one(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape", "P", "S")
            await screen.sees("resid_mid")
            await screen.press("d")
            await screen.sees("this − pinned run")

    async def test_it_is_there_again_in_the_next_session(self, on_tiny, log):
        async with on_tiny(log=log) as screen:
            await screen.press("escape", "P")
            await command(screen, "ask The end")
            await screen.until(lambda: pane(screen).run.request.prompt == "The end")
            await screen.press("q")
        async with on_tiny(log=log) as screen:
            await screen.until(lambda: pane(screen).beside.run_of("pinned"), "the pinned run")
            pinned = pane(screen).beside.run_of("pinned")
            assert pinned.request.prompt == "The capital of France is"


class TestSecondPrompt:
    async def second(self, screen, text: str) -> None:
        await screen.press("escape", "o", "home", "ctrl+k")
        await screen.type(text)
        await screen.until(
            lambda: (run := pane(screen).beside.run_of("second")) and run.request.prompt == text,
            "the second run",
        )

    async def test_o_opens_a_second_line_and_both_grids_are_shown(self, on_tiny):
        async with on_tiny(size=WIDE) as screen:
            await self.second(screen, "The capital of Italy is")
            await screen.sees("second prompt: rank of the final token")
            await screen.sees("this: 'The capital of France is'")

    async def test_the_cursor_stands_at_one_place_in_both(self, on_tiny):
        async with on_tiny(size=WIDE) as screen:
            await self.second(screen, "The capital of France isn")
            await screen.press("escape", "j", "h", "h")
            grids = pane(screen).body.grids
            assert grids.one.cursor == grids.two.cursor

    async def test_o_again_closes_it(self, on_tiny):
        async with on_tiny(size=WIDE) as screen:
            await self.second(screen, "The end")
            await screen.press("escape", "o")
            await screen.until(lambda: screen.app.main.prompt.second is None)
            assert not pane(screen).body.grids.has_class("-two")

    async def test_p_writes_its_state_into_the_first(self, on_tiny):
        async with on_tiny() as screen:
            await self.second(screen, "The capital of France in")
            await screen.press("escape", "p")
            await screen.until(lambda: pane(screen).alert == "1 edit on")
            request = next(
                task for task in reversed(screen.engine.asked)
                if isinstance(task, LogitLens) and task.patch
            )  # fmt: skip
            assert request.patch == ["blocks.3.resid_post@9"]
            assert request.patch_prompt == "The capital of France in"
            # The state behind the last block at the last position is all that its answer hangs on.
            second = pane(screen).beside.run_of("second")
            assert pane(screen).run.final_token(9) == second.final_token(9)

    async def test_without_another_prompt_there_is_nothing_to_patch_from(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape", "p")
            await screen.until(lambda: any("nothing to patch from" in n for n in screen.notices))


class TestAlignment:
    @pytest.mark.parametrize(
        ("first", "second", "places"),
        [
            ([1, 2, 3], [1, 9, 3], (0, 1, 2)),
            ([1, 2, 3], [1, 2, 9, 3], (0, 1, None, 2)),
            ([1, 2, 9, 3], [1, 2, 3], (0, 1, 3)),
            ([1, 2], [8, 9, 7], (None, None, None)),
            ([1, 1], [1, 1, 1], (0, 1, None)),
        ],
    )
    def test_equal_tokens_at_the_two_ends_correspond(self, first, second, places):
        assert aligned(first, second) == places

    @pytest.mark.parametrize(
        ("places", "said"),
        [
            ((0, 1), ""),
            ((0, None, 2), "position 1: no counterpart"),
            ((0, None, None, 2), "positions 1 to 2: no counterpart"),
            ((None, None), "no token in common at either end"),
        ],
    )
    def test_what_has_no_counterpart_is_said(self, places, said):
        assert not_compared(places) == said
