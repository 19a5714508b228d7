"""The marginal bias: what each layer predicts on average, against the slow obvious way."""

from mlxterp_engine.reproductions.lens_marginals import (
    SKIPPED,
    bias,
    divergence,
    log_of_mean,
    marginals,
    unigram_kl,
)

import numpy as np
import pytest

TEXT = "Alice was beginning to get very tired of sitting by her sister on the bank"


def result_of(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.fixture(scope="module")
def ids(tiny):
    return tiny.encode(TEXT)


@pytest.fixture(scope="module")
def found(tiny, ids):
    return result_of(marginals(tiny, ids))


@pytest.fixture(scope="module")
def slow(tiny, ids):
    """[row, pos, vocab] probabilities of every lens row, through the public trace, in float64."""
    with tiny.trace(ids) as trace:
        names = ["embed", *(f"blocks.{block}.resid_post" for block in range(tiny.card.layers))]
        states = [trace.activations[name][0, SKIPPED:] for name in names]
    logits = np.stack([np.array(tiny.unembed(state), dtype=np.float64) for state in states])
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def test_the_mean_distribution_of_each_layer_is_the_mean_of_its_softmaxes(found, slow):
    expected = slow.mean(axis=1)
    assert np.exp(found.log_mean).sum(axis=-1) == pytest.approx(1, abs=1e-5)
    # Probabilities from float32 logits of about 20: each is good to about 20 × 6e-8 relative.
    np.testing.assert_allclose(np.exp(found.log_mean), expected, rtol=2e-5, atol=1e-12)


def test_the_mismatched_control_compares_with_the_row_half_a_text_away(found, slow):
    final, shift = slow[-1], slow.shape[1] // 2
    for row, kl in enumerate(found.mismatched):
        pairs = [
            (final[pos] * np.log(final[pos] / slow[row, pos - shift])).sum()
            for pos in range(len(final))
        ]
        assert kl == pytest.approx(np.mean(pairs), rel=1e-4)


def test_a_lens_that_is_right_on_average_has_no_bias():
    layer = np.log(np.array([[0.5, 0.5], [0.5, 0.5]]))  # [text, vocab]
    last = np.log(np.array([[0.2, 0.8], [0.8, 0.2]]))
    weights = np.array([[0.5, 0.5], [1.0, 0.0]])  # both texts, then the first alone
    final = log_of_mean(last, weights)
    alone = 0.2 * np.log2(0.2 / 0.5) + 0.8 * np.log2(0.8 / 0.5)
    assert bias(final, layer, weights) == pytest.approx([0, alone])
    assert bias(final, last, weights) == pytest.approx([0, 0])


def test_two_certain_coins_are_two_bits_apart():
    p, q = np.log([1.0 - 1e-12, 1e-12]), np.log([0.25, 0.75])
    assert divergence(p, q) == pytest.approx(2)


def test_probabilities_too_small_for_a_float_keep_their_logarithm():
    logs = np.array([[0.0, -900.0], [0.0, -900.0]], dtype=np.float32)
    assert log_of_mean(logs)[1] == -900
    assert log_of_mean(logs, np.array([[0.3, 0.7]]))[0, 1] == pytest.approx(-900)


def test_the_unigram_of_a_text_is_what_the_other_texts_predict():
    first, second = np.array([0.9, 0.1]), np.array([0.5, 0.5])
    logs = np.log(np.stack([first, second]))
    negative_entropy = (np.exp(logs) * logs).sum(axis=-1)  # each text of one position
    kl = unigram_kl(logs, negative_entropy, np.array([1.0, 1.0]))
    assert kl[0] == pytest.approx((first * np.log(first / second)).sum())
    assert kl[1] == pytest.approx((second * np.log(second / first)).sum())


def test_longer_texts_count_for_more_in_the_unigram_of_another():
    logs = np.log(np.array([[0.5, 0.5], [0.9, 0.1], [0.1, 0.9]]))
    kl = unigram_kl(logs, np.full(3, -np.log(2)), np.array([1.0, 3.0, 1.0]))
    unigram = (3 * np.array([0.9, 0.1]) + np.array([0.1, 0.9])) / 4
    assert kl[0] == pytest.approx((0.5 * np.log(0.5 / unigram)).sum())


def test_it_asks_for_one_row_at_a_time_so_that_it_can_be_stopped(tiny, ids):
    steps = marginals(tiny, ids)
    assert next(steps) == 1
    steps.close()
