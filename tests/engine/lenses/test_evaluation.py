"""What is measured on held-out text, against the slow obvious way on a real model."""

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.lenses import evaluation, kl
from mlxterp_engine.lenses.evaluation import evaluate, smoothed_unigram
from mlxterp_engine.lenses.steps import finished
from mlxterp_engine.lenses.translators import Translators
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import numpy as np
import pytest

LAYERS = 4


@pytest.fixture(scope="module")
def ids():
    return np.random.default_rng(4).integers(1, 500, (3, 20)).astype(np.int32)


def lens_of(seed):
    draw = np.random.default_rng(seed).normal
    return Translators(
        mx.array(draw(0, 0.02, (LAYERS, 128, 128)).astype(np.float32)),
        mx.array(draw(0, 0.1, (LAYERS, 128)).astype(np.float32)),
    )


def logs(logits):
    shifted = as_numpy(logits).astype(float)
    shifted = shifted - shifted.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def test_the_means_are_over_every_token_but_the_first_of_each_sequence(tiny, ids):
    lens, layer = lens_of(1), 1
    columns = {"kl": [], "loss": [], "agrees": [], "unigram": [], "model": []}
    flat = np.full(tiny.vocab_size, -np.log(tiny.vocab_size))
    for row in ids:
        run = tiny.run(row.tolist(), [Site("resid_post", layer)])
        final = logs(run.logits[0])[1:]
        states = run.sites[Site("resid_post", layer)][0, 1:]
        found = logs(tiny.unembed(lens.translate(states, layer)))
        columns["kl"] += (np.exp(final) * (final - found)).sum(axis=-1).tolist()
        columns["unigram"] += (np.exp(final) * (final - flat)).sum(axis=-1).tolist()
        columns["loss"] += [-found[i, token] for i, token in enumerate(row[2:])]
        columns["model"] += [-final[i, token] for i, token in enumerate(row[2:])]
        columns["agrees"] += (found.argmax(-1) == final.argmax(-1)).tolist()
    found = finished(evaluate(tiny.net, tiny.anatomy, ids, {"it": lens}, flat))
    means = found.by_lens["it"]
    assert found.tokens == 3 * 19
    # float32 products beside float64 sums
    assert means.kl[layer + 1] == pytest.approx(np.mean(columns["kl"]), rel=1e-5)
    assert means.loss[layer + 1] == pytest.approx(np.mean(columns["loss"]), rel=1e-5)
    assert means.agreement[layer + 1] == pytest.approx(np.mean(columns["agrees"]))
    assert found.kl_unigram == pytest.approx(np.mean(columns["unigram"]), rel=1e-5)
    assert found.model_loss == pytest.approx(np.mean(columns["model"]), rel=1e-5)


def test_a_lens_of_zeros_measures_exactly_what_the_logit_lens_does(tiny, ids):
    lenses = {"logit": None, "zero": Translators.zero(LAYERS, 128)}
    found = finished(evaluate(tiny.net, tiny.anatomy, ids, lenses, np.zeros(tiny.vocab_size)))
    logit, zero = found.by_lens["logit"], found.by_lens["zero"]
    assert np.array_equal(logit.kl, zero.kl)
    assert np.array_equal(logit.loss, zero.loss)


def test_groups_and_chunks_of_any_size_give_the_same_means(tiny, ids, monkeypatch):
    lenses = {"it": lens_of(2)}
    flat = np.zeros(tiny.vocab_size)
    whole = finished(evaluate(tiny.net, tiny.anatomy, ids, lenses, flat))
    monkeypatch.setattr(kl, "CHUNK_BYTES", 4 * 4 * tiny.vocab_size)
    monkeypatch.setattr(evaluation, "groups", lambda ids: iter(np.array_split(ids, 3)))
    parts = finished(evaluate(tiny.net, tiny.anatomy, ids, lenses, flat))
    np.testing.assert_allclose(parts.by_lens["it"].kl, whole.by_lens["it"].kl, rtol=1e-5)


def test_the_unseen_share_as_much_as_there_are_distinct_tokens():
    # Witten & Bell: 6 tokens, 2 distinct: the 8th parts are 3/8, 3/8, and 2/8 spread over all 4.
    found = np.exp(smoothed_unigram(np.array([3, 3, 0, 0])))
    assert found.tolist() == pytest.approx([3.5 / 8, 3.5 / 8, 0.5 / 8, 0.5 / 8])
