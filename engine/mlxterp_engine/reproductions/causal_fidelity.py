"""Do the directions that matter to a lens matter to the model?

After Belrose et al. 2023 (arXiv 2303.08112, section on causal fidelity), simplified, and to be
named as what it is. The paper extracts a causal basis: directions one after another, each the one
whose removal changes the lens's output most, found by optimisation. Here the directions are
eigenvectors of the lens's Fisher information

    F = E[ ∇ log q(y | h) ∇ log q(y | h)ᵀ ],   y drawn from the lens's own q(· | h)

which to second order says how much the lens's output moves along a direction. A direction is
removed by setting the state's coordinate along it to its mean over other text (mean ablation), at
every position but the first. Its influence is the mean KL(before ‖ after): on what the lens says
of that layer, and on what the model says in the end.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.lenses.translators import Translators
from mlxterp_engine.reproductions.lens_marginals import log_probs
from mlxterp_engine.reproductions.lens_quality import Seen, expected
from mlxterp_engine.tracing import interventions as iv

import mlx.core as mx
import numpy as np


@dataclass(frozen=True, eq=False)
class Directions:
    """Of one layer. vectors [direction, d_model], of length 1; mean, spread [direction]: of the
    states' coordinates along them; information [direction]: the eigenvalues, largest first.
    rank [direction]: which eigenvector, from 0.
    """

    vectors: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    information: np.ndarray
    rank: np.ndarray

    def __len__(self) -> int:
        return len(self.vectors)


def spread_ranks(d_model: int, count: int) -> np.ndarray:
    """From the first to the last of d_model, each so many times the one before."""
    return np.unique(np.geomspace(1, d_model, min(count, d_model)).round().astype(int)) - 1


def gradients(
    model: InterpretableModel, states: mx.array, layer: int, lens: Translators | None, seed: int
) -> np.ndarray:
    """∇ log q(y | h) by h, one y drawn for each state: [pos, d_model] -> the same."""

    def logits(h: mx.array) -> mx.array:
        translated = h if lens is None else lens.translate(h, layer)
        return model.unembed(translated).astype(mx.float32)

    values = logits(states)
    drawn = mx.random.categorical(values, key=mx.random.key(seed))
    cotangent = -mx.softmax(values, axis=-1)
    cotangent[mx.arange(len(drawn)), drawn] += 1
    _, (back,) = mx.vjp(lambda h: [logits(h)], [states], [cotangent])
    return as_numpy(back.astype(mx.float32))


def directions(
    states: np.ndarray, grads: np.ndarray, ranks: Sequence[int] | np.ndarray
) -> Directions:
    """Eigenvectors of F, of these ranks. states, grads: [token, d_model]."""
    values, vectors = np.linalg.eigh(grads.astype(np.float64).T @ grads / len(grads))
    order = np.argsort(values)[::-1][np.asarray(ranks)]
    chosen = vectors[:, order].T
    along = states @ chosen.T
    return Directions(
        chosen, along.mean(axis=0), along.std(axis=0), values[order], np.asarray(ranks)
    )


def random_directions(states: np.ndarray, count: int, seed: int) -> Directions:
    """As many unit vectors, drawn evenly, with the coordinates of the states [token, d_model]."""
    drawn = np.random.default_rng(seed).normal(size=(count, states.shape[1]))
    drawn /= np.linalg.norm(drawn, axis=-1, keepdims=True)
    along = states @ drawn.T
    nothing = np.full(count, np.nan)
    return Directions(drawn, along.mean(axis=0), along.std(axis=0), nothing, np.arange(count))


def influence_on_lens(
    model: InterpretableModel, seen: Seen, row: int, lens: Translators | None, found: Directions
) -> Generator[None, None, np.ndarray]:
    """[direction]: mean KL(lens ‖ lens of the ablated state), nats."""
    states = seen.hidden[row]

    def read(h: mx.array) -> np.ndarray:
        return log_probs(model.unembed(h if lens is None else lens.translate(h, row - 1)))

    before = read(states)
    probs = np.exp(before)
    kl = np.empty(len(found))
    for n in range(len(found)):
        after = read(_ablation(found, n)(states))
        kl[n] = expected(probs, before - after).mean()
        yield
    return kl


def influence_on_model(
    model: InterpretableModel, ids: Sequence[int], seen: Seen, row: int, found: Directions
) -> Generator[None, None, np.ndarray]:
    """[direction]: mean KL(model ‖ model with the direction ablated at that layer), nats.

    The whole text but its first position is edited; `seen` is of the same ids.
    """
    probs = np.exp(seen.final)
    site = "embed" if row == 0 else f"blocks.{row - 1}.resid_post"
    kl = np.empty(len(found))
    for n in range(len(found)):
        edit = {site: iv.at_positions(slice(1, None), _ablation(found, n))}
        logits = model.trace(ids, edit, sites=["logits"]).logits[0, 1:-1]
        kl[n] = expected(probs, seen.final - log_probs(logits)).mean()
        yield
    return kl


def _ablation(found: Directions, n: int) -> iv.Operation:
    vector = mx.array(found.vectors[n].astype(np.float32))
    return iv.set_along(vector, float(found.mean[n]))
