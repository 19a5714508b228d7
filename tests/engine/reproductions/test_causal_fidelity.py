"""Directions of a lens, and what taking them away does, against slow and obvious references."""

from mlxterp_engine.lenses.translators import Translators
from mlxterp_engine.reproductions.causal_fidelity import (
    Directions,
    directions,
    gradients,
    influence_on_lens,
    influence_on_model,
    spread_ranks,
)
from mlxterp_engine.reproductions.lens_quality import see
from mlxterp_engine.reproductions.rank_correlation import ranks, spearman

import mlx.core as mx
import numpy as np
import pytest

TEXT = "The cat sat on the mat and looked at the dog."


def finished(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.fixture(scope="module")
def seen(tiny):
    return finished(see(tiny, tiny.encode(TEXT)))


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_gradients_are_of_the_log_probability_of_a_token_drawn_from_the_lens(tiny, seen):
    states, seed = seen.hidden[2], 4
    found = gradients(tiny, states, 1, None, seed)
    drawn = mx.random.categorical(tiny.unembed(states), key=mx.random.key(seed))

    def log_prob(h: mx.array) -> mx.array:
        logits = tiny.unembed(h)
        logs = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
        return mx.take_along_axis(logs, drawn[:, None], axis=-1).sum()

    np.testing.assert_allclose(found, np.array(mx.grad(log_prob)(states)), atol=1e-5)


def test_gradients_go_through_the_translator(tiny, seen):
    """By finite differences along one direction, in float64 as far as the network lets it be."""
    d = tiny.card.d_model
    lens = Translators(mx.full((tiny.card.layers, d, d), 0.01), mx.zeros((tiny.card.layers, d)))
    states, step = seen.hidden[2][:1], 1e-2
    grad = gradients(tiny, states, 1, lens, 0)[0]
    logits = tiny.unembed(lens.translate(states, 1))
    drawn = int(mx.random.categorical(logits, key=mx.random.key(0))[0])
    along = mx.random.normal((d,), key=mx.random.key(9))

    def log_prob(h: mx.array) -> float:
        values = np.array(tiny.unembed(lens.translate(h, 1)), dtype=np.float64)[0]
        return float(values[drawn] - np.log(np.exp(values).sum()))

    slope = (log_prob(states + step * along) - log_prob(states - step * along)) / (2 * step)
    assert float(grad @ np.array(along)) == pytest.approx(slope, rel=2e-2)  # float32 logits


def test_directions_are_those_along_which_gradients_are_long():
    grads = np.array([[3.0, 0, 0], [-3, 0, 0], [0, 2, 0], [0, 0, 1]])
    states = np.array([[1.0, 5, 0], [3, 5, 0], [1, 5, 0], [3, 5, 0]])
    found = directions(states, grads, [0, 1, 2])
    np.testing.assert_allclose(np.abs(found.vectors), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(found.information, [18 / 4, 4 / 4, 1 / 4])
    np.testing.assert_allclose(np.abs(found.mean), [2, 5, 0])
    np.testing.assert_allclose(found.spread, [1, 0, 0])


def test_ranks_are_spread_from_the_first_to_the_last():
    assert spread_ranks(576, 4).tolist() == [0, 7, 68, 575]
    assert spread_ranks(3, 24).tolist() == [0, 1, 2]


def one_direction(seen, row: int, seed: int = 3) -> Directions:
    vector = np.random.default_rng(seed).normal(size=seen.hidden[row].shape[1])
    vector /= np.linalg.norm(vector)
    return Directions(vector[None], np.array([2.0]), np.ones(1), np.ones(1), np.zeros(1, int))


def test_the_influence_on_a_lens_is_the_kl_from_before_to_after(tiny, seen):
    found = one_direction(seen, 2)
    (influence,) = finished(influence_on_lens(tiny, seen, 2, None, found))
    states = np.array(seen.hidden[2], dtype=np.float64)
    (u,) = found.vectors
    ablated = states + np.outer(2.0 - states @ u, u)
    before, after = (
        softmax(np.array(tiny.unembed(mx.array(h.astype(np.float32))), dtype=np.float64))
        for h in (states, ablated)
    )
    wanted = (before * np.log(before / after)).sum(axis=-1).mean()
    assert influence == pytest.approx(wanted, rel=1e-3)


def test_before_the_last_block_s_end_the_model_is_the_lens(tiny, seen):
    """Ablating the last block's output changes what the model says as the logit lens says."""
    last = tiny.card.layers
    final_state = tiny.run(tiny.encode(TEXT), record=[]).logits[0, 1:-1]
    np.testing.assert_allclose(
        np.exp(seen.final), softmax(np.array(final_state, dtype=np.float64)), atol=1e-5
    )
    trace = tiny.trace(tiny.encode(TEXT), sites=[f"blocks.{last - 1}.resid_post"])
    state = trace.activations[f"blocks.{last - 1}.resid_post"][0, 1:-1]
    seen.hidden.append(state)
    found = one_direction(seen, last)
    on_lens = finished(influence_on_lens(tiny, seen, last, None, found))
    on_model = finished(influence_on_model(tiny, tiny.encode(TEXT), seen, last, found))
    seen.hidden.pop()
    np.testing.assert_allclose(on_model, on_lens, rtol=1e-3)


def test_a_direction_that_already_has_its_mean_everywhere_has_no_influence(tiny, seen):
    states = np.array(seen.hidden[1], dtype=np.float64)
    *_, null = np.linalg.svd(states - states.mean(axis=0))[2]  # fewer tokens than dimensions
    mean = np.array([float(states.mean(axis=0) @ null)])
    found = Directions(null[None], mean, np.zeros(1), np.zeros(1), np.zeros(1, int))
    (on_lens,) = finished(influence_on_lens(tiny, seen, 1, None, found))
    (on_model,) = finished(influence_on_model(tiny, tiny.encode(TEXT), seen, 1, found))
    assert on_lens == pytest.approx(0, abs=1e-5)
    assert abs(on_model) < 0.05  # the text's last position is edited too, and was not looked at


def test_ties_share_their_rank_and_rho_is_spearman_s():
    assert ranks(np.array([[3.0, 1, 3, 7]])).tolist() == [[1.5, 0, 1.5, 3]]
    assert spearman(np.array([[1.0, 2, 3], [3, 2, 1]]), np.array([5.0, 6, 9])) == pytest.approx(
        [1, -1]
    )
    # Ranks 0 2 1 3 against 0 1 2 3: 1 - 6 × 2 / (4 × 15) = 0.8.
    assert spearman(np.array([[1.0, 7, 3, 9]]), np.arange(4)) == pytest.approx([0.8])
    assert np.isnan(spearman(np.ones((1, 3)), np.arange(3)))
