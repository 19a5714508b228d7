"""Buckets of positions, their means over facts, and the histogram, by hand."""

from __future__ import annotations

from itertools import product

from mlxterp_engine.techniques.causal_facts_buckets import (
    FIRST,
    FURTHER,
    LAST_SUBJECT,
    MIDDLE,
    SUBSEQUENT,
    Span,
    bucketed,
    counts_of,
    histogram,
    interval_of_facts,
    largest,
    mean_of_facts,
    peaks,
    positions_of,
    spread_of_facts,
)

import numpy as np
import pytest

NAN = np.nan


@pytest.mark.parametrize(
    ("span", "positions"),
    [
        # The | Ei|ff|el| Tow|er | is | in | the | city | of
        (Span(1, 6, 11), [[1], [2, 3, 4], [5], [6], [7, 8, 9], [10]]),
        # Peru | 's | capital | is: a subject of one token is first and last
        (Span(0, 1, 4), [[0], [], [0], [1], [2], [3]]),
        (Span(0, 2, 4), [[0], [], [1], [2], [], [3]]),
        # what follows the subject is the last token at once
        (Span(1, 3, 4), [[1], [], [2], [3], [], [3]]),
        # the prompt ends with its subject
        (Span(1, 3, 3), [[1], [], [2], [], [], [2]]),
    ],
)
def test_positions_fall_into_the_paper_s_six_buckets(span, positions):
    assert [list(found) for found in positions_of(span)] == positions
    assert counts_of(span) == [len(found) for found in positions]


def test_a_bucket_is_the_mean_of_its_positions_and_nan_where_it_has_none():
    values = np.array([[1.0, 2.0, 4.0, 9.0, 5.0, 6.0], [0.0, 0.0, 0.0, 0.0, 0.0, 6.0]])
    found = bucketed(values, Span(0, 4, 6))
    np.testing.assert_array_equal(found, [[1, 3, 9, 5, NAN, 6], [0, 0, 0, 0, NAN, 6]])


@pytest.mark.parametrize(
    ("at", "bucket"), [(1, FIRST), (2, MIDDLE), (3, LAST_SUBJECT), (4, SUBSEQUENT), (5, FURTHER)]
)
def test_the_largest_cell_is_named_by_layer_and_bucket(at, bucket):
    values = np.zeros((3, 7))
    values[2, at] = 0.5
    values[1, 0] = 0.9  # before the subject nothing is restored: no bucket
    values[2, 6] = 0.9  # at the last token late states hold the answer itself
    assert largest(values, Span(1, 4, 7)) == (2, bucket)


def test_a_position_in_two_buckets_counts_as_last_subject_first():
    assert largest(np.array([[0.5, 0.1, 0.2]]), Span(0, 1, 3)) == (0, LAST_SUBJECT)
    # a prompt that ends with its subject has nothing else
    assert largest(np.array([[0.1, 0.2, 0.5]]), Span(1, 3, 3)) == (0, LAST_SUBJECT)


def test_a_failed_cell_is_never_the_largest():
    assert largest(np.array([[NAN, 0.1, 0.0, -1.0]]), Span(0, 2, 4)) == (0, LAST_SUBJECT)


def test_each_bucket_has_the_layer_of_its_peak_and_none_where_it_has_no_token():
    effects = np.array([[0.1, NAN, 0.3], [0.2, NAN, 0.0], [0.0, NAN, 0.1]])
    assert peaks(effects) == [1, -1, 0]


def test_the_histogram_counts_the_facts_that_peak_at_each_layer_of_a_bucket():
    # Three facts, two buckets, of which the second fact has but one.
    counts = histogram(np.array([[0, 2], [0, -1], [1, 2]]), 3)
    np.testing.assert_array_equal(counts, [[2, 0], [1, 0], [0, 2]])
    assert counts.dtype == np.int32


def test_means_and_spreads_are_over_the_facts_that_have_such_tokens():
    values = np.array([[[1.0, NAN, NAN]], [[3.0, 5.0, NAN]]])  # [fact, one layer, three buckets]
    having = np.isfinite(values[:, 0])
    np.testing.assert_allclose(mean_of_facts(values, having), [[2, 5, NAN]])
    # of 1 and 3 with n − 1: the square root of 2; of one fact there is none
    np.testing.assert_allclose(spread_of_facts(values, having), [[2**0.5, NAN, NAN]], rtol=1e-6)


def test_a_cell_that_failed_is_not_averaged_away():
    values, having = np.array([[[1.0]], [[NAN]], [[2.0]]]), np.ones((3, 1), bool)
    assert np.isnan(mean_of_facts(values, having)).all()
    assert np.isnan(spread_of_facts(values, having)).all()
    assert np.isnan(interval_of_facts(values, having, seed=0)).all()


def test_intervals_are_those_of_all_draws_of_three_facts():
    values, having = np.array([[[0.0]], [[3.0]], [[6.0]]]), np.ones((3, 1), bool)
    every = sorted(np.mean(draw) for draw in product([0.0, 3.0, 6.0], repeat=3))
    # 1 of 27 draws is 0, 3.7 % of them: the lowest 2.5 % end there.
    low, high = interval_of_facts(values, having, seed=0)
    assert (every[0], every[-1]) == (low[0, 0], high[0, 0]) == (0, 6)


def test_equal_facts_leave_nothing_to_move():
    low, high = interval_of_facts(np.full((40, 2, 3), 0.25), np.ones((40, 3), bool), seed=0)
    np.testing.assert_array_equal([low, high], np.full((2, 2, 3), 0.25))


def test_an_interval_over_facts_is_that_of_their_mean():
    """Of 400 draws from a normal distribution: 1.96 standard errors, to 15 % for 2000 draws."""
    values = np.random.default_rng(0).normal(size=(400, 1, 1))
    low, high = interval_of_facts(values, np.ones((400, 1), bool), seed=1)
    assert (high - low).item() / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.15)


def test_a_bucket_of_fewer_than_two_facts_has_no_interval():
    values = np.array([[[1.0, NAN]], [[2.0, 4.0]]])
    low, high = interval_of_facts(values, np.isfinite(values[:, 0]), seed=0)
    assert np.isfinite([low[0, 0], high[0, 0]]).all()
    assert np.isnan([low[0, 1], high[0, 1]]).all()
