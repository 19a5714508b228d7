"""The optimisers of the published package tuned-lens 0.2.0, as PyTorch counts them.

SGD: Nesterov momentum 0.9 at a rate of 1.0 × (1 − 0.9), for momentum multiplies the step by
1 / (1 − 0.9). Adam: AMSGrad, betas 0.9 and 0.999, 1e-3. Both: weight decay 1e-3 added to the
gradient, after the norm over all translators was clipped at 1; the rate falls linearly to 0.
Adam's rate first rises over the fifth part of the steps, 1000 at most. (In the package that
warm-up never runs, an enum being compared with a string; and had it run, the rate would have been
0 for as many steps at the end.)
"""

from __future__ import annotations

from typing import Any

from mlxterp_engine import backend  # noqa: F401  # OpenBLAS, before any mlx import
from mlxterp_engine.experiments.train_lens import Optimizer as Name

import mlx.core as mx
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_unflatten

MOMENTUM = 0.9
SECOND_BETA = 0.999
EPSILON = 1e-8
WEIGHT_DECAY = 1e-3
RATES: dict[Name, float] = {"sgd": 1.0 * (1 - MOMENTUM), "adam": 1e-3}
CLIP = 1.0
LONGEST_WARM_UP = 1000
WORDS: dict[Name, str] = {
    "sgd": "SGD, Nesterov momentum 0.9, rate 1.0 × (1 − 0.9)",
    "adam": "Adam with AMSGrad, betas 0.9 and 0.999, rate 0.001",
}


def described(name: Name) -> str:
    return f"{WORDS[name]} falling to 0, weight decay {WEIGHT_DECAY}, clipped at {CLIP} over all"


def rate(name: Name, step: int, steps: int) -> float:
    """Of a step, the first being 0: the highest there, or where the warm-up ends."""
    warm_up = min(LONGEST_WARM_UP, steps // 5) if name == "adam" else 0
    if step < warm_up:
        return RATES[name] * (step + 1) / (warm_up + 1)
    return RATES[name] * (steps - step) / (steps - warm_up)


def optimizer(name: Name) -> optim.Optimizer:
    if name == "sgd":
        return optim.SGD(RATES[name], MOMENTUM, WEIGHT_DECAY, nesterov=True)
    return AMSGrad(RATES[name])


def clipped(gradients: Any) -> tuple[Any, mx.array]:
    """The gradients, and their norm over all of them before."""
    return optim.clip_grad_norm(gradients, CLIP)


def state_of(used: optim.Optimizer) -> dict[str, mx.array]:
    """Everything that an optimiser remembers, flat."""
    return dict(tree_flatten(used.state))


def restored(name: Name, state: dict[str, mx.array]) -> optim.Optimizer:
    """An optimiser that goes on from there."""
    again = optimizer(name)
    again.state = tree_unflatten(list(state.items()))
    return again


class AMSGrad(optim.Optimizer):
    """`torch.optim.Adam(amsgrad=True, weight_decay=…)`: mlx.optimizers has neither in its Adam.

    Reddi, Kale & Kumar 2018, with the biases corrected.
    """

    def __init__(self, learning_rate: float) -> None:
        super().__init__()
        self.learning_rate = learning_rate

    def init_single(self, parameter: mx.array, state: dict[str, mx.array]) -> None:
        for name in ("m", "v", "largest"):
            state[name] = mx.zeros_like(parameter)

    def apply_single(
        self, gradient: mx.array, parameter: mx.array, state: dict[str, mx.array]
    ) -> mx.array:
        gradient = gradient + WEIGHT_DECAY * parameter
        state["m"] = MOMENTUM * state["m"] + (1 - MOMENTUM) * gradient
        state["v"] = SECOND_BETA * state["v"] + (1 - SECOND_BETA) * gradient.square()
        state["largest"] = mx.maximum(state["largest"], state["v"])
        step = self.step.astype(mx.float32)
        scale = mx.sqrt(state["largest"] / (1 - SECOND_BETA**step)) + EPSILON
        return parameter - self.learning_rate / (1 - MOMENTUM**step) * state["m"] / scale
