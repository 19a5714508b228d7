"""The corpus that comes with Python, and passages out of it."""

from itertools import pairwise

from mlxterp_engine.corpora.builtin import EVERY, builtin
from mlxterp_engine.corpora.corpus import Text
from mlxterp_engine.corpora.passages import APART, fitting, passages

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

PARAGRAPH = (
    "Words of a paragraph that goes on for long enough to count as prose and not as a list. "
)


def words(text: str) -> int:
    return len(text.split())


def test_every_topic_is_on_one_side_and_every_fifth_is_held_out():
    corpus = builtin()
    held_out, training = ({text.title for text in part} for part in (corpus[3], corpus[2]))
    assert not held_out & training
    assert sorted(held_out) == sorted(held_out | training)[EVERY - 1 :: EVERY]


def test_the_corpus_says_what_it_is_and_carries_a_hash():
    corpus = builtin()
    assert "language reference of CPython" in corpus.description
    other = corpus._replace(training=corpus.training[1:])
    assert corpus.sha256 != other.sha256


def test_held_out_text_gives_passages_for_a_full_card_from_many_topics():
    found = passages(builtin().held_out, 32, seed=0)
    assert len(found) == 32
    assert len({passage.title.split(",")[0] for passage in found}) >= 10


def test_the_seed_alone_decides_which_passages():
    texts = builtin().held_out
    assert passages(texts, 8, 1) == passages(texts, 8, 1)
    assert passages(texts, 8, 1) != passages(texts, 8, 2)


def test_passages_begin_at_paragraphs_of_prose_far_enough_apart():
    text = "Heading\n*******\n\n" + "\n\n".join([PARAGRAPH * 2] * 8) + "\n\n   indented code"
    found = passages([Text("topic", text)], 100, seed=0)
    starts = sorted(int(passage.title.rpartition(" ")[2]) for passage in found)
    assert len(starts) == 4
    assert all(text[start - 2 : start] == "\n\n" for start in starts)
    assert all(b - a >= APART for a, b in pairwise(starts))


def test_every_text_gives_a_passage_before_any_gives_a_second():
    texts = [Text(name, "\n\n".join([PARAGRAPH * 5] * 3)) for name in "abc"]
    assert {p.title[0] for p in passages(texts, 3, seed=5)} == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("most", "expected"), [(0, ""), (1, "one"), (2, "one two"), (3, "one two  three"), (9, None)]
)
def test_a_text_is_cut_after_the_last_word_that_fits(most, expected):
    text = "one two  three"
    assert fitting(text, most, words) == (text if expected is None else expected)


@settings(max_examples=50, deadline=None)
@given(text=st.text(st.sampled_from("ab \n"), max_size=200), most=st.integers(1, 40))
def test_halving_finds_the_longest_beginning_that_fits(text, most):
    cut = fitting(text, most, len)
    assert text.startswith(cut)
    assert len(cut) <= most
    following = [
        end for end in range(len(cut) + 1, min(most, len(text)) + 1) if _ends_a_word(text, end)
    ]
    assert following == []


def _ends_a_word(text: str, end: int) -> bool:
    return not text[end - 1].isspace() and (end == len(text) or text[end].isspace())
