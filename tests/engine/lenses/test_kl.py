"""KL(final ‖ lens) and its gradient: by hand, against the obvious formula, against differences."""

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.lenses import kl
from mlxterp_engine.lenses.kl import chunks, gradient, measure, target

import mlx.core as mx
import numpy as np
import pytest

LN2 = float(np.log(2))


def plain(states: mx.array) -> mx.array:
    """States are their own logits."""
    return states * 1.0


def capped(states: mx.array) -> mx.array:
    """A norm, a head and a soft-cap: what a model may do between a state and its logits."""
    normed = mx.fast.rms_norm(states, mx.linspace(0.5, 2, states.shape[-1]), 1e-5)
    head = mx.random.normal((50, states.shape[-1]), key=mx.random.key(9))
    return 5 * mx.tanh(normed @ head.T / 5)


def drawn(tokens: int, width: int, seed: int) -> mx.array:
    return 3 * mx.random.normal((tokens, width), key=mx.random.key(seed))


@pytest.fixture(params=["cpu", "gpu"])
def way(request, monkeypatch):
    """NumPy's way and MLX's, both on this machine's processor."""
    monkeypatch.setattr(kl, "_on_gpu", lambda: request.param == "gpu")


@pytest.mark.usefixtures("way")
def test_half_and_half_against_a_quarter_and_three_quarters():
    final = target(plain, mx.log(mx.array([[0.5, 0.5]])))
    assert as_numpy(final.negative_entropy).tolist() == pytest.approx([-LN2])
    found, back = gradient(plain, mx.log(mx.array([[0.25, 0.75]])), final)
    assert found.tolist() == pytest.approx([LN2 - 0.5 * np.log(3)], abs=1e-6)
    np.testing.assert_allclose(as_numpy(back), [[-0.25, 0.25]], atol=1e-6)  # q − p


@pytest.mark.usefixtures("way")
def test_the_model_against_itself_is_nothing():
    states = drawn(5, 16, 1)
    found, back = gradient(capped, states, target(capped, states))
    np.testing.assert_allclose(found, 0, atol=1e-6)  # rounding of sums of 50
    np.testing.assert_allclose(as_numpy(back), 0, atol=1e-6)


@pytest.mark.usefixtures("way")
def test_it_is_the_gradient_of_the_obvious_formula_through_norm_head_and_cap():
    final, states = drawn(7, 16, 1), drawn(7, 16, 2)

    def obvious(states: mx.array) -> mx.array:
        p, q = mx.softmax(capped(final), axis=-1), mx.softmax(capped(states), axis=-1)
        return (p * (mx.log(p) - mx.log(q))).sum()

    value, expected = mx.value_and_grad(obvious)(states)
    found, back = gradient(capped, states, target(capped, final))
    assert found.sum() == pytest.approx(value.item(), rel=1e-5)
    np.testing.assert_allclose(as_numpy(back), as_numpy(expected), atol=1e-5)


@pytest.mark.usefixtures("way")
def test_it_is_the_gradient_of_a_real_model(tiny):
    final, states = drawn(3, 128, 1), drawn(3, 128, 2)
    goal = target(tiny.unembed, final)
    _, back = gradient(tiny.unembed, states, goal)
    along = drawn(3, 128, 3)
    here = [
        measure(tiny.unembed, states + step * along, goal, np.full(3, -1)).kl.sum(dtype=float)
        for step in (1e-2, -1e-2)
    ]
    slope = (here[0] - here[1]) / 2e-2
    # A central difference of float32 losses near 10: good to about 1e-3.
    assert slope == pytest.approx(float(as_numpy((back * along).sum())), rel=5e-3)


@pytest.mark.usefixtures("way")
def test_what_is_measured_is_the_loss_of_the_next_token_and_whether_the_best_is_the_models():
    final = target(plain, mx.log(mx.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]])))
    lens = mx.log(mx.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1]]))
    found = measure(plain, lens, final, np.array([1, -1]))
    assert found.loss[0] == pytest.approx(-np.log(0.2))
    assert np.isnan(found.loss[1])
    assert found.agrees.tolist() == [True, False]
    assert found.kl[1] == pytest.approx(
        0.1 * np.log(0.1 / 0.6) + 0.8 * np.log(0.8 / 0.3) + 0.1 * np.log(0.1 / 0.1)
    )


@pytest.mark.usefixtures("way")
def test_logits_in_the_hundreds_neither_overflow_nor_vanish():
    final = target(plain, mx.array([[300.0, 299.0, -300.0]]))
    found = measure(plain, mx.array([[-300.0, 0.0, 300.0]]), final, np.array([0]))
    first = 1 / (1 + np.exp(-1))
    expected = (
        first * np.log(first) + (1 - first) * np.log(1 - first) + first * 600 + (1 - first) * 300
    )
    assert found.kl[0] == pytest.approx(expected, rel=1e-6)
    assert found.loss[0] == pytest.approx(600)


def test_chunks_are_equal_cover_every_token_once_and_stay_within_their_bytes():
    parts = list(chunks(254, 49_152))
    assert [part.stop - part.start for part in parts] == [127, 127]
    covered = [i for part in chunks(1000, 262_144) for i in range(1000)[part]]
    assert covered == list(range(1000))
    assert all((p.stop - p.start) * 4 * 262_144 <= kl.CHUNK_BYTES for p in chunks(1000, 262_144))
