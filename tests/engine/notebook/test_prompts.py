"""What may be traced, one prompt or several, and what may not."""

from mlxterp_engine.experiments.errors import BadInput

import mlx.core as mx
import numpy as np
import pytest

ROWS = [[5, 6, 7], [8, 9, 10]]


@pytest.mark.parametrize(
    "prompt",
    [ROWS, tuple(map(tuple, ROWS)), mx.array(ROWS), np.array(ROWS), [mx.array(r) for r in ROWS]],
)
def test_rows_of_ids_are_a_batch(tiny, prompt):
    with tiny.trace(prompt) as trace:
        assert trace.ids == ROWS
        assert mx.array_equal(trace.logits, tiny.net(mx.array(ROWS)))
        assert trace.activations["blocks.1.attn.pattern"].shape == (2, 4, 3, 3)


@pytest.mark.parametrize("prompt", [[5, 6, 7], mx.array([5, 6, 7]), np.array([5, 6, 7]), ROWS[:1]])
def test_one_row_of_ids_has_a_batch_axis_of_one(tiny, prompt):
    with tiny.trace(prompt) as trace:
        assert trace.ids == ROWS[:1]
        assert trace.logits.shape == (1, 3, 1024)


def test_texts_are_a_batch_each_as_it_is_alone(tiny):
    texts = ["Alice was", "Alice had"]
    with tiny.trace(texts) as both:
        assert both.ids == [tiny.encode(text) for text in texts]
    for row, text in enumerate(texts):
        with tiny.trace(text) as alone:
            # A batch of two is a matrix product of another shape: float32 sums in another order.
            assert mx.allclose(both.logits[row], alone.logits[0], atol=1e-4)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ([], "no tokens"),
        ("", "no tokens"),
        ([[]], "no tokens"),
        ([5, 1024], r"outside 0\.\.1023"),
        ([[5], [-1]], r"outside 0\.\.1023"),
        ([5.0, 6.0], "5.0 is no token id"),
        (mx.array([0.5]), "0.5 is no token id"),
        ([True], "True is no token id"),
        ([5] * 129, "reads at most 128"),
    ],
)
def test_what_is_no_prompt_is_refused(tiny, prompt, words):
    with pytest.raises(BadInput, match=words):
        tiny.trace(prompt)
