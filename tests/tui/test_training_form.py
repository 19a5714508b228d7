"""The form that begins a training, and `:train` with options: same words, same refusals."""

from __future__ import annotations

import json
import os
from pathlib import Path

from mlxterp_engine.experiments import BadInput, Price, TrainRidgeLens, TrainTunedLens
from mlxterp_engine.lenses.shelf import lenses_folder
from mlxterp_engine.worker.protocol import Finished
from mlxterp_tui.folders import state_file
from mlxterp_tui.panes.training import draft
from mlxterp_tui.screens.training_form import TrainingForm, TrainingSheet, budget

import msgspec
import pytest
import scripted_training as script
from recorded_engine import RecordedRun, Recording

SETTING = {"model": "smollm2-135m", "device": "auto", "dtype": "auto", "bos": "auto"}


def request_of(**typed: str):
    return draft.request_of(typed, SETTING)


def refused(**typed: str) -> str:
    with pytest.raises(BadInput) as caught:
        request_of(**typed)
    return str(caught.value)


class TestDraft:
    def test_an_empty_draft_is_the_request_s_own_defaults_under_a_new_name(self):
        folder = str(lenses_folder() / "smollm2-135m-ridge")
        assert request_of() == TrainRidgeLens(out_dir=folder)

    def test_every_field_reaches_the_request(self, tmp_path):
        texts = tmp_path / "two words.txt"
        asked = request_of(
            kind="tuned", out_dir="mine", corpus="files", files=f"'{texts}' more.jsonl",
            held_out="held.txt", steps="40", tokens_per_step="512", sequence_length="64",
            optimizer="adam", init="ridge", ridge="0.5", seed="3",
        )  # fmt: skip
        assert asked == TrainTunedLens(
            out_dir=str(lenses_folder() / "mine"),
            corpus=[str(texts), os.path.abspath("more.jsonl")],
            held_out=[os.path.abspath("held.txt")],
            steps=40, tokens_per_step=512, sequence_length=64,
            optimizer="adam", init="ridge", ridge=0.5, seed=3,
        )  # fmt: skip

    def test_a_name_with_a_slash_is_a_folder_seen_from_here(self):
        assert request_of(out_dir="./here").out_dir == os.path.abspath("here")
        assert request_of(out_dir="~/here").out_dir == os.path.expanduser("~/here")

    def test_a_data_set_takes_the_place_of_the_corpus(self):
        asked = request_of(corpus="dataset", dataset="wikitext:wikitext-2-raw-v1")
        assert asked.dataset == "wikitext:wikitext-2-raw-v1"

    def test_what_is_not_asked_for_is_not_passed_on(self):
        """A data set typed before the text was chosen again; an optimiser of a ridge lens."""
        asked = request_of(corpus="self", dataset="wikitext", optimizer="adam")
        assert asked.dataset is None
        assert asked.corpus == ["self"]
        assert isinstance(asked, TrainRidgeLens)

    @pytest.mark.parametrize(
        ("typed", "said", "field"),
        [
            ({"steps": "many"}, "--steps: 'many' is no whole number", "steps"),
            ({"steps": "0"}, "steps is 0; give a whole number from 1", "steps"),
            ({"tokens_per_step": "5"}, "tokens_per_step is 5", "tokens_per_step"),
            ({"ridge": "little"}, "--ridge: 'little' is no number", "ridge"),
            ({"corpus": "files"}, "files is empty", "files"),
            ({"corpus": "files", "files": "'a"}, "files can't be read", "files"),
            ({"corpus": "dataset"}, "dataset is empty", "dataset"),
            ({"seed": "-1"}, "seed", "seed"),
        ],
    )
    def test_a_wrong_value_is_refused_in_words_that_name_the_field(self, typed, said, field):
        message = refused(**typed)
        assert message.startswith(said)
        assert TrainingSheet(SETTING).fault_in(message) == field

    def test_ridge_weight_is_asked_of_a_tuned_lens_that_starts_from_a_ridge_lens(self):
        assert draft.is_asked({"kind": "tuned", "init": "ridge"}, "ridge")
        assert not draft.is_asked({"kind": "tuned"}, "ridge")
        assert draft.is_asked({}, "ridge")

    def test_the_budget_stands_beside_the_paper_s(self):
        """250 steps of 2^18 tokens are all of it."""
        asked = request_of(kind="tuned", tokens_per_step="262144", steps="250")
        said = "reads at most 65 536 000 tokens, 100 % of the paper's 65.5 million"
        assert budget(asked) == said

    def test_an_unknown_kind_names_those_that_there_are(self):
        with pytest.raises(BadInput, match="there are: ridge, tuned"):
            draft.request_from_words("best", [], SETTING)


RIDGE = TrainRidgeLens(
    model="smollm2-135m", steps=7, out_dir="", device="auto", dtype="auto", bos="auto"
)


@pytest.fixture
def recording(home: Path) -> Recording:
    """The engine's recording, and in it a ridge lens of 7 steps under its default name."""
    recording = Recording.load("smollm2")
    folder = str(lenses_folder() / "smollm2-135m-ridge")
    task = msgspec.structs.replace(RIDGE, out_dir=folder)
    end = Finished(script.result(recording.card))
    run = RecordedRun(task, Price(200, 12, 10**8), [script.evaluation(40), end])
    return msgspec.structs.replace(recording, runs=[*recording.runs, run])


async def form(screen) -> None:
    await screen.press("escape", "3")
    await screen.until(lambda: screen.app.main.pane_name == "jobs")
    await screen.pilot.pause()
    await screen.press("t")
    await screen.until(lambda: isinstance(screen.app.screen, TrainingForm))


async def until_steps(screen) -> None:
    """From the first field to that of the steps."""
    await screen.press("tab", "tab", "tab", "tab", "tab")
    assert screen.app.focused.id == "steps"


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_all_of_the_form_fits_and_its_price_follows_what_is_typed(opened, size):
    async with opened(size) as screen:
        await form(screen)
        await screen.sees("train a lens of smollm2-135m")
        await screen.sees("its price is known once the model is open")  # of 80 steps: not recorded
        await until_steps(screen)
        await screen.type("7")
        await screen.sees("200 passes · about 12.0 s · 100 MB")
        assert f"reads at most {7 * TrainRidgeLens().tokens_per_step} tokens" in screen.text
        for words in ("ridge weight", "seed", "enter begins"):
            assert words in screen.text


async def test_a_wrong_value_is_said_while_it_is_typed_and_enter_begins_nothing(opened):
    async with opened() as screen:
        await form(screen)
        await until_steps(screen)
        await screen.type("0")
        await screen.sees("steps is 0; give a whole number from 1 to 10000000")
        asked = len(screen.engine.asked)
        await screen.press("enter")
        assert isinstance(screen.app.screen, TrainingForm)
        assert len(screen.engine.asked) == asked


async def test_enter_begins_and_shows_the_page(opened, recording):
    async with opened() as screen:
        await form(screen)
        await until_steps(screen)
        await screen.type("7")
        await screen.press("enter")
        await screen.sees("ridge lens · builtin")
        assert screen.engine.asked[-1] == recording.runs[-1].task


async def test_arrows_choose_and_fields_that_mean_nothing_go_away(opened):
    async with opened() as screen:
        await form(screen)
        await screen.sees("ridge weight")
        await screen.press("right")
        await screen.sees("optimizer")
        await screen.until(lambda: "ridge weight" not in screen.text)
        await screen.sees("smollm2-135m-tuned")  # the name that it would get
        await screen.press("down", "down", "d")  # a letter chooses the word that begins with it
        await screen.sees("data set")
        await screen.sees("dataset is empty")


async def test_what_was_typed_is_there_at_the_next_opening(opened):
    async with opened() as screen:
        await form(screen)
        await until_steps(screen)
        await screen.type("12")
        kept = state_file("training.json")
        await screen.until(lambda: kept.exists() and json.loads(kept.read_text())["steps"] == "12")
        await screen.press("escape")
        assert not isinstance(screen.app.screen, TrainingForm)
        await screen.press("t")
        await screen.until(lambda: isinstance(screen.app.screen, TrainingForm))
        assert screen.app.screen.query_one("#steps").value == "12"


async def test_train_opens_the_form_of_a_kind(opened):
    async with opened() as screen:
        await screen.press("escape")
        await screen.command("train tuned")
        await screen.sees("‹tuned›")


async def test_train_with_options_begins_at_once(opened, recording):
    async with opened() as screen:
        await screen.press("escape")
        await screen.command("train ridge --steps 7")
        await screen.sees("ridge lens · builtin")
        assert screen.engine.asked[-1] == recording.runs[-1].task


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("train", ":train needs ridge or tuned"),
        ("train best", ":train best is not known; there are: ridge, tuned"),
        ("train ridge --stepps 3", "--stepps is no option of run train-ridge-lens; closest: --st"),
        ("train tuned --steps", "--steps needs a value"),
        ("train ridge --steps 0", "steps is 0"),
    ],
)
async def test_a_mistyped_line_is_refused_in_one_sentence(opened, line, said):
    async with opened() as screen:
        await screen.press("escape")
        asked = len(screen.engine.asked)
        await screen.command(line)
        await screen.until(lambda: screen.notices)
        assert screen.notices[-1].startswith(said)
        assert len(screen.engine.asked) == asked
