"""Scores by hand: heads that look at one place, and at all places alike."""

from mlxterp_engine import (
    duplicate_token_score,
    first_token_score,
    induction_score,
    previous_token_score,
)
from mlxterp_engine.experiments.errors import BadInput

import numpy as np
import pytest

S = 3  # tokens a b c a b c


def looking_at(source_of):
    """A head that gives all its attention to one source for each of the 2·S destinations."""
    pattern = np.zeros((2 * S, 2 * S))
    for i in range(2 * S):
        pattern[i, max(source_of(i), 0)] = 1
    return pattern


EVENLY = np.tril(np.ones((2 * S, 2 * S))) / np.arange(1, 2 * S + 1)[:, None]


@pytest.mark.parametrize(
    ("score", "perfect"),
    [
        (lambda pattern: induction_score(pattern, S), lambda i: i - S + 1),
        (lambda pattern: duplicate_token_score(pattern, S), lambda i: i - S),
        (previous_token_score, lambda i: i - 1),
        (first_token_score, lambda i: 0),
    ],
)
def test_a_perfect_head_scores_one_and_one_that_looks_at_itself_none(score, perfect):
    assert score(looking_at(perfect)) == 1
    assert score(looking_at(lambda i: i)) == 0


def test_attention_spread_evenly_gives_the_mean_share_of_one_source():
    second_half = (1 / 4 + 1 / 5 + 1 / 6) / 3
    after_the_first = (1 / 2 + 1 / 3 + 1 / 4 + 1 / 5 + 1 / 6) / 5
    assert induction_score(EVENLY, S) == pytest.approx(second_half)
    assert duplicate_token_score(EVENLY, S) == pytest.approx(second_half)
    assert previous_token_score(EVENLY) == pytest.approx(after_the_first)
    assert first_token_score(EVENLY) == pytest.approx(after_the_first)


def test_each_head_of_an_array_has_its_score():
    heads = np.stack([looking_at(lambda i: i - 1), EVENLY, looking_at(lambda i: 0)])
    assert previous_token_score(heads) == pytest.approx([1, previous_token_score(EVENLY), 0.2])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: induction_score(EVENLY, 4), "no block of 4 tokens repeated once"),
        (lambda: duplicate_token_score(EVENLY, 0), "no block of 0 tokens"),
        (lambda: previous_token_score(np.ones((1, 1))), "no earlier token"),
        (lambda: first_token_score(np.ones((2, 3))), "square"),
        (lambda: first_token_score(np.ones(3)), "square"),
    ],
)
def test_what_is_no_such_pattern_is_refused(call, words):
    with pytest.raises(BadInput, match=words):
        call()
