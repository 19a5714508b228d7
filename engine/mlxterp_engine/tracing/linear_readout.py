"""The difference of two logits as one product with a direction, where the model's head is linear.

Proved on the states given, and on longer ones, so that a soft-cap shows. The direction is the
gradient behind the final norm, which needs no knowledge of where the weights lie: tied, with a
multiplier, or quantised.
"""

from __future__ import annotations

from collections.abc import Callable

from mlxterp_engine.models.anatomy_parts import Anatomy
from mlxterp_engine.models.calls import calls_through
from mlxterp_engine.tracing.proofs import relative_error

import mlx.core as mx

Difference = Callable[[mx.array], mx.array]

TOLERANCE = 1e-5  # of the larger difference among the states, float32
LENGTHS = (1.0, 8.0)


def linear_difference(
    anatomy: Anatomy, first: int, second: int, states: mx.array
) -> Difference | None:
    """states [n, d_model] behind the last block -> logit of `first` minus logit of `second`, [n].

    None where the head is not linear, or has no norm of its own before it, or in 16-bit floats.
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
    bias = behind_norm(origin)
    direction = mx.grad(lambda x: behind_norm(x).sum())(origin)[0]

    def difference(states: mx.array) -> mx.array:
        return norm(states) @ direction + bias

    normed = norm(states)
    tried = mx.concatenate([normed * length for length in LENGTHS])
    error = relative_error(tried @ direction + bias, behind_norm(tried))
    own = relative_error(difference(states), _by_logits(anatomy, first, second, states))
    return difference if max(error, own) <= TOLERANCE else None


def _by_logits(anatomy: Anatomy, first: int, second: int, states: mx.array) -> mx.array:
    logits = anatomy.unembed(states)
    return logits[..., first] - logits[..., second]
