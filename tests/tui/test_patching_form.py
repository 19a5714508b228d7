"""The form with a patching method's options: the request's own fields, words and refusals."""

from __future__ import annotations

import asyncio

from mlxterp_engine.experiments import BadInput, Price
from mlxterp_tui.commands.request_options import meaning
from mlxterp_tui.draft import value
from mlxterp_tui.panes.patch.draft import LABELS, PatchingSheet, draft_of
from mlxterp_tui.panes.patch.question import PatchQuestion, methods
from mlxterp_tui.screens.patching_form import PatchingForm
from mlxterp_tui.setting import Setting

import pytest
from textual.app import App

SETTING = Setting(model="glass-tiny")
ROOM_FOR_ABOUT = 22  # columns, at 80
ROOM_FOR_MEANING = 2 * 72


def sheet(method: str = "activation", **asked) -> PatchingSheet:
    return PatchingSheet(PatchQuestion(method=method, **asked), SETTING)


def question_of(method: str = "activation", **typed: str) -> PatchQuestion:
    return sheet(method).request_of(typed)


@pytest.mark.parametrize("method", methods())
class TestEveryMethod:
    def test_an_empty_form_asks_for_what_the_method_does_by_itself(self, method):
        assert question_of(method) == PatchQuestion(method=method).with_options()

    def test_each_field_has_a_label_a_meaning_and_a_few_words_that_fit(self, method):
        kind = PatchQuestion(method=method).kind
        for field in sheet(method).fields:
            assert field.name in LABELS, field.name
            assert 0 < len(meaning(kind, field.name)) <= ROOM_FOR_MEANING, field.name
            assert len(field.label) < 16
            assert len(field.about) <= ROOM_FOR_ABOUT

    def test_a_choice_begins_with_what_it_is_by_itself(self, method):
        """For a choice that nobody made shows its first word."""
        own = sheet(method)
        for field in own.fields:
            if field.choices:
                assert value({}, field) == own.placeholder({}, field.name)

    def test_what_is_asked_is_what_stands_there(self, method):
        asked = PatchQuestion(method=method, answer=" Mary", wrong=" John")
        asked = asked.with_options(seed=5)
        before = sheet(method, answer="x", wrong=" John")  # the latter is nothing of tracing's
        assert before.request_of(draft_of(asked)) == asked


class TestReading:
    def test_answers_keep_their_leading_space_in_quotes_and_without(self):
        asked = question_of(answer="' Mary'", wrong=" John")
        assert (asked.answer, asked.wrong) == (" Mary", " John")

    def test_an_answer_may_begin_with_a_minus(self):
        assert question_of(answer="'-'").answer == "-"

    def test_a_token_to_pad_with_keeps_its_space_too(self):
        assert question_of(pad="' the'").own_options == {"pad": " the"}
        own = PatchQuestion().with_options(pad=" the")
        assert draft_of(own)["pad"] == "' the'"

    def test_lists_stand_with_commas_or_spaces(self):
        assert question_of(sites="z, q").options["activation"] == {"sites": ["z,q"]}
        assert question_of(sites="z q").options["activation"] == {"sites": ["z", "q"]}
        assert question_of(sites="z,q").options["activation"] == {"sites": ["z,q"]}

    def test_blocks_are_asked_for_heads_by_position_alone(self):
        typed = {"layers": "1,2", "by_position": "no"}
        assert question_of(**typed).options == {"activation": {}}
        typed["by_position"] = "yes"
        asked = question_of(**typed)
        assert asked.options["activation"] == {"by_position": True, "layers": [1, 2]}

    def test_a_set_of_pairs_brings_its_own_answers_and_those_typed_are_kept_for_later(self):
        own = sheet(answer=" Mary", wrong=" John")
        typed = {"pairs": "ioi", "count": "3"}
        asked = own.request_of(typed)
        assert asked.own_options == {"pairs": "ioi", "count": 3}
        assert asked.answer == " Mary"
        assert not own.is_asked(typed, "answer")
        assert own.is_asked(typed, "count")

    def test_a_metric_without_answers_asks_for_none(self):
        own = sheet()
        assert not own.is_asked({"metric": "kl"}, "answer")
        assert own.is_asked({"metric": "prob"}, "answer")
        assert not own.is_asked({"metric": "prob"}, "wrong")

    @pytest.mark.parametrize(
        ("method", "typed", "said", "field"),
        [
            ("activation", {"sites": "zz"}, "sites is 'zz'; give one of resid_pre", "sites"),
            ("activation", {"seed": "-1"}, "seed is -1", "seed"),
            ("activation", {"seed": "few"}, "--seed: 'few' is no whole number", "seed"),
            ("activation", {"by_position": "yes", "layers": "a"}, "--layers: 'a' names", "layers"),
            ("activation", {"answer": " a", "wrong": " a"}, "answer and wrong are both", "answer"),
            ("attribution", {"top": "1"}, "top is 1; give a whole number from 2", "top"),
            ("path", {"receivers": "blocks.1"}, "receivers has 'blocks.1'; give", "receivers"),
        ],
    )  # fmt: skip
    def test_a_refusal_names_its_field(self, method, typed, said, field):
        with pytest.raises(BadInput) as caught:
            question_of(method, **typed)
        assert str(caught.value).startswith(said)
        assert sheet(method).fault_in(str(caught.value)) == field


class Host(App[None]):
    """The form alone, on an engine whose price says what it was asked."""

    def __init__(self, question: PatchQuestion) -> None:
        super().__init__()
        self.question = question
        self.kept: dict[str, str] = {}
        self.given: PatchQuestion | None = None

    def on_mount(self) -> None:
        form = PatchingForm(self.question, SETTING, self._price, self.kept.update)
        self.push_screen(form, self._filled)

    def _filled(self, question: PatchQuestion | None) -> None:
        self.given = question

    async def _price(self, question: PatchQuestion) -> Price:
        if question.own_options.get("seed") == 9:
            raise BadInput("there is no corrupt prompt yet")
        return Price(len(question.own_options.get("sites", "four")) * 10, 1.5, 2 * 10**6)

    @property
    def lines(self) -> list[str]:
        strips = self.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip) for strip in strips]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


async def until(pilot, condition) -> None:
    for _ in range(200):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError(pilot.app.text)


@pytest.mark.parametrize("method", methods())
async def test_all_of_the_form_fits_on_a_small_screen(method):
    app = Host(PatchQuestion(method=method))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "passes" in app.text)
        asked = sheet(method)
        for field in asked.fields:
            if asked.is_asked({}, field.name):
                assert any(line.strip(" │").startswith(field.label) for line in app.lines)
        assert "enter runs" in app.text


async def test_the_field_with_the_keys_is_explained_and_the_price_follows():
    app = Host(PatchQuestion())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "40 passes" in app.text)
        assert "the token that the clean prompt calls for, verbatim" in app.text
        await pilot.press("tab", "tab", "tab", "tab")
        assert "resid_pre,attn_out,mlp_out; by head z,q,k,v,pattern" in app.text
        await pilot.press("z")
        await until(pilot, lambda: "10 passes · about 1.5 s · 2 MB" in app.text)
        assert app.kept["sites"] == "z"


async def test_enter_ends_with_the_question_and_a_wrong_value_ends_nothing():
    app = Host(PatchQuestion(answer=" Mary", wrong=" John"))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("tab", "tab", "right", "tab", "tab")
        await pilot.press("b", "enter")
        assert "sites is 'b'; give one of" in app.text
        assert isinstance(app.screen, PatchingForm)
        await pilot.press("backspace", "v", "enter")
        await pilot.pause()
    assert app.given is not None
    assert (app.given.answer, app.given.metric) == (" Mary", "prob")
    assert app.given.own_options == {"sites": ["v"]}


async def test_a_price_that_comes_late_does_not_hide_what_is_wrong_by_then():
    app, asked, gate = Host(PatchQuestion()), asyncio.Event(), asyncio.Event()

    async def slow(question: PatchQuestion) -> Price:
        asked.set()
        await gate.wait()
        return Price(77, 1, 1)

    app._price = slow  # type: ignore[method-assign]
    async with app.run_test(size=(120, 40)) as pilot:
        await asyncio.wait_for(asked.wait(), 5)
        await pilot.press("tab", "tab", "tab", "tab", "x")
        gate.set()
        await pilot.pause(0.1)
        assert "sites is 'x'" in app.text
        assert "77 passes" not in app.text


async def test_of_a_set_the_first_field_is_one_that_is_asked():
    app = Host(PatchQuestion().with_options(pairs="ioi"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "of the last token; logit-diff" in app.text)
        assert app.focused is not None
        assert app.focused.id == "metric"


async def test_escape_asks_nothing_and_a_price_that_is_refused_is_said():
    app = Host(PatchQuestion())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("up", "9")
        await until(pilot, lambda: "there is no corrupt prompt yet" in app.text)
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, PatchingForm)
        assert app.given is None
