"""Texts joined, cut, shuffled and counted."""

from mlxterp_engine.corpora import sequences as module
from mlxterp_engine.corpora.builtin import builtin
from mlxterp_engine.corpora.corpus import Text
from mlxterp_engine.corpora.sequences import (
    Order,
    Reader,
    Sequences,
    batches,
    checked,
    per_step,
    pieces,
    sequences,
    unigram,
)
from mlxterp_engine.experiments import BadInput

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


def characters(text: str) -> list[int]:
    """A tokenizer whose tokens are characters."""
    return [ord(character) for character in text]


def run(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def cut(texts, length, **options) -> Sequences:
    reader = Reader(characters, options.pop("bos_id", None))
    return run(sequences([Text("", text) for text in texts], reader, length, **options))


def test_texts_are_joined_by_a_blank_line_and_cut_and_the_rest_is_left_over():
    found = cut(["abc", "de"], 3)
    assert ["".join(map(chr, row)) for row in found.ids] == ["abc", "\n\nd"]
    assert found.left_over == 1


def test_with_a_bos_every_sequence_begins_with_it_and_holds_one_token_less():
    assert cut(["abcdef"], 4, bos_id=7).ids.tolist() == [[7, 97, 98, 99], [7, 100, 101, 102]]


def test_only_as_many_texts_are_read_as_fill_the_sequences_asked_for(monkeypatch):
    monkeypatch.setattr(module, "PIECE", 4)
    read = []

    def texts():
        for number in range(1000):
            read.append(number)
            yield Text("", "abcd")

    assert len(run(sequences(texts(), Reader(characters), 5, most=4))) == 4
    assert len(read) < 10


def test_the_first_token_of_a_sequence_counts_nowhere():
    found = Sequences(np.array([[0, 1, 1], [0, 1, 2]], np.int32))
    assert found.tokens == 4
    assert found.counts(4).tolist() == [0, 3, 1, 0]


def test_as_many_sequences_as_give_so_many_tokens():
    found = Sequences(np.zeros((9, 5), np.int32))
    assert [len(found.first(tokens)) for tokens in (1, 4, 5, 36, 1000)] == [1, 1, 2, 9, 9]


def test_too_few_tokens_are_refused_with_both_numbers():
    with pytest.raises(BadInput, match="has 11 tokens to train on, too few for 2 sequences of 8"):
        checked(cut(["hello world"], 8), 2, "to train on")


@given(
    texts=st.lists(st.text(st.sampled_from("ab \n"), max_size=30), max_size=5),
    size=st.integers(1, 12),
)
def test_pieces_lose_nothing_and_are_no_longer_than_they_may_be(texts, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE", size)
        found = list(pieces(texts))
    assert "".join(found) == "\n\n".join(texts)
    assert all(len(piece) <= size for piece in found)


def test_a_long_text_is_cut_before_a_blank_line(monkeypatch):
    monkeypatch.setattr(module, "PIECE", 12)
    assert list(pieces(["one two\n\nthree four"])) == ["one two", "\n\nthree four"]


def test_cutting_for_the_tokenizer_changes_no_token(tiny, monkeypatch):
    texts = builtin().held_out[:4]
    reader = Reader.of(tiny.tokens)
    whole = run(sequences(texts, reader, 16))
    monkeypatch.setattr(module, "PIECE", 3000)
    np.testing.assert_array_equal(run(sequences(texts, reader, 16)).ids, whole.ids)
    joined = tiny.tokens.encode("\n\n".join(text.text for text in texts), "off")
    np.testing.assert_array_equal(whole.ids.ravel(), joined[: whole.ids.size])


class Beginning:
    """A tokenizer with or without a BOS of its own."""

    def __init__(self, bos_id: int | None, adds_bos: bool) -> None:
        self.bos_id, self.adds_bos = bos_id, adds_bos

    def encode(self, text: str, bos="auto", chat=False) -> list[int]:
        return [*([99] if bos != "off" else []), *characters(text)]


@pytest.mark.parametrize(
    ("adds", "bos", "expected"),
    [(True, "auto", 99), (False, "auto", None), (False, "on", 99), (True, "off", None)],
)
def test_a_bos_stands_where_the_model_or_the_request_wants_one(adds, bos, expected):
    reader = Reader.of(Beginning(99, adds), bos)
    assert reader.bos_id == expected
    assert reader.encode("a") == [97]


def test_a_bos_that_there_is_not_is_refused():
    with pytest.raises(BadInput, match="this model has no BOS"):
        Reader.of(Beginning(None, False), "on")


def test_every_epoch_reads_each_sequence_once_in_another_order():
    order = Order(7, seed=3)
    first, second = order.at(0, 7), order.at(7, 7)
    assert sorted(first) == sorted(second) == list(range(7))
    assert list(first) != list(second)
    assert [order.epoch(position) for position in (0, 6, 7, 20)] == [1, 1, 2, 3]


@given(position=st.integers(0, 40), count=st.integers(1, 15))
def test_who_goes_on_from_a_position_reads_what_an_unbroken_run_reads(position, count):
    order = Order(6, seed=1)
    unbroken = order.at(0, position + count)
    np.testing.assert_array_equal(order.at(position, count), unbroken[position:])


def test_batches_go_on_from_a_position_and_over_the_end_of_an_epoch():
    found = Sequences(np.arange(10, dtype=np.int32).reshape(5, 2))
    endless, resumed = batches(found, Order(5, 0), 3), batches(found, Order(5, 0), 3, position=3)
    next(endless)
    np.testing.assert_array_equal(next(endless), next(resumed))
    assert next(endless).shape == (3, 2)


@pytest.mark.parametrize(("tokens", "expected"), [(127, 1), (253, 1), (254, 2), (1, 1)])
def test_a_step_reads_as_many_sequences_as_its_tokens_fill(tokens, expected):
    assert per_step(tokens, 128) == expected


def test_a_unigram_gives_tokens_never_seen_a_small_probability():
    np.testing.assert_allclose(np.exp(unigram(np.array([3, 1, 0]))), [4 / 7, 2 / 7, 1 / 7])
