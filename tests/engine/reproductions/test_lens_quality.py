"""A lens on a text: against plain formulas, and against the experiments that anybody can run."""

from mlxterp_engine import LogitLens, run
from mlxterp_engine.lenses.translators import Translators
from mlxterp_engine.reproductions.lens_quality import NOT_COUNTED, quality, see
from mlxterp_engine.reproductions.lens_transfer import (
    apart,
    penalties,
    spread_rows,
    transfer_losses,
)

import mlx.core as mx
import numpy as np
import pytest

TEXT = "Alice was beginning to get very tired of sitting by her sister on the bank."


def finished(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.fixture(scope="module")
def seen(tiny):
    return finished(see(tiny, tiny.encode(TEXT)))


@pytest.fixture(scope="module")
def lens(tiny) -> Translators:
    """Not far from the logit lens, and different in every layer."""
    shape = (tiny.card.layers, tiny.card.d_model, tiny.card.d_model)
    weight = 0.02 * mx.random.normal(shape, key=mx.random.key(1))
    return Translators(weight, 0.1 * mx.random.normal(shape[:2], key=mx.random.key(2)))


def test_neither_the_first_token_nor_the_last_counts(tiny, seen):
    ids = tiny.encode(TEXT)
    assert seen.tokens == len(ids) - NOT_COUNTED
    assert seen.next_ids.tolist() == ids[2:]
    assert seen.final.shape == (seen.tokens, tiny.card.vocab_size)


def test_without_a_lens_it_is_the_logit_lens_as_anybody_would_run_it(tiny, seen):
    own = run(LogitLens(prompt=TEXT, model="glass-tiny"), tiny, log=False)
    found = finished(quality(tiny, seen, None))
    for name, ours in (("kl", found.kl), ("entropy", found.entropy)):
        theirs = np.array(own.arrays[name])[:-1, 1:-1].mean(axis=-1)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)  # float32 sums, in another order
    top = np.array(own.arrays["top_ids"])[:, 1:-1, 0]
    np.testing.assert_allclose(found.agreement, (top[:-1] == top[-1]).mean(axis=-1))


def test_the_loss_is_that_of_the_text_s_own_next_token(tiny, seen, lens):
    found = finished(quality(tiny, seen, lens))
    states = lens.translate(seen.hidden[2], 1)
    logits = np.array(tiny.unembed(states), dtype=np.float64)
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    wanted = -np.mean([row[i] for row, i in zip(logs, seen.next_ids, strict=True)])
    assert found.loss[2] == pytest.approx(wanted, rel=1e-5)
    mean = np.log(np.exp(logs).mean(axis=0))
    np.testing.assert_allclose(found.log_mean[2], mean, rtol=1e-4)


def test_a_lens_of_zeros_is_the_logit_lens(tiny, seen):
    nothing = Translators.zero(tiny.card.layers, tiny.card.d_model)
    with_it, without = (finished(quality(tiny, seen, one)) for one in (nothing, None))
    np.testing.assert_array_equal(with_it.kl, without.kl)


def test_on_its_own_layer_a_translator_gives_the_lens_s_own_loss(tiny, seen, lens):
    rows = [0, 2, 3]
    losses = finished(transfer_losses(tiny, seen, lens, rows))
    own = finished(quality(tiny, seen, lens)).loss[rows]
    np.testing.assert_allclose(np.diagonal(losses), own, rtol=1e-6)


def test_off_the_diagonal_row_i_is_the_translator_and_column_j_the_states(tiny, seen, lens):
    losses = finished(transfer_losses(tiny, seen, lens, [1, 3]))
    states = lens.translate(seen.hidden[3], 0)  # of row 3, by row 1's translator: layer 0
    logits = np.array(tiny.unembed(states), dtype=np.float64)
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    wanted = -np.mean([row[i] for row, i in zip(logs, seen.next_ids, strict=True)])
    assert losses[0, 1] == pytest.approx(wanted, rel=1e-5)


def test_a_penalty_is_what_a_foreign_translator_costs_over_the_layer_s_own():
    losses = np.array([[[5.0, 9.0], [6.0, 4.0]]])
    assert penalties(losses).tolist() == [[[0, 5], [1, 0]]]


def test_rows_are_spread_from_the_first_to_the_last():
    assert spread_rows(30, 4) == [0, 10, 19, 29]
    assert spread_rows(3, 10) == [0, 1, 2]
    assert apart([0, 10, 19]).tolist() == [[0, 10, 19], [10, 0, 9], [19, 9, 0]]
