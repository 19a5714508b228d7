"""Top-k, entropy, KL and ranks: against float64 written out, and both ways against each other."""

from mlxterp_engine.vocabulary import _summarise_on_device, reference, summarise

import mlx.core as mx
import numpy as np
import pytest

POS, VOCAB = 3, 700


def logits(rows: int, seed: int = 0, size: float = 5.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((rows, VOCAB)) * size).astype(np.float32)


def log_softmax(y: np.ndarray) -> np.ndarray:
    y = y.astype(np.float64)
    y = y - y.max(axis=-1, keepdims=True)
    return y - np.log(np.exp(y).sum(axis=-1, keepdims=True))


def slow(y: np.ndarray, at: np.ndarray, final: np.ndarray, k: int, target: int) -> dict:
    """The definitions, in float64, row by row."""
    log_p, log_f = log_softmax(y), log_softmax(final)[at]
    order = np.argsort(-y, axis=-1, kind="stable")
    return {
        "top_ids": order[:, :k],
        "top_probs": np.exp(np.take_along_axis(log_p, order[:, :k], axis=-1)),
        "entropy": -(np.exp(log_p) * log_p).sum(axis=-1),
        "kl": (np.exp(log_f) * (log_f - log_p)).sum(axis=-1),
        "final_rank": (order == log_f.argmax(-1)[:, None]).argmax(-1),
        "target_prob": np.exp(log_p[:, target]),
        "target_rank": (order == target).argmax(-1),
    }


@pytest.mark.parametrize("way", ["numpy", "device"])
@pytest.mark.parametrize("size", [0.1, 5.0, 60.0])
def test_every_column_is_its_definition(way, size):
    final, y = logits(POS, 1), logits(7, 2, size)
    at = np.arange(7) % POS
    compute = summarise if way == "numpy" else _summarise_on_device
    found = compute(mx.array(y), at, reference(mx.array(final)), 4, 17)
    for name, expected in slow(y, at, final, 4, 17).items():
        # float32 sums of 700 terms: a few 1e-6 of the largest value.
        scale = max(1.0, float(np.abs(expected).max()))
        assert np.abs(found[name] - expected).max() <= 4e-6 * scale, name


@pytest.mark.parametrize("way", ["numpy", "device"])
def test_the_loss_is_of_the_prompts_next_token_and_unknown_behind_the_last(way):
    y = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]], dtype=np.float32))
    compute = summarise if way == "numpy" else _summarise_on_device
    known = reference(mx.array(y), following=np.array([2, 1, -1], dtype=np.int32))
    loss = compute(mx.array(y), np.array([0, 1, 2]), known, 1, None)["next_loss"]
    assert loss[:2].tolist() == pytest.approx([-np.log(0.25), -np.log(0.8)])
    assert np.isnan(loss[2])


def test_a_distribution_is_at_distance_zero_from_itself_to_the_bit():
    final = mx.array(logits(5))
    assert summarise(final, np.arange(5), reference(final), 3)["kl"].tolist() == [0.0] * 5


def test_four_equal_logits_have_known_answers():
    y = mx.zeros((1, 4))
    found = summarise(y, np.array([0]), reference(y), 4, target=3)
    assert found["entropy"][0] == pytest.approx(np.log(4))
    assert found["top_ids"][0].tolist() == [0, 1, 2, 3]  # equal values by id
    assert found["top_probs"][0].tolist() == [0.25] * 4
    assert found["final_rank"][0] == 0
    assert found["target_rank"][0] == 0


def test_kl_is_from_the_final_distribution_to_the_row():
    """KL((3/4, 1/4) ‖ (1/2, 1/2)) = ln 2 − H(3/4); the other direction would be 0.1438."""
    final, row = mx.log(mx.array([[0.75, 0.25]])), mx.log(mx.array([[0.5, 0.5]]))
    kl = summarise(row, np.array([0]), reference(final), 1)["kl"][0]
    assert kl == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5), abs=1e-6)


def test_a_row_with_nan_stays_nan():
    y = logits(2)
    y[1, 5] = np.nan
    found = summarise(mx.array(y), np.array([0, 1]), reference(mx.array(logits(2, 3))), 2)
    assert np.isfinite(found["kl"][0])
    assert np.isnan(found["kl"][1])
    assert np.isnan(found["entropy"][1])
