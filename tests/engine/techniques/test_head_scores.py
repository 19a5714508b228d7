"""Head scores of real models, on random tokens that are repeated."""

from mlxterp_engine import attention_patterns, head_scores, repeated_random_tokens
from mlxterp_engine.experiments.errors import BadInput

import mlx.core as mx
import numpy as np
import pytest


def test_the_default_models_known_heads_are_found(smol):
    """16.0 reads the token before; 17.3 to 17.5 and 18.6 what followed the last time."""
    scores = head_scores(smol)
    assert {name: array.shape for name, array in scores.items()} == dict.fromkeys(
        ("induction", "previous_token", "duplicate_token", "first_token"), (30, 9)
    )
    assert np.unravel_index(scores["previous_token"].argmax(), (30, 9)) == (16, 0)
    best = np.argsort(-scores["induction"].ravel())[:4]
    assert {divmod(int(i), 9) for i in best} == {(17, 3), (17, 4), (17, 5), (18, 6)}
    assert scores["induction"].max() > 0.7


def test_scores_are_means_over_the_batch_of_what_the_patterns_show(tiny):
    tokens = repeated_random_tokens(tiny, length=10, batch=2, seed=3)
    together = head_scores(tiny, tokens)
    alone = [head_scores(tiny, row) for row in tokens]
    for name, array in together.items():
        mean = (alone[0][name] + alone[1][name]) / 2
        # A batch of two is a matrix product of another shape: float32 sums in another order.
        np.testing.assert_allclose(array, mean, atol=1e-5)
    with tiny.trace(tokens) as trace:
        by_hand = np.mean(
            [trace.pattern(2)[b, 1, i, i - 1].item() for b in (0, 1) for i in range(1, 20)]
        )
    assert together["previous_token"][2, 1] == pytest.approx(by_hand, abs=1e-5)


def test_random_tokens_are_different_ordinary_ones_and_the_same_for_a_seed(smol):
    tokens = repeated_random_tokens(smol, length=25, batch=4, seed=7)
    assert tokens.shape == (4, 50)
    assert np.array_equal(tokens[:, :25], tokens[:, 25:])
    assert all(len(set(row[:25])) == 25 for row in tokens)
    assert not set(tokens.ravel().tolist()) & smol.tokens.special_ids
    assert smol.tokens.bos_id in smol.tokens.special_ids
    assert np.array_equal(tokens, repeated_random_tokens(smol, length=25, batch=4, seed=7))
    assert not np.array_equal(tokens, repeated_random_tokens(smol, length=25, batch=4, seed=8))


def test_tokens_that_do_not_repeat_are_refused(tiny):
    with pytest.raises(BadInput, match="no block repeated once"):
        head_scores(tiny, [1, 2, 3, 1, 2, 4])
    with pytest.raises(BadInput, match="no block repeated once"):
        head_scores(tiny, [1, 2, 1])
    with pytest.raises(BadInput, match="can't be drawn"):
        repeated_random_tokens(tiny, length=5000)


def test_attention_patterns_are_those_of_the_layers_asked_for(tiny):
    with tiny.trace("Alice was") as trace:
        found = attention_patterns(trace, [3, 1])
        assert list(found) == [3, 1]
        assert mx.array_equal(found[3], trace.activations["blocks.3.attn.pattern"])
        assert list(attention_patterns(trace)) == [0, 1, 2, 3]
        with pytest.raises(BadInput, match="no block 4"):
            attention_patterns(trace, [4])
    with tiny.trace("Alice was", sites=["embed"]) as trace, pytest.raises(BadInput, match="record"):
        attention_patterns(trace)
