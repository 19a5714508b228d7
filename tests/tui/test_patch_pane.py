"""The patch pane on the tiny model, which computes what it is asked."""

from __future__ import annotations

import json

from mlxterp_engine.experiments import AttributionPatching
from mlxterp_tui.panes.patch.question import PatchQuestion
from mlxterp_tui.panes.patch.words import CAT

import pytest
from patch_on_screen import asked, done, pane_of, prompts, with_example
from recorded_engine import Recording

BLOCKS = 4


class TestFirstSight:
    async def test_the_empty_pane_says_what_it_will_show_and_begins_nothing(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape", "2")
            await screen.sees("which places of the model carry what makes the answer?")
            await screen.sees("There is no corrupt prompt yet")
            assert not asked(screen)

    async def test_enter_in_the_empty_pane_runs_an_example_that_the_model_reads_evenly(
        self, on_tiny
    ):
        async with on_tiny() as screen:
            await with_example(screen)
            (request,) = asked(screen)
            assert (request.clean, request.corrupt) == (CAT.clean, CAT.corrupt)
            assert (request.answer, request.wrong) == (CAT.answer, CAT.wrong)
            assert screen.app.main.prompt.second == CAT.corrupt
            await screen.sees("0 = corrupt")

    async def test_the_tokens_stand_in_the_rows_and_not_above_them_again(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            assert not screen.app.main.prompt.tokens.display
            await screen.press("1")
            await screen.until(lambda: screen.app.main.prompt.tokens.display, "the strip again")


class TestAsking:
    async def test_answers_that_nobody_named_are_what_the_model_says(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape", "2")
            await prompts(screen, "The cat sat on the mat", "The cat sat on the cat")
            await done(screen, 1)
            assert (asked(screen)[0].answer, asked(screen)[0].wrong) == ("h", ",")

    async def test_prompts_that_go_on_alike_are_refused_with_the_way_out(self, on_tiny):
        async with on_tiny() as screen:
            await screen.press("escape", "2")
            await prompts(screen, CAT.clean, CAT.corrupt)
            await screen.sees("The model says 'h' after both prompts")
            assert not asked(screen)

    async def test_the_same_prompt_twice_is_refused_in_place_and_nothing_is_lost(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            before = pane_of(screen).run
            screen.app.main.prompt.place_second(CAT.clean)
            await screen.press("r")
            await screen.sees("both prompts are the same")
            assert pane_of(screen).run is before
            assert len(asked(screen)) == 1

    async def test_unequal_prompts_are_refused_with_the_ways_out(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            screen.app.main.prompt.place_second("The dog sat on the long mat")
            await screen.press("r")
            await screen.until(lambda: "tokens" in pane_of(screen)._refusal, "a refusal")
            assert pane_of(screen).run.state == "done"

    async def test_a_long_run_is_priced_and_run_when_it_is_asked_again(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            screen.engine.seconds = 60.0
            await screen.press("r")
            await screen.sees("This takes 1 pass · about 1 min 0 s")
            assert len(asked(screen)) == 1
            await screen.press("r")
            await done(screen, 2)

    async def test_d_asks_in_the_other_direction_at_once(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            await screen.press("d")
            await done(screen, 2)
            assert asked(screen)[-1].direction == "noise"
            await screen.sees("0 = clean")

    async def test_a_metric_that_hardly_differs_is_refused_in_place(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            before = pane_of(screen).run.request
            await screen.press("m")
            await screen.sees("too little to")
            assert asked(screen)[-1].metric == "prob"
            assert pane_of(screen).run.request is before

    async def test_another_method_of_the_same_prompts(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            await screen.press("M")
            await done(screen, 2)
            (request,) = asked(screen, AttributionPatching)
            assert (request.clean, request.answer) == (CAT.clean, CAT.answer)

    async def test_u_goes_back_to_the_run_before_and_asks_nothing(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            before = pane_of(screen).run.request
            await screen.press("s", "p")
            await done(screen, 2)
            await screen.press("u")
            assert pane_of(screen).run.request is before
            assert pane_of(screen).view.name == "attn_out"
            assert pane_of(screen).question.own_options == {}
            assert len(asked(screen)) == 2

    async def test_answers_of_several_tokens_are_refused_with_their_first(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            await screen.command('answers " Mary" "e"')
            await screen.sees("is 3 tokens here")
            assert len(asked(screen)) == 1

    async def test_answers_that_nobody_typed_go_with_their_prompt(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            screen.app.main.prompt.text = "The dog sat on the mat"
            await screen.until(lambda: pane_of(screen).question.answer is None, "no answer")

    async def test_t_opens_the_line_with_the_answers_that_there_are(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            await screen.press("t")
            await screen.sees('answers "s" "e"')


class TestFillingIn:
    """On a recording of the default model, held back half way."""

    @pytest.fixture
    def recording(self) -> Recording:
        return Recording.load("patching")

    @staticmethod
    async def begin(screen) -> None:
        screen.engine._free = 25
        await screen.press("escape", "2", "enter")
        await screen.until(lambda: pane_of(screen).run.known > 500, "some columns")

    async def test_known_cells_are_painted_and_the_others_are_dots(self, opened):
        async with opened() as screen:
            await self.begin(screen)
            run = pane_of(screen).run
            assert run.state == "running"
            assert 0 < run.known < run.total
            assert "·" in screen.text
            await screen.sees("% known")

    async def test_x_stops_it_and_keeps_the_cells_that_came(self, opened):
        async with opened() as screen:
            await self.begin(screen)
            known = pane_of(screen).run.known
            await screen.press("x")
            await screen.until(lambda: pane_of(screen).run.state == "cancelled", "the end")
            assert pane_of(screen).run.known == known
            await screen.sees(f"cancelled: {known} of 1530 cells")

    async def test_what_another_pane_asks_stops_it_too_and_that_is_said(self, opened):
        async with opened() as screen:
            await self.begin(screen)
            pane = pane_of(screen)
            await screen.press("1", "r")
            await screen.until(lambda: pane.run.state == "cancelled", "the end")
            assert pane.cost == f"cancelled: {pane.run.known} of 1530 cells"

    async def test_the_rest_fills_in(self, opened):
        async with opened() as screen:
            await self.begin(screen)
            screen.engine.release()
            await screen.until(lambda: pane_of(screen).run.state == "done", "the end")
            assert pane_of(screen).run.known == 1530


class TestLooking:
    async def test_s_goes_through_the_maps(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            seen = [pane_of(screen).view.name]
            for _ in range(4):
                await screen.press("s")
                seen.append(pane_of(screen).view.name)
            assert seen == ["resid_pre", "attn_out", "mlp_out", "z", "resid_pre"]

    async def test_n_stands_on_the_largest_cell_first(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            await screen.press("s")
            pane = pane_of(screen)
            cells = sorted(pane.run.maps["attn_out"].cells(), key=lambda cell: -abs(cell[1]))
            pane.body.go_to(cells[-1][0])
            await screen.press("n")
            assert pane.body.at == cells[0][0]
            await screen.press("n")
            assert pane.body.at == cells[1][0]

    async def test_the_block_is_kept_from_map_to_map(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            await screen.press("j", "s")
            assert pane_of(screen).body.at.row == BLOCKS - 2

    async def test_the_map_is_exported_as_it_is_shown(self, on_tiny, tmp_path):
        async with on_tiny() as screen:
            await with_example(screen)
            await screen.command(f"export {tmp_path / 'map.tsv'}")
            await screen.until(lambda: (tmp_path / "map.tsv").exists(), "the file")
            head, *rows = (tmp_path / "map.tsv").read_text().splitlines()
            assert head.split("\t")[:3] == ["map", "block", "site"]
            assert len(rows) == pane_of(screen).run.maps["resid_pre"].known


class TestSets:
    @pytest.fixture
    def pairs(self, tmp_path):
        path = tmp_path / "pairs.jsonl"
        pair = {**CAT._asdict()}
        other = {**pair, "clean": "The cat sat on the hat", "corrupt": "The dog sat on the hat"}
        path.write_text("\n".join(map(json.dumps, (pair, other))))
        return path

    async def test_a_set_is_a_mean_its_spread_and_each_pair(self, on_tiny, pairs):
        async with on_tiny() as screen:
            await with_example(screen)
            alone = pane_of(screen).run.maps["z"]
            await screen.command(f"pairs {pairs}")
            await done(screen, 2)
            pane = pane_of(screen)
            assert pane.view.name == "resid_pre" or not pane.run.maps["resid_pre"].total
            await screen.command("map z")
            looks = []
            for _ in range(4):
                looks.append(pane.view.of)
                await screen.press("full_stop")
            assert looks == ["mean", "sd", 0, 1]
            first = pane.run.map("z", 0)
            assert first.values == alone.values
            await screen.command("pairs off")
            await done(screen, 3)
            assert asked(screen)[-1].clean == CAT.clean


class TestKeeping:
    async def test_a_run_of_the_log_comes_back_with_both_prompts(self, on_tiny, log):
        async with on_tiny(log=log) as screen:
            await with_example(screen)
            number = pane_of(screen).recorded_as
            await screen.press("1")
            await screen.command("ask The dog")
            await screen.command(f"show {number}")
            await screen.until(lambda: pane_of(screen).stored is not None, "the run of the log")
            assert screen.app.main.prompt.text == CAT.clean
            assert pane_of(screen).run.state == "done"

    async def test_u_goes_back_to_a_run_that_has_its_number(self, on_tiny, log):
        async with on_tiny(log=log) as screen:
            await with_example(screen)
            number = pane_of(screen).recorded_as
            await screen.press("d")
            await done(screen, 2)
            await screen.press("u")
            assert pane_of(screen).recorded_as == number is not None

    async def test_a_job_is_shown_from_the_list_of_jobs(self, on_tiny, log):
        async with on_tiny(log=log) as screen:
            await with_example(screen)
            await screen.press("d")
            await done(screen, 2)
            await screen.press("3", "enter")
            await screen.until(lambda: screen.app.main.pane_name == "patch", "the pane")
            await screen.until(lambda: pane_of(screen).run.state == "done", "the run")
            shown = pane_of(screen).run.request
            assert shown in asked(screen)
            assert pane_of(screen).question.direction == shown.direction

    async def test_what_was_asked_is_remembered(self, on_tiny):
        async with on_tiny() as screen:
            await with_example(screen)
            await screen.command('answers "a" "e"')
            await done(screen, 2)
            kept = json.loads(json.dumps(pane_of(screen).remembered()))
            fresh = type(pane_of(screen))()
            fresh.recall(kept)
            assert fresh.question == pane_of(screen).question
            assert fresh.question.answer == "a"
            assert fresh.second_prompt == CAT.corrupt

    def test_foreign_memories_are_passed_over(self):
        from mlxterp_tui.panes.patch.memory import recalled

        assert recalled({"method": 7}).question == PatchQuestion()
        assert recalled({"method": "guessing"}).question == PatchQuestion()
