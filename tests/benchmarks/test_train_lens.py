"""A training step in its matrix products at the same shapes; a ridge fit in its passes."""

from mlxterp_engine.lenses.capture import capture
from mlxterp_engine.lenses.gradients import gradients, parameters_of
from mlxterp_engine.lenses.kl import chunks
from mlxterp_engine.lenses.ridge import fit
from mlxterp_engine.lenses.steps import finished
from mlxterp_engine.lenses.training import Recipe, _updated, begin
from mlxterp_engine.lenses.translators import Translators

import mlx.core as mx
import numpy as np
import pytest
from benchmarks.pairs import alternate, ratio


def sequences(model, count, length):
    draw = np.random.default_rng(0)
    return draw.integers(1, model.card.vocab_size, (count, length)).astype(np.int32)


def products(model, ids):
    """The pass that gives the states, and for every layer: its translator's product, the head's,
    and both of them back; nothing between them is computed."""
    captured = finished(capture(model.net, model.anatomy, ids))
    head = model.anatomy.embed.weight
    d_model = model.card.d_model
    weight = mx.zeros((d_model, d_model))
    for part in chunks(captured.tokens, model.card.vocab_size):
        mx.eval(captured.final[part] @ head.T)
        for hidden in captured.hidden:
            states = hidden[part]
            logits = (states @ weight.T) @ head.T
            mx.eval(logits)
            back = logits @ head
            mx.eval(back.T @ states)


@pytest.mark.parametrize("length", [128])
def test_a_step_costs_little_more_than_its_matrix_products(smol, length):
    ids = sequences(smol, 1, length)
    start = Translators.zero(smol.card.layers, smol.card.d_model)
    parameters = parameters_of(start)
    state = begin(Recipe(100, length - 1), start)

    def step():
        found = finished(gradients(smol.net, smol.anatomy, parameters, ids))
        _updated(state, found.by_parameter, 0.1)

    mx.reset_peak_memory()
    step()
    peak = (mx.get_peak_memory() - smol.card.parameters * 4) / 1e6
    seconds = alternate(3, step=step, products=lambda: products(smol, ids))
    print(f"\none step of {length - 1} tokens, all {smol.card.layers} layers:")
    print("  " + ratio(seconds, "step", "products"))
    print(f"  at its peak {peak:.0f} MB beside the model")


def test_a_ridge_fit_beside_the_passes_that_it_needs(smol):
    ids = sequences(smol, 8, 128)

    def passes():
        for row in np.array_split(ids, 2):
            finished(capture(smol.net, smol.anatomy, row))

    seconds = alternate(2, fit=lambda: finished(fit(smol.net, smol.anatomy, [ids])), passes=passes)
    print(f"\na ridge lens from {ids[:, 1:].size} tokens, solving included:")
    print("  " + ratio(seconds, "fit", "passes"))
