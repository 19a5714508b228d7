"""What was typed wrongly is told in one line: the value, the fault, the remedy."""

from typing import Literal

from mlxterp_engine.experiments import BadInput, Layers, Request
from mlxterp_tui.commands.parser import Parser, number, whole
from mlxterp_tui.commands.request_options import add_options

import pytest


class Invented(Request, frozen=True, kw_only=True, tag="invented"):
    """An experiment that no line of the command line knows."""

    coefficient: list[float]
    layers: list[int] | None = None
    sigma_from: Literal["vocabulary", "subjects"] = "vocabulary"
    temperature: float = 0.0
    blocks: Layers = "all"
    log: bool = True
    ridge: float | Literal["auto"] = "auto"


def parsed(*words):
    parser = Parser(prog="mlxterp-tui run invented")
    add_options(parser, Invented)
    return vars(parser.parse_args(words))


def refused(*words):
    with pytest.raises(BadInput) as caught:
        parsed(*words)
    return str(caught.value)


def test_only_what_was_given_is_passed_on():
    assert parsed("--coefficient", "1") == {"coefficient": [1.0]}


def test_every_kind_of_field_has_an_option():
    given = parsed(
        *("--coefficient", "1", "--layers", "4", "17", "--sigma-from", "subjects"),
        *("--temperature", "0.5", "--no-log", "--seed", "3", "--blocks", "4,17"),
    )
    assert given == {
        "coefficient": [1.0],
        "layers": [4, 17],
        "sigma_from": "subjects",
        "temperature": 0.5,
        "blocks": [4, 17],
        "log": False,
        "seed": 3,
    }


def test_layers_are_numbers_with_commas_or_all():
    assert parsed("--coefficient", "1", "--blocks", "all")["blocks"] == "all"
    assert parsed("--coefficient", "1", "--blocks", "3")["blocks"] == [3]


def test_a_number_may_have_a_word_beside_it():
    assert parsed("--coefficient", "1", "--ridge", "auto")["ridge"] == "auto"
    assert parsed("--coefficient", "1", "--ridge", "1e-3")["ridge"] == 1e-3
    assert refused("--coefficient", "1", "--ridge", "little") == (
        "--ridge: 'little' is no number; give one, e.g. 0.5, or auto"
    )


def test_several_values_may_be_negative_in_any_writing():
    given = parsed("--coefficient", "-4", "-0.5", "-.5", "-1e-3", "2")
    assert given["coefficient"] == [-4.0, -0.5, -0.5, -0.001, 2.0]


def test_an_option_given_twice_adds_its_values():
    assert parsed("--coefficient", "1", "--coefficient", "2", "3")["coefficient"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "--coefficient is missing; see mlxterp-tui run invented --help"),
        (("--coefficient", "x"), "--coefficient: 'x' is no number; give one, e.g. 0.5"),
        (
            ("--coefficient", "1", "--layers", "1.5"),
            "--layers: '1.5' is no whole number; give one, e.g. 5",
        ),
        (
            ("--coefficient", "1", "--sigma-from", "words"),
            "--sigma-from: 'words' is not known; give one of vocabulary, subjects",
        ),
        (
            ("--coefficient", "1", "--layer", "2"),
            "--layer is no option of mlxterp-tui run invented; closest: --layers; "
            "all: mlxterp-tui run invented --help",
        ),
        (
            ("--coefficient", "1", "--model"),
            "--model needs a value; one that begins with - is written --model=-VALUE",
        ),
        (
            ("--coefficient", "1", "--blocks", "4,x"),
            "--blocks: '4,x' names no layers; give numbers with commas between them, "
            "e.g. 4,17, or all",
        ),
        (("--coefficient", "1", "--log=3"), "--log takes no value; leave '3' out"),
        (
            ("--seed", "1", "2", "--coefficient", "1"),
            "'2' is one word too many; quote texts that hold spaces, "
            "see mlxterp-tui run invented --help",
        ),
    ],
)
def test_each_mistake_has_its_sentence(words, sentence):
    assert refused(*words) == sentence


def test_help_names_the_default(capsys):
    parser = Parser(prog="x")
    add_options(parser, Invented)
    assert "(default: 0)" in parser.format_help()
    assert "(default: vocabulary)" in parser.format_help()


@pytest.mark.parametrize(("read", "text", "value"), [(whole, "-3", -3), (number, "1e-3", 0.001)])
def test_numbers_are_read(read, text, value):
    assert read(text) == value
