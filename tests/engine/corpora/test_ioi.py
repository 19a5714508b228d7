"""Pairs of prompts that differ in who gives."""

from mlxterp_engine.corpora.ioi import NAMES, ioi_pairs
from mlxterp_engine.experiments import BadInput

import pytest


def every(text):
    return True


def test_a_pair_calls_for_the_one_who_does_not_give():
    for pair in ioi_pairs(40, 0, every):
        receiver, giver = pair.answer.strip(), pair.wrong.strip()
        assert receiver != giver
        assert (pair.clean.count(receiver), pair.clean.count(giver)) == (1, 2)
        assert (pair.corrupt.count(receiver), pair.corrupt.count(giver)) == (2, 1)


def test_the_prompts_of_a_pair_differ_in_one_word():
    for pair in ioi_pairs(10, 3, every):
        differing = [
            (a, b) for a, b in zip(pair.clean.split(), pair.corrupt.split(), strict=True) if a != b
        ]
        assert differing == [(pair.wrong.strip(), pair.answer.strip())]


def test_pairs_are_different_and_the_same_for_a_seed():
    pairs = ioi_pairs(200, 1, every)
    assert len(set(pairs)) == 200
    assert ioi_pairs(200, 1, every) == pairs
    assert ioi_pairs(200, 2, every) != pairs


def test_both_orders_of_the_names_occur():
    first = [
        pair.clean.index(pair.answer) < pair.clean.index(pair.wrong)
        for pair in ioi_pairs(50, 0, every)
    ]
    assert 10 < sum(first) < 40  # a fair coin leaves this range once in 30 000


def test_names_of_several_tokens_are_left_out():
    kept = {f" {name}" for name in NAMES[:4]}
    pairs = ioi_pairs(20, 0, lambda text: text in kept)
    assert {pair.answer for pair in pairs} <= kept


def test_too_few_names_or_too_many_pairs_are_refused():
    with pytest.raises(BadInput, match="only 2 of 30 names are one token"):
        ioi_pairs(1, 0, lambda text: text in (" Mary", " John"))
    with pytest.raises(BadInput, match="there are 12 different pairs"):
        ioi_pairs(13, 0, lambda text: text in (" Mary", " John", " Tom"))
