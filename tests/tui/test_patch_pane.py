"""The patch pane on the tiny model, which computes what it is asked."""

from __future__ import annotations

import json
from typing import Any

from mlxterp_engine.experiments import (
    ActivationPatching,
    Attention,
    AttributionPatching,
    BadInput,
    LogitLens,
)
from mlxterp_engine.runlog.log import RunLog
from mlxterp_tui.panes.patch.pane import LENS, answers_from
from mlxterp_tui.panes.patch.question import PatchQuestion, question_of
from mlxterp_tui.panes.patch.words import CAT
from mlxterp_tui.setting import Setting

import pytest
from recorded_engine import Recording

BLOCKS, HEADS = 4, 4


@pytest.fixture
def log(home):
    with RunLog.open() as opened:
        yield opened


def pane_of(screen):
    return screen.app.main.pane


def asked(screen, kind: Any = ActivationPatching) -> list[Any]:
    return [task for task in screen.engine.asked if isinstance(task, kind)]


async def done(screen, many: int) -> None:
    """So many runs were asked, and the last one is on screen, whole."""

    def is_there() -> bool:
        tasks, run = asked(screen, (ActivationPatching, AttributionPatching)), pane_of(screen).run
        return len(tasks) == many and run.request == tasks[-1] and run.state == "done"

    await screen.until(is_there, f"run {many}")


async def with_example(screen) -> None:
    await screen.press("escape", "2", "enter")
    await done(screen, 1)


async def prompts(screen, clean: str, corrupt: str) -> None:
    """What stands at both prompts, and Enter."""
    screen.app.main.prompt.text = clean
    await screen.app.main.prompt.open_second(corrupt)
    screen.app.main.prompt.place_second(corrupt)
    await screen.press("enter", "escape")


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


class TestQuestions:
    def test_a_request_and_its_question_say_the_same(self):
        question = PatchQuestion(answer=" a", wrong=" b", direction="noise").with_options(
            sites=["z"], by_position=True, layers=[3]
        )
        request = question.request("x", "y", Setting())
        assert question_of(request) == question

    def test_what_is_set_of_one_method_stays_with_it(self):
        question = PatchQuestion().with_options(sites=["z"]).by("attribution")
        assert question.own_options == {}
        assert question.by("activation").own_options == {"sites": ["z"]}

    def test_without_a_corrupt_prompt_the_ways_to_one_are_named(self):
        with pytest.raises(BadInput, match=r"o opens one .* b proposes other words"):
            PatchQuestion().request("x", None, Setting())

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ('" Mary" " John"', (" Mary", " John")),
            ("' Mary' \" John\"", (" Mary", " John")),
            ("s e", ("s", "e")),
            ('" Mary"', (" Mary", None)),
            ("auto", (None, None)),
        ],
    )
    def test_answers_in_words(self, words, expected):
        assert answers_from(words) == expected

    @pytest.mark.parametrize("words", ['" Mary', "a b c", '"" b'])
    def test_other_words_are_refused(self, words):
        with pytest.raises(BadInput):
            answers_from(words)
