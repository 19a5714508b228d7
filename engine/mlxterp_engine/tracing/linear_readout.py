"""The difference of two logits as one product with a direction, where the model's head is linear.

Proved on the states given, and on longer ones, so that a soft-cap shows. The direction is the
gradient behind the final norm, which needs no knowledge of where the weights lie: tied, with a
multiplier, or quantised.
"""

from __future__ import annotations

from collections.abc import Callable

from mlxterp_engine.models.anatomy_parts import Anatomy
from mlxterp_engine.models.calls import calls_through
from mlxterp_engine.tracing.proofs import largest_error

import mlx.core as mx

Difference = Callable[[mx.array], mx.array]

TOLERANCE = 1e-5  # of the larger difference among the states, float32
LENGTH = 8.0


def linear_difference(
    anatomy: Anatomy, first: int, second: int, states: mx.array, logits: mx.array
) -> Difference | None:
    """states [n, d_model] behind the last block -> logit of `first` minus logit of `second`, [n].

    logits [n, vocab]: the model's own of these states. None where the head is not linear, or has
    no norm of its own before it, or in 16-bit floats.
    """
    norm = anatomy.final_norm
    if norm is None or "unembed" in anatomy.missing or anatomy.dtype != mx.float32:
        return None

    def behind_norm(normed: mx.array) -> mx.array:
        given = [(norm, lambda original, args, kwargs: normed.reshape(args[0].shape))]
        with calls_through(given):
            logits = anatomy.unembed(normed)
        return logits[..., first] - logits[..., second]

    origin = mx.zeros((1, states.shape[-1]))
    bias, gradient = mx.value_and_grad(lambda x: behind_norm(x).sum())(origin)

    def difference(states: mx.array) -> mx.array:
        return norm(states) @ gradient[0] + bias

    longer = norm(states) * LENGTH
    own = logits[:, first] - logits[:, second]
    pairs = [(longer @ gradient[0] + bias, behind_norm(longer)), (difference(states), own)]
    return difference if largest_error(pairs) <= TOLERANCE else None
