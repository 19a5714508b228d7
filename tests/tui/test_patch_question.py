"""What the patch pane asks, and the answers in words."""

from __future__ import annotations

from mlxterp_engine.experiments import BadInput
from mlxterp_tui.panes.patch.answers import answers_from
from mlxterp_tui.panes.patch.question import PatchQuestion, question_of
from mlxterp_tui.setting import Setting

import pytest


def test_a_request_and_its_question_say_the_same():
    question = PatchQuestion(answer=" a", wrong=" b", direction="noise").with_options(
        sites=["z"], by_position=True, layers=[3]
    )
    request = question.request("x", "y", Setting())
    assert question_of(request) == question


def test_what_is_set_of_one_method_stays_with_it():
    question = PatchQuestion().with_options(sites=["z"]).by("attribution")
    assert question.own_options == {}
    assert question.by("activation").own_options == {"sites": ["z"]}


def test_without_a_corrupt_prompt_the_ways_to_one_are_named():
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
def test_answers_in_words(words, expected):
    assert answers_from(words) == expected


@pytest.mark.parametrize("words", ['" Mary', "a b c", '"" b'])
def test_other_words_are_refused(words):
    with pytest.raises(BadInput):
        answers_from(words)
