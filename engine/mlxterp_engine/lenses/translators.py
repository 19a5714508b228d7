"""A fitted lens: one affine map a layer, from that layer's residual state to the last one's.

In residual form, as the published package tuned-lens has it: `h + A·h + b`, so that a lens of
zeros is the logit lens and weight decay pulls towards it. (Belrose et al. 2023 write `A·h + b`.)
"""

from __future__ import annotations

from dataclasses import dataclass

from mlxterp_engine import backend  # noqa: F401  # OpenBLAS, before any mlx import

import mlx.core as mx


@dataclass(frozen=True, eq=False)
class Translators:
    """weight: [layer, d_model out, d_model in]; bias: [layer, d_model].

    Row i translates layer i - 1: -1 is the embeddings, l is `resid_post` of block l. The last
    block's output, which the model itself unembeds, has no translator.
    """

    weight: mx.array
    bias: mx.array

    @classmethod
    def zero(cls, blocks: int, d_model: int) -> Translators:
        """The logit lens of a model with so many blocks."""
        return cls(mx.zeros((blocks, d_model, d_model)), mx.zeros((blocks, d_model)))

    @property
    def layers(self) -> range:
        return range(-1, self.weight.shape[0] - 1)

    def translate(self, states: mx.array, layer: int) -> mx.array:
        """States [..., d_model] of a layer -> what the lens takes for the last one's."""
        return translated(states, self.weight[layer + 1], self.bias[layer + 1])


def translated(states: mx.array, weight: mx.array, bias: mx.array) -> mx.array:
    """One layer's map: states [..., d_model], weight [d_model, d_model], bias [d_model]."""
    return states + (states @ weight.T + bias).astype(states.dtype)
