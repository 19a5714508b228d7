"""The whole forward pass against one written in NumPy that shares only the weights."""

from mlxterp_engine.techniques.doctor import _shape, _weights
from mlxterp_engine.techniques.numpy_forward import llama_logits

import mlx.core as mx
import numpy as np
import pytest

PROMPT = "The capital of France is"


@pytest.mark.parametrize("name", ["tiny", "smol"])
def test_mlx_agrees_with_numpy_on_every_logit(name, request):
    model = request.getfixturevalue(name)
    ids = model.encode(PROMPT)
    ours = np.array(model.net(mx.array([ids]))[0])
    theirs = llama_logits(_weights(model.net), _shape(model.net), ids)
    # float32 through 30 blocks in another order of sums: 1e-4 of the largest logit.
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()
    assert ours[-1].argmax() == theirs[-1].argmax()


def test_the_check_fails_with_another_rotary_base(tiny):
    from dataclasses import replace

    ids = tiny.encode(PROMPT)
    wrong = replace(_shape(tiny.net), rope_theta=500.0)
    theirs = llama_logits(_weights(tiny.net), wrong, ids)
    ours = np.array(tiny.net(mx.array([ids]))[0])
    assert np.abs(ours - theirs).max() > 1e-2 * np.abs(theirs).max()
