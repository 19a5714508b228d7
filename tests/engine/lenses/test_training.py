"""A training of the tiny model: its steps, its evaluations, and how it goes on from anywhere."""

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.corpora.builtin import builtin
from mlxterp_engine.corpora.sequences import Reader, sequences
from mlxterp_engine.experiments import LensEvaluation, LensStep, RunFailed, Step
from mlxterp_engine.lenses import checkpoint, gradients, kl, training
from mlxterp_engine.lenses.evaluation import smoothed_unigram
from mlxterp_engine.lenses.gradients import parameters_of
from mlxterp_engine.lenses.steps import finished
from mlxterp_engine.lenses.training import Lesson, Recipe, begin, resumed, train
from mlxterp_engine.lenses.translators import Translators, translated
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import numpy as np
import pytest

LAYERS, WIDTH = 4, 128
RECIPES = [Recipe(5, 62, "sgd", seed=3), Recipe(5, 62, "adam", seed=3)]


@pytest.fixture(scope="module")
def lesson(tiny):
    reader = Reader.of(tiny.tokens)
    read = finished(sequences(builtin().training, reader, 32, most=7))
    held_out = finished(sequences(builtin().held_out, reader, 32, most=2))
    return Lesson(read, held_out.ids, smoothed_unigram(read.counts(tiny.vocab_size)))


def start():
    return Translators.zero(LAYERS, WIDTH)


def parts_of(steps):
    """(the parts that are no mere progress, the outcome)."""
    parts = []
    while True:
        try:
            part = next(steps)
        except StopIteration as end:
            return parts, end.value
        if not isinstance(part, Step):
            parts.append(part)


def trained(tiny, lesson, recipe, state=None, keep=lambda kept: None):
    return train(tiny.net, tiny.anatomy, lesson, recipe, state or begin(recipe, start()), keep)


def same(one, other):
    pairs = zip(
        (*one.parameters["weight"], *one.parameters["bias"]),
        (*other.parameters["weight"], *other.parameters["bias"]),
        strict=True,
    )
    return (
        all(np.array_equal(as_numpy(a), as_numpy(b)) for a, b in pairs)
        and np.array_equal(one.loss, other.loss)
        and [e.step for e in one.evaluated] == [e.step for e in other.evaluated]
        and all(
            np.array_equal(a.means.kl, b.means.kl)
            for a, b in zip(one.evaluated, other.evaluated, strict=True)
        )
    )


def log_softmax(logits):
    return logits - mx.logsumexp(logits, axis=-1, keepdims=True)


def test_the_gradients_are_those_of_the_mean_kl_of_each_layer(tiny, lesson):
    ids = lesson.training.ids[:2]
    draw = np.random.default_rng(0).normal
    lens = Translators(
        mx.array(draw(0, 0.01, (LAYERS, WIDTH, WIDTH)).astype(np.float32)),
        mx.array(draw(0, 0.1, (LAYERS, WIDTH)).astype(np.float32)),
    )
    found = finished(gradients.gradients(tiny.net, tiny.anatomy, parameters_of(lens), ids))
    sites = [Site("embed"), *(Site("resid_post", block) for block in range(LAYERS))]
    runs = [tiny.run(row.tolist(), sites) for row in ids]

    def loss(weight, bias, layer):
        total = 0
        for run in runs:
            final = log_softmax(run.logits[0, 1:])
            states = run.sites[sites[layer]][0, 1:]
            found = log_softmax(tiny.unembed(translated(states, weight, bias)))
            total = total + (mx.exp(final) * (final - found)).sum()
        return total / (2 * 31)

    for layer in range(LAYERS):
        value, expected = mx.value_and_grad(loss, argnums=(0, 1))(
            lens.weight[layer], lens.bias[layer], layer
        )
        # The reference's p is good to 2e-6 (MLX's exp), and −log q goes up to 50.
        assert found.loss[layer] == pytest.approx(value.item(), rel=5e-5)
        for name, gradient in zip(("weight", "bias"), expected, strict=True):
            reference = as_numpy(gradient)
            # float32 states of another batch, sums of 62 tokens in another order
            np.testing.assert_allclose(
                as_numpy(found.by_parameter[name][layer]),
                reference,
                atol=5e-5 * np.abs(reference).max(),
            )


def test_a_step_may_have_any_number_of_tokens_in_chunks_of_any_size(tiny, lesson, monkeypatch):
    ids, parameters = lesson.training.ids, parameters_of(start())
    whole = finished(gradients.gradients(tiny.net, tiny.anatomy, parameters, ids))
    monkeypatch.setattr(kl, "CHUNK_BYTES", 5 * 4 * tiny.vocab_size)
    monkeypatch.setattr(gradients, "groups", lambda ids: iter(np.array_split(ids, 3)))
    parts = finished(gradients.gradients(tiny.net, tiny.anatomy, parameters, ids))
    np.testing.assert_allclose(parts.loss, whole.loss, rtol=1e-5)
    for one, other in zip(parts.by_parameter["weight"], whole.by_parameter["weight"], strict=True):
        largest = mx.abs(other).max().item()
        np.testing.assert_allclose(as_numpy(one), as_numpy(other), atol=1e-5 * largest)


def test_before_the_first_step_it_is_the_logit_lens_exactly(tiny, lesson):
    recipe = Recipe(1, 62)
    parts, state = parts_of(trained(tiny, lesson, recipe))
    before = parts[0]
    assert isinstance(before, LensEvaluation)
    assert before.step == 0
    assert before.kl == before.kl_logit_lens
    assert state.evaluated[0].means is state.logit_lens.by_lens["logit"]


def test_it_says_every_step_and_measures_before_in_between_and_after(tiny, lesson):
    parts, state = parts_of(trained(tiny, lesson, RECIPES[0]))
    steps = [part for part in parts if isinstance(part, LensStep)]
    assert [part.step for part in steps] == [1, 2, 3, 4, 5]
    assert [part.tokens for part in steps] == [62, 124, 186, 248, 310]
    assert [part.epoch for part in steps] == [1, 1, 1, 1, 2]  # of 7 sequences, two a step
    assert [p.step for p in parts if isinstance(p, LensEvaluation)] == [0, 1, 2, 3, 4, 5]
    assert state.loss.shape == (5, LAYERS)
    np.testing.assert_allclose(steps[2].loss.tolist(), state.loss[2], rtol=1e-6)
    norms = np.array(steps[0].gradient_norms.tolist())
    assert steps[0].gradient_norm == pytest.approx(np.sqrt((norms**2).sum()), rel=1e-5)


def test_training_brings_the_held_out_kl_down_at_every_layer(tiny, lesson):
    _, state = parts_of(trained(tiny, lesson, Recipe(12, 62)))
    assert (state.evaluated[-1].means.kl < state.logit_lens.by_lens["logit"].kl).all()


@pytest.mark.parametrize("recipe", RECIPES, ids=["sgd", "adam"])
@pytest.mark.parametrize("stopped_at", [1, 9, 40, 55])
def test_stopped_anywhere_it_goes_on_to_the_same_numbers(
    tiny, lesson, recipe, stopped_at, tmp_path
):
    settings = {"seed": recipe.seed}
    _, unbroken = parts_of(trained(tiny, lesson, recipe))
    steps = trained(
        tiny, lesson, recipe, keep=lambda kept: checkpoint.save(tmp_path, kept, settings)
    )
    for _ in range(stopped_at):
        next(steps)
    steps.close()
    state = begin(recipe, start())
    if checkpoint.path_in(tmp_path).exists():
        state = resumed(recipe, checkpoint.load(tmp_path, settings))
    _, again = parts_of(trained(tiny, lesson, recipe, state))
    assert same(again, unbroken)


def test_a_loss_that_is_not_finite_ends_it_and_names_layer_step_and_checkpoint(tiny, lesson):
    recipe, kept = Recipe(5, 62), []
    steps = trained(tiny, lesson, recipe, keep=kept.append)
    while not (isinstance(part := next(steps), LensStep) and part.step == 2):
        pass
    steps.close()
    state = resumed(recipe, kept[-1])
    state.parameters["bias"][2] = mx.full((WIDTH,), float("inf"))  # as where a layer ran away
    with pytest.raises(RunFailed, match="of layer 1 is not finite at step 3 of 5") as failure:
        finished(trained(tiny, lesson, recipe, state, kept.append))
    assert "the checkpoint is of step 2" in str(failure.value)
    assert [one.step for one in kept] == [2]  # what is not finite is not kept


def test_nothing_depends_on_when_checkpoints_are_made(tiny, lesson, monkeypatch):
    _, unbroken = parts_of(trained(tiny, lesson, RECIPES[0]))
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    kept = []
    _, often = parts_of(trained(tiny, lesson, RECIPES[0], keep=kept.append))
    assert [one.step for one in kept] == [1, 2, 3, 4]
    assert same(often, unbroken)
