"""The ridge lens: exact answers, the slow obvious ways, and what a massive activation does."""

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.corpora.builtin import builtin
from mlxterp_engine.corpora.sequences import Reader, sequences
from mlxterp_engine.lenses import ridge
from mlxterp_engine.lenses.capture import capture
from mlxterp_engine.lenses.ridge import WEIGHTS, Moments, fit, solve
from mlxterp_engine.lenses.steps import finished

import mlx.core as mx
import numpy as np
import pytest


def centred(x, y, parts=1):
    """The moments of x, y [token, d], summed in so many parts, as they stream by."""
    moments = Moments.around(x[:3], y[:3])
    for some_x, some_y in zip(np.array_split(x, parts), np.array_split(y, parts), strict=True):
        moments.add(some_x, some_y)
    return moments.centred()


def drawn(tokens=200, d=6, noise=0.3, seed=0):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(tokens, d)) * 2.0 ** np.arange(d) + 5
    return x, x @ draw.normal(size=(d, d)) + 1 + noise * draw.normal(size=(tokens, d))


def test_one_coordinate_by_hand():
    # x = −1, 1 and y = 2x: variance 1, covariance 2, so 2 / (1 + weight).
    x, y = np.array([[-1.0], [1.0]]), np.array([[-2.0], [2.0]])
    assert solve(centred(x, y), 0).matrix.item() == pytest.approx(2.0)
    halved = solve(centred(x, y), 1.0)
    assert halved.matrix.item() == pytest.approx(1.0)
    assert (halved.degrees, halved.residual) == (pytest.approx(0.5), pytest.approx(1.0))


def test_without_a_penalty_it_is_least_squares():
    x, y = drawn()
    expected, *_ = np.linalg.lstsq(x - x.mean(0), y - y.mean(0))
    found = solve(centred(x, y, parts=7), 0)
    np.testing.assert_allclose(found.matrix, expected.T, rtol=1e-9)
    assert found.degrees == pytest.approx(6)
    residuals = y - y.mean(0) - (x - x.mean(0)) @ expected
    assert found.residual == pytest.approx((residuals**2).sum(axis=1).mean())


@pytest.mark.parametrize("weight", [1e-3, 1.0, 100.0])
def test_with_one_it_solves_the_normal_equations(weight):
    x, y = drawn()
    xc, yc = x - x.mean(0), y - y.mean(0)
    covariance = xc.T @ xc / len(x)
    penalty = weight * np.trace(covariance) / 6 * np.eye(6)
    expected = np.linalg.solve(covariance + penalty, xc.T @ yc / len(x))
    np.testing.assert_allclose(solve(centred(x, y), weight).matrix, expected.T, rtol=1e-9)


def test_a_direction_that_never_varies_gets_nothing():
    x, y = drawn(d=3)
    x[:, 1] = 7
    found = solve(centred(x, y), 0).matrix
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:, 1], 0, atol=1e-12)


def test_auto_is_the_weight_that_cross_validation_by_leaving_one_out_would_take():
    # GCV is leave-one-out with the leverages averaged (Golub, Heath & Wahba 1979): the slow way.
    x, y = drawn(tokens=20, d=12, noise=60.0)

    def left_out(weight):
        total = 0.0
        for token in range(len(x)):
            kept = np.arange(len(x)) != token
            stats = centred(x[kept], y[kept])
            guess = stats.mean_y + solve(stats, weight).matrix @ (x[token] - stats.mean_x)
            total += ((y[token] - guess) ** 2).sum()
        return total

    best = min(WEIGHTS, key=left_out)
    chosen = solve(centred(x, y), "auto").weight
    assert abs(np.log10(chosen / best)) <= 0.51  # the same, or its neighbour in the grid


def test_fewer_tokens_than_coordinates_are_not_interpolated():
    x, y = drawn(tokens=10, d=30, noise=5.0)
    found = solve(centred(x, y), "auto")
    assert found.degrees < 9
    assert found.residual > 0


def test_a_massive_coordinate_beside_small_ones_costs_no_digits():
    # As in the default model, where one coordinate is 1e3 of the others.
    draw = np.random.default_rng(1)
    x = draw.normal(size=(400, 5)).astype(np.float32)
    x[:, 2] = 1e4 + 1e3 * draw.normal(size=400)
    y = x @ np.diag([1, 2, 1e-3, 4, 5]).astype(np.float32)
    found = solve(centred(x.astype(float), y.astype(float), parts=9), 0).matrix
    np.testing.assert_allclose(found, np.diag([1, 2, 1e-3, 4, 5]), atol=1e-6)


@pytest.fixture(scope="module")
def ids(tiny):
    reader = Reader.of(tiny.tokens)
    return finished(sequences(builtin().training, reader, 32, most=40)).ids


def test_a_models_lens_is_the_least_squares_map_of_its_own_states(tiny, ids):
    lens = finished(fit(tiny.net, tiny.anatomy, [ids[:25], ids[25:]], 1e-6))
    captured = finished(capture(tiny.net, tiny.anatomy, ids))
    x, y = (as_numpy(a).astype(float) for a in (captured.hidden[2], captured.final))
    assert lens.tokens == len(x) == 40 * 31
    design = np.hstack([x, np.ones((len(x), 1))])
    solution, *_ = np.linalg.lstsq(design, y)
    expected = design @ solution
    found = as_numpy(lens.translators.translate(captured.hidden[2], 1))
    # float32 products of 128 terms beside float64 ones
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())


def test_an_enormous_penalty_is_the_logit_lens_with_its_mean_put_right(tiny, ids):
    lens = finished(fit(tiny.net, tiny.anatomy, [ids], 1e12))
    assert mx.abs(lens.translators.weight).max().item() < 1e-9
    captured = finished(capture(tiny.net, tiny.anatomy, ids))
    bias = as_numpy(lens.translators.bias[0])
    expected = as_numpy((captured.final - captured.hidden[0]).mean(axis=0))
    np.testing.assert_allclose(bias, expected, atol=1e-4)


def test_batches_may_be_cut_anywhere(tiny, ids, monkeypatch):
    whole = finished(fit(tiny.net, tiny.anatomy, [ids]))
    monkeypatch.setattr(ridge, "groups", lambda batch: iter(np.array_split(batch, 13)))
    parts = finished(fit(tiny.net, tiny.anatomy, [ids]))
    np.testing.assert_allclose(
        as_numpy(whole.translators.weight), as_numpy(parts.translators.weight), atol=1e-4
    )
    assert whole.weight.tolist() == parts.weight.tolist()
