"""The prompts of the patch pane in the running app: aligned while typed, marked, replaced, asked
with options, or given up for a set."""

from __future__ import annotations

import json

from mlxterp_engine.experiments import ActivationPatching, CausalTracing, Substitutes
from mlxterp_tui.panes.patch.aligned import AlignedRows
from mlxterp_tui.screens.patching_form import PatchingForm
from mlxterp_tui.screens.substitutes import SubstitutePicker

import pytest

CLEAN, CORRUPT = "The cat sat on the mat", "The dog sat on the mat"


def rows_of(screen) -> AlignedRows:
    return screen.app.main.query_one(AlignedRows)


def last(screen, kind=ActivationPatching):
    return next((task for task in reversed(screen.engine.asked) if isinstance(task, kind)), None)


async def with_prompts(screen, corrupt: str | None = CORRUPT) -> None:
    """The pane in front, both prompts read, nothing run."""
    screen.app.main.prompt.text = CLEAN
    await screen.press("escape", "2")
    if corrupt is not None:
        await screen.app.main.prompt.open_second(corrupt, typing=False)
        screen.app.main.prompt.place_second(corrupt)
    wanted = len(corrupt.split()) if corrupt else 0
    await screen.until(
        lambda: (
            len(rows_of(screen).aligned.alignment.corrupt) >= wanted
            and rows_of(screen).aligned.alignment.clean
        ),
        "tokens",
    )
    await screen.press("escape")


async def done(screen) -> None:
    await screen.until(lambda: screen.app.main.pane.run.state == "done", "the run")


async def test_what_is_typed_is_aligned_at_once(on_tiny):
    async with on_tiny() as screen:
        await with_prompts(screen)
        await screen.sees("▲ differs · └┘ subject 1 to 2")
        await screen.press("i", "end")
        await screen.type(" it")
        await screen.until(lambda: rows_of(screen).aligned.alignment.uneven, "what is uneven")
        assert "so that positions behind it don't correspond" in screen.text


async def test_prompts_that_don_t_fit_are_not_run_and_said_why(on_tiny):
    async with on_tiny() as screen:
        await with_prompts(screen, "The dog sat")
        asked = len(screen.engine.asked)
        await screen.command('answers "s" "e"')
        await screen.press("i", "enter")
        await screen.sees("9 and 5 tokens: ' on the mat' (4 tokens) is missing")
        await screen.pilot.pause(0.2)
        assert len(screen.engine.asked) == asked
        assert not any("tokens" in notice for notice in screen.notices)


async def test_padded_prompts_fit_and_are_run(on_tiny):
    async with on_tiny() as screen:
        await with_prompts(screen, "The old dog sat on the mat")
        await screen.command('answers "s" "e"')
        assert rows_of(screen).aligned.alignment.uneven
        await screen.press("O")
        await screen.until(lambda: isinstance(screen.app.screen, PatchingForm))
        while screen.app.focused.id != "pad":
            await screen.press("tab")
        await screen.type("' the'")
        await screen.press("enter")
        await done(screen)
        shown = rows_of(screen).aligned
        assert last(screen).pad == " the"
        assert shown.alignment.fits
        assert " the" in shown.alignment.clean[1:3]
        assert shown.alignment.clean == screen.app.main.pane.run.clean
        assert shown.subject == (1, 4)  # the padding, ' c', 'at'
        await screen.press("b")
        await screen.until(lambda: last(screen, Substitutes), "substitutes")
        assert last(screen, Substitutes).span == [1, 3]  # of the prompt as it is typed


async def test_enter_in_the_empty_pane_runs_two_prompts_that_stand_there(on_tiny):
    """Only where there is no second one it shows the example: what was typed is not lost."""
    async with on_tiny() as screen:
        await with_prompts(screen, "The cat sat on the cat")
        await screen.press("enter")
        await done(screen)
        assert last(screen).prompts == (CLEAN, "The cat sat on the cat")


async def test_the_ends_of_the_mark_move(on_tiny):
    async with on_tiny() as screen:
        await with_prompts(screen)
        assert rows_of(screen).aligned.subject == (1, 3)  # glass-tiny: ' do' + 'g'
        await screen.press("right_curly_bracket", "right_curly_bracket", "left_parenthesis")
        assert rows_of(screen).aligned.subject == (0, 5)
        await screen.press("left_curly_bracket", "right_parenthesis")
        assert rows_of(screen).aligned.subject == (1, 4)


async def test_words_that_are_offered_make_the_second_prompt(on_tiny):
    async with on_tiny() as screen:
        await with_prompts(screen, None)
        rows = rows_of(screen)
        await screen.press("right_parenthesis")
        assert rows.aligned.subject is not None
        first = rows.aligned.subject[0]
        await screen.press("b")
        await screen.until(lambda: isinstance(screen.app.screen, SubstitutePicker))
        picker = screen.app.screen
        await screen.until(lambda: picker.offers, "offers")
        assert last(screen, Substitutes).span == list(rows.aligned.subject)
        taken = picker.offers[0]
        await screen.press("enter")
        await screen.until(lambda: rows.aligned.alignment.corrupt, "the second prompt")
        assert screen.app.main.prompt.second == taken.prompt
        assert rows.aligned.alignment.mismatches == (first,)
        assert rows.aligned.alignment.fits


async def test_options_are_asked_with_their_price_and_run_by_enter(on_tiny):
    async with on_tiny() as screen:
        await with_prompts(screen)
        await screen.command('answers "s" "e"')
        await screen.press("O")
        await screen.until(lambda: isinstance(screen.app.screen, PatchingForm))
        await screen.sees("1 pass · about 0.01 s")
        await screen.press(*["tab"] * 4)
        await screen.type("z,k")
        await screen.press("enter")
        await done(screen)
        assert last(screen).kinds == ["z", "k"]


async def test_options_that_were_left_are_there_again_until_another_question_is_asked(on_tiny):
    async with on_tiny() as screen:
        await with_prompts(screen)
        await screen.press("O")
        await screen.until(lambda: isinstance(screen.app.screen, PatchingForm))
        await screen.press(*["tab"] * 4)
        await screen.type("z")
        await screen.press("escape", "O")
        await screen.until(lambda: isinstance(screen.app.screen, PatchingForm))
        assert screen.app.screen.query_one("#sites").value == "z"
        await screen.press("escape", "d", "O")
        await screen.until(lambda: isinstance(screen.app.screen, PatchingForm))
        assert screen.app.screen.query_one("#sites").value == ""


async def test_a_set_of_pairs_is_asked_from_any_pane_and_its_rows_give_way(on_tiny, tmp_path):
    pair = {"clean": CLEAN, "corrupt": CORRUPT, "answer": "s", "wrong": "e"}
    file = tmp_path / "my pairs.jsonl"
    file.write_text("\n".join([json.dumps(pair), json.dumps({**pair, "wrong": "d"})]))
    async with on_tiny() as screen:
        await screen.press("escape")
        assert screen.app.main.pane_name == "lens"
        await screen.command(f"pairs '{file}' 2")
        await screen.until(lambda: screen.app.main.pane_name == "patch")
        await done(screen)
        assert (last(screen).pairs, last(screen).count) == (str(file), 2)
        assert "clean" not in screen.lines[6]
        await screen.sees("A set is asked: pairs of")
        await screen.command("pairs off")
        await screen.until(lambda: rows_of(screen).aligned.alignment.clean, "the prompt's rows")


@pytest.mark.parametrize("line", ["pairs ioi many", "facts known 1 2"])
async def test_a_mistyped_set_is_refused_and_asks_nothing(on_tiny, line):
    async with on_tiny() as screen:
        await screen.press("escape")
        asked = len(screen.engine.asked)
        await screen.command(line)
        await screen.until(lambda: screen.notices)
        assert "count is 'many'" in screen.notices[-1] or "a word too many" in screen.notices[-1]
        assert len(screen.engine.asked) == asked


async def test_causal_tracing_puts_its_noise_on_what_is_marked(on_tiny):
    async with on_tiny() as screen:
        await with_prompts(screen)
        await screen.command("method tracing")
        await screen.until(lambda: rows_of(screen).aligned.noise)
        await screen.sees("≈ noise of 3σ, 10 draws · └┘ subject 1")
        await screen.press("right_curly_bracket", "r")
        await screen.until(lambda: last(screen, CausalTracing), "causal tracing")
        assert last(screen, CausalTracing).subject == "cat sa"
