"""The ridge lens: each layer's states to the final ones by least squares, in closed form.

For a layer's states x and the final ones f, both less their means, A minimises the mean of
‖f − x − A·x‖² plus weight · s · ‖A‖², with s the mean variance of x's coordinates (so that a
weight means the same in every layer, and a weight of infinity is the logit lens with its mean
put right). Only means and covariances are needed, so that the tokens stream by; they are summed
in float64 around the first group's mean, for a few coordinates are hundreds of times larger
than the rest.

weight "auto" is chosen for each layer by generalised cross-validation (Golub, Heath & Wahba
1979) from the same covariances: no token is held out and none of the evaluation's is seen.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments import BadInput
from mlxterp_engine.lenses.capture import Captured, capture, groups
from mlxterp_engine.lenses.steps import told
from mlxterp_engine.lenses.translators import Translators
from mlxterp_engine.models.anatomy_parts import Anatomy

import mlx.core as mx
import numpy as np

Weight = float | Literal["auto"]
WEIGHTS = 10.0 ** np.arange(-7, 3.01, 0.5)  # that "auto" chooses from
FREE = 0.05  # of the tokens have to be left over when the fit has taken its degrees of freedom


@dataclass(frozen=True, eq=False)
class Ridge:
    """weight: [layer], the penalty's. degrees: [layer], the fit's degrees of freedom, of d_model.
    residual: [layer], the mean of ‖f − lens‖² over the tokens of the fit."""

    translators: Translators
    weight: np.ndarray
    degrees: np.ndarray
    residual: np.ndarray
    tokens: int


@dataclass(eq=False)
class Moments:
    """Of one layer, summed over tokens around `origin`: x and the target y, float64.

    sum_x [d], sum_y [d], xx [d, d], xy [d, d], yy the sum of all squares of y.
    """

    origin_x: np.ndarray
    origin_y: np.ndarray
    sum_x: np.ndarray
    sum_y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: float = 0.0
    count: int = 0

    @classmethod
    def around(cls, x: np.ndarray, y: np.ndarray) -> Moments:
        """None summed yet. x, y: [token, d], whose means are the origin."""
        d = x.shape[1]
        return cls(
            x.mean(axis=0, dtype=np.float64),
            y.mean(axis=0, dtype=np.float64),
            *(np.zeros(d), np.zeros(d), np.zeros((d, d)), np.zeros((d, d))),
        )

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """x, y: [token, d]."""
        x, y = x - self.origin_x, y - self.origin_y
        self.sum_x += x.sum(axis=0)
        self.sum_y += y.sum(axis=0)
        self.xx += x.T @ x
        self.xy += x.T @ y
        self.yy += float(np.vdot(y, y))
        self.count += len(x)

    def centred(self) -> Centred:
        mean_x, mean_y = self.sum_x / self.count, self.sum_y / self.count
        return Centred(
            self.origin_x + mean_x,
            self.origin_y + mean_y,
            self.xx / self.count - np.outer(mean_x, mean_x),
            self.xy / self.count - np.outer(mean_x, mean_y),
            self.yy / self.count - float(mean_y @ mean_y),
            self.count,
        )


@dataclass(frozen=True, eq=False)
class Centred:
    """Means [d], covariances xx [d, d] and xy [d, d], the total variance yy of y."""

    mean_x: np.ndarray
    mean_y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: float
    count: int


@dataclass(frozen=True, eq=False)
class Solution:
    """matrix [d, d]: y ≈ mean_y + matrix · (x − mean_x). The others as in `Ridge`."""

    matrix: np.ndarray
    weight: float
    degrees: float
    residual: float


def fit(
    net: Any, anatomy: Anatomy, batches: Iterable[np.ndarray], weight: Weight = "auto"
) -> Generator[int, None, Ridge]:
    """batches: sequences [sequence, pos], without the first token of each. Yields tokens read."""
    moments: list[Moments] = []
    tokens = 0
    for batch in batches:
        for ids in groups(batch):
            read = tokens
            captured = yield from told(capture(net, anatomy, ids), lambda _, read=read: read)
            yield from told(_added(moments, captured), lambda _, read=read: read)
            tokens += captured.tokens
            yield tokens
    if tokens < 2:
        raise BadInput("a ridge lens needs more than one token to be fitted to; give more text")
    return (yield from told(solved(moments, weight), lambda _: tokens))


def solved(moments: list[Moments], weight: Weight) -> Generator[None, None, Ridge]:
    """One translator after another; yields after each."""
    count, d_model = len(moments), len(moments[0].sum_x)
    weights = np.empty((count, d_model, d_model), np.float32)
    biases = np.empty((count, d_model), np.float32)
    told_of = np.empty((3, count), np.float32)
    for layer, summed in enumerate(moments):
        centred = summed.centred()
        solution = solve(centred, weight)
        weights[layer] = solution.matrix
        biases[layer] = centred.mean_y - solution.matrix @ centred.mean_x
        told_of[:, layer] = solution.weight, solution.degrees, solution.residual
        yield
    translators = Translators(mx.array(weights), mx.array(biases))
    chosen, degrees, residual = told_of
    return Ridge(translators, chosen, degrees, residual, moments[0].count)


def solve(stats: Centred, weight: Weight) -> Solution:
    """From the eigenvectors of x's covariance, which serve for every weight."""
    variances, vectors = np.linalg.eigh(stats.xx)
    variances = np.maximum(variances, 0.0)
    along = vectors.T @ stats.xy  # [eigenvector, d]
    squares = (along**2).sum(axis=1)
    scale = max(variances.mean(), np.finfo(np.float64).tiny)
    if weight == "auto":
        weight = _cross_validated(variances, squares, scale, stats)
    penalty = weight * scale
    floor = variances.max() * np.finfo(np.float64).eps * len(variances)
    divisor = np.where(variances + penalty > floor, variances + penalty, np.inf)
    matrix = (vectors @ (along / divisor[:, None])).T
    degrees = (variances / divisor).sum()
    residual = stats.yy - _explained(squares, variances, divisor).sum()
    return Solution(matrix, float(weight), float(degrees), max(float(residual), 0.0))


def _explained(squares: np.ndarray, variances: np.ndarray, divisor: np.ndarray) -> np.ndarray:
    """Of y's variance, along each eigenvector, by a fit with these divisors."""
    return squares * (2 / divisor - variances / divisor**2)


def _cross_validated(
    variances: np.ndarray, squares: np.ndarray, scale: float, stats: Centred
) -> float:
    """The weight with the least GCV score, residuals / (1 − degrees / tokens)².

    Not among those whose fit leaves almost no token over: there the score is 0 / 0.
    """
    shrunk = variances + WEIGHTS[:, None] * scale
    degrees = (variances / shrunk).sum(axis=1) + 1  # and the mean
    explained = _explained(squares, variances, shrunk).sum(axis=1)
    left = 1 - degrees / stats.count
    score = np.where(left > FREE, (stats.yy - explained) / np.maximum(left, FREE) ** 2, np.inf)
    return float(WEIGHTS[np.argmin(score)] if np.isfinite(score).any() else WEIGHTS[-1])


def _added(moments: list[Moments], captured: Captured) -> Generator[None, None, None]:
    final = as_numpy(captured.final).astype(np.float64)
    for layer, state in enumerate(captured.hidden):
        x = as_numpy(state).astype(np.float64)
        if len(moments) == layer:
            moments.append(Moments.around(x, final - x))
        moments[layer].add(x, final - x)
        yield
