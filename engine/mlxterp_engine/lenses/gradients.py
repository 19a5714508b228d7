"""The losses of all layers on some sequences, and their gradients by the translators.

The hidden states of a group of sequences are computed once, and the final probabilities of a chunk
of its tokens once; every layer then reads both. So a step may have any number of tokens: no
array grows with it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypedDict

from mlxterp_engine.corpora.sequences import SKIPPED
from mlxterp_engine.lenses.capture import capture, groups
from mlxterp_engine.lenses.kl import Target, chunks, gradient, target
from mlxterp_engine.lenses.steps import told
from mlxterp_engine.lenses.translators import Translators, translated
from mlxterp_engine.models.anatomy_parts import Anatomy

import mlx.core as mx
import numpy as np


class Parameters(TypedDict):
    """By layer: weight [d_model, d_model], bias [d_model]. A tree, as mlx.optimizers wants it."""

    weight: list[mx.array]
    bias: list[mx.array]


@dataclass(frozen=True, eq=False)
class Gradients:
    """loss: [layer], mean KL(final ‖ lens) over the tokens, nats; by_parameter: of that mean."""

    loss: np.ndarray
    by_parameter: Parameters
    tokens: int


def parameters_of(translators: Translators) -> Parameters:
    layers = range(translators.weight.shape[0])
    found: Parameters = {
        "weight": [mx.array(translators.weight[layer]) for layer in layers],
        "bias": [mx.array(translators.bias[layer]) for layer in layers],
    }
    mx.eval(found)
    return found


def translators_of(parameters: Parameters) -> Translators:
    translators = Translators(mx.stack(parameters["weight"]), mx.stack(parameters["bias"]))
    mx.eval(translators.weight, translators.bias)
    return translators


def gradients(
    net: Any, anatomy: Anatomy, parameters: Parameters, ids: np.ndarray
) -> Generator[float, None, Gradients]:
    """ids: [sequence, pos]; the first token of each is left out. Yields the share that is done."""
    layers = len(parameters["weight"])
    tokens = ids[:, SKIPPED:].size
    sums: Parameters = {
        "weight": [mx.zeros_like(weight) for weight in parameters["weight"]],
        "bias": [mx.zeros_like(bias) for bias in parameters["bias"]],
    }
    loss = np.zeros(layers)
    done = 0
    for group in groups(ids):
        share = done / (tokens * layers)
        captured = yield from told(capture(net, anatomy, group), lambda _, share=share: share)
        for part in chunks(captured.tokens, anatomy.vocab_size):
            final = target(anatomy.unembed, captured.final[part])
            for layer, hidden in enumerate(captured.hidden):
                loss[layer] += _add(anatomy, parameters, sums, layer, hidden[part], final)
                done += part.stop - part.start
                yield done / (tokens * layers)
    scaled: Parameters = {
        "weight": [weight / tokens for weight in sums["weight"]],
        "bias": [bias / tokens for bias in sums["bias"]],
    }
    return Gradients(loss / tokens, scaled, tokens)


def _add(
    anatomy: Anatomy,
    parameters: Parameters,
    sums: Parameters,
    layer: int,
    states: mx.array,
    final: Target,
) -> float:
    """One layer's gradients of the sum over these tokens; returns that sum."""
    weight, bias = parameters["weight"][layer], parameters["bias"][layer]
    kl, back = gradient(anatomy.unembed, translated(states, weight, bias), final)
    back = back.astype(mx.float32)
    sums["weight"][layer] = sums["weight"][layer] + back.T @ states.astype(mx.float32)
    sums["bias"][layer] = sums["bias"][layer] + back.sum(axis=0)
    mx.eval(sums["weight"][layer], sums["bias"][layer])
    return float(kl.sum(dtype=np.float64))
