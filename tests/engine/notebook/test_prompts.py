"""What may be traced, one prompt or several, and what may not."""

from mlxterp_engine import interventions as iv
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


LONG, SHORT = "Alice was beginning to get very tired", "Alice had"


def test_prompts_of_any_lengths_give_nan_and_no_number_behind_their_ends(tiny):
    with tiny.trace([LONG, SHORT]) as trace:
        end = len(trace.ids[1])
        for name in ("__model_output__", "blocks.1.resid_post", "model.layers.2.mlp.up_proj"):
            array = trace.activations[name]
            assert mx.isnan(array[1, end:]).all()
            assert not mx.isnan(array[1, :end]).any()
            assert not mx.isnan(array[0]).any()
        assert mx.isnan(trace.logits[1, -1]).all()
        pattern = trace.pattern(1)
        assert mx.isnan(pattern[1, :, end:]).all()
        assert mx.isnan(pattern[1, :, :, end:]).all()
        assert not mx.isnan(pattern[1, :, :end, :end]).any()
        z = trace.activations["blocks.1.attn.z"]
        assert mx.isnan(z[1, :, end:]).all()
        assert not mx.isnan(z[1, :, :end]).any()


@pytest.mark.parametrize("address", ["blocks.1.mlp_out", "model.layers.1.mlp.up_proj"])
def test_each_row_is_what_its_prompt_gives_alone_edits_too(tiny, address):
    edits = {address: iv.at_positions([-1], iv.scale(3))}
    with tiny.trace([LONG, SHORT], edits) as both:
        for number, text in enumerate([LONG, SHORT]):
            with tiny.trace(text, edits) as alone:
                row = both.row(number)
                assert row.ids == alone.ids
                assert list(row.activations) == list(alone.activations)
                for name, array in alone.activations.items():
                    # Products of another shape: float32 sums in another order.
                    assert mx.allclose(row.activations[name], array, atol=1e-3, rtol=1e-3), name
    with pytest.raises(BadInput, match="there are 2 prompts"):
        both.row(2)


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
