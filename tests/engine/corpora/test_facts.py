"""Sets of facts: the one that comes along, files of one's own, and what is refused."""

from __future__ import annotations

import json

from mlxterp_engine.corpora.facts import FILE, Fact, read_facts
from mlxterp_engine.experiments import BadInput

import pytest

ASIA = {"prompt": "Yangtze belongs to the continent of", "subject": "Yangtze", "answer": "Asia"}


def test_the_facts_that_come_along_are_65_and_say_where_they_are_from():
    known = read_facts("known")
    assert len(known.facts) == 65
    assert known.facts[0] == Fact(
        "Catalonia belongs to the continent of", "Catalonia", " Europe", "P30"
    )
    assert "Meng et al. 2022" in known.source
    assert all(fact.subject in fact.prompt for fact in known.facts)
    assert len({fact.prompt for fact in known.facts}) == 65


def test_their_licence_lies_beside_them():
    assert "Copyright (c) 2022 Kevin Meng" in (FILE.parent / "LICENSE").read_text()


@pytest.mark.parametrize("written", ["list", "object", "lines"])
def test_facts_are_read_from_a_list_an_object_and_lines(tmp_path, written):
    path = tmp_path / ("facts.jsonl" if written == "lines" else "facts.json")
    text = {
        "list": json.dumps([ASIA, ASIA]),
        "object": json.dumps({"source": "mine", "facts": [ASIA, ASIA]}),
        "lines": f"{json.dumps(ASIA)}\n\n{json.dumps(ASIA)}\n",
    }
    path.write_text(text[written])
    found = read_facts(str(path))
    assert found.facts == [Fact(ASIA["prompt"], "Yangtze", " Asia")] * 2
    assert found.source == ("mine" if written == "object" else str(path))


def test_the_authors_own_file_can_be_read(tmp_path):
    """known_1000.json says attribute and relation_id, and has more fields."""
    theirs = {
        "known_id": 0,
        "subject": "Vinson Massif",
        "attribute": "Antarctica",
        "template": "{} is located in the continent",
        "prediction": " of Antarctica. It is the highest",
        "prompt": "Vinson Massif is located in the continent of",
        "relation_id": "P30",
    }
    (tmp_path / "known_1000.json").write_text(json.dumps([theirs]))
    (fact,) = read_facts(str(tmp_path / "known_1000.json")).facts
    assert fact == Fact(theirs["prompt"], "Vinson Massif", " Antarctica", "P30")


@pytest.mark.parametrize(
    ("prompt", "answer", "behind"),
    [("in the city of", "Paris", " Paris"), ("in the city of", " Paris", " Paris"),
     ("in the city of ", "Paris", "Paris")],
)  # fmt: skip
def test_an_answer_gets_the_space_that_it_lacks(tmp_path, prompt, answer, behind):
    fact = {"prompt": prompt, "subject": "city", "answer": answer}
    (tmp_path / "facts.json").write_text(json.dumps([fact]))
    assert read_facts(str(tmp_path / "facts.json")).facts[0].answer == behind


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "holds no facts"),
        ("{}", "is no list of facts"),
        ("[1]", "fact 1 of .* is none"),
        ('[{"prompt": "a b", "answer": "c"}]', "fact 1 of .* is none .*subject"),
        ('[{"prompt": "a b", "subject": "a"}]', "fact 1 of .* has no answer"),
        ('[{"prompt": "", "subject": "a", "answer": "c"}]', "fact 1 of .* has no prompt"),
        ("[", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("9" * 5_000, "is no JSON"),
    ],
)
def test_what_is_no_set_of_facts_is_refused_with_an_example(tmp_path, text, said):
    path = tmp_path / "facts.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=said) as refused:
        read_facts(str(path))
    assert "Yangtze" in str(refused.value)


def test_a_broken_line_and_a_file_that_is_not_there_are_refused(tmp_path):
    path = tmp_path / "facts.jsonl"
    path.write_text(f"{json.dumps(ASIA)}\n{{\n")
    with pytest.raises(BadInput, match="is no JSON"):
        read_facts(str(path))
    with pytest.raises(BadInput, match="No such file"):
        read_facts(str(tmp_path / "none.json"))
    with pytest.raises(BadInput, match="can't be read"):
        read_facts("~nobody-of-that-name/facts.json")
    (tmp_path / "pictures.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="no UTF-8"):
        read_facts(str(tmp_path / "pictures.json"))
