"""Percentile intervals over texts, against answers known without a bootstrap."""

from itertools import product

from mlxterp_engine.bootstrap import DRAWS, estimate, pooled_means, resamples

import numpy as np
import pytest


def mean(pooled: np.ndarray) -> np.ndarray:
    return pooled[:, 0]


def test_every_draw_has_as_many_texts_as_there_are_and_the_seed_decides():
    drawn = resamples(7, 100, seed=3)
    assert drawn.shape == (100, 7)
    assert (drawn.sum(axis=-1) == 7).all()
    assert (drawn == resamples(7, 100, seed=3)).all()
    assert (drawn != resamples(7, 100, seed=4)).any()


def test_of_three_texts_the_draws_have_the_distribution_of_all_27():
    values = np.array([[0.0], [1.0], [10.0]])
    drawn = pooled_means(resamples(3, 20_000, seed=0), values, np.ones(3))[:, 0]
    every = sorted(np.mean(draw) for draw in product([0.0, 1.0, 10.0], repeat=3))
    for level in (0.1, 0.3, 0.5, 0.7, 0.9):
        exact = np.mean(np.array(every) <= every[int(level * 27)])
        # The share of 20 000 draws is good to 3 × sqrt(0.25 / 20 000) = 0.011.
        assert np.mean(drawn <= every[int(level * 27)] + 1e-9) == pytest.approx(exact, abs=0.011)


def test_the_interval_of_a_mean_is_the_textbook_s():
    values = np.random.default_rng(0).normal(5, 2, size=(400, 1))
    found = estimate(mean, values, np.ones(400), seed=1)
    error = values.std() / np.sqrt(400)
    assert found.value == pytest.approx(values.mean())
    # Percentiles of 10 000 draws are good to about 0.03 standard errors each.
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)
    assert (found.n, found.draws) == (400, DRAWS)


def test_texts_count_by_their_tokens_and_all_at_once_equals_one_by_one():
    random = np.random.default_rng(2)
    values, tokens = random.normal(size=(5, 3)), np.array([1.0, 9.0, 2.0, 4.0, 30.0])
    counts = resamples(5, 50, seed=0)
    for draw, pooled in zip(counts, pooled_means(counts, values, tokens), strict=True):
        rows = [value for text in range(5) for value in [values[text]] * int(draw[text])]
        weights = [tokens[text] for text in range(5) for _ in range(int(draw[text]))]
        np.testing.assert_allclose(pooled, np.average(rows, axis=0, weights=weights), rtol=1e-12)


def test_texts_that_agree_leave_no_doubt():
    found = estimate(mean, np.full((4, 1), 0.25), np.ones(4), seed=0)
    assert (found.value, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))


def test_a_cell_that_is_not_known_makes_the_figure_unknown():
    found = estimate(mean, np.array([[1.0], [np.nan]]), np.ones(2), seed=0)
    assert not found.known
