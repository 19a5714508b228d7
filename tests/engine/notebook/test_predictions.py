"""From states and logits to tokens; and the lens as lists."""

from io import StringIO

from mlxterp_engine import LogitLens, run
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.notebook.lens_table import print_lens
from mlxterp_engine.notebook.predictions import is_normed, top_tokens

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from rich.console import Console

PROMPT = "The capital of France is"


def test_top_tokens_are_the_largest_equal_ones_by_id():
    logits = mx.array([[0.5, 2, -1, 2, 1], [0, 0, 0, 0, 9]])
    assert top_tokens(logits, 3) == [
        [(1, 2.0), (3, 2.0), (4, 1.0)],
        [(4, 9.0), (0, 0.0), (1, 0.0)],
    ]
    assert [i for i, _ in top_tokens(logits, 5)[0]] == [1, 3, 4, 0, 2]


@pytest.mark.parametrize("top_k", [0, 6])
def test_as_many_tokens_as_there_are_can_be_asked_for(top_k):
    with pytest.raises(BadInput, match="from 1 to 5"):
        top_tokens(mx.zeros((1, 5)), top_k)


def test_nothing_is_the_best_of_nan():
    with pytest.raises(BadInput, match="NaN"):
        top_tokens(mx.array([[1.0, float("nan")]]), 1)


def test_a_state_is_told_from_logits_by_its_size_and_both_predict_paris(smol):
    with smol.trace(PROMPT) as trace:
        state, logits = trace.activations["blocks.29.resid_post"][0, -1], trace.logits[0, -1]
    of_state = smol.get_token_predictions(state, top_k=5)
    assert of_state == smol.get_token_predictions(logits, top_k=5)
    assert smol.token_to_str(of_state[0]) == " Paris"
    pairs = smol.get_token_predictions(logits, top_k=5, return_scores=True)
    assert [i for i, _ in pairs] == of_state
    assert [score for _, score in pairs] == sorted(
        (logits[i].item() for i in of_state), reverse=True
    )


def test_rows_of_states_give_rows_of_predictions(tiny):
    with tiny.trace("Alice was") as trace:
        states = trace.activations["blocks.1.resid_post"][0]
    rows = tiny.get_token_predictions(states, top_k=2)
    assert rows == [tiny.get_token_predictions(state, top_k=2) for state in states]
    assert tiny.get_token_predictions(np.array(states[0]), top_k=2) == rows[0]


def test_all_of_the_vocabulary_can_be_had_with_its_scores(tiny):
    with tiny.trace("Alice was") as trace:
        logits = trace.logits[0, -1]
    pairs = tiny.get_token_predictions(logits, top_k=tiny.vocab_size, return_scores=True)
    assert dict(pairs) == dict(enumerate(logits.tolist()))


def test_a_state_that_was_normed_is_not_normed_twice(smol):
    """mlxterp leaves the norm to the caller; ours does not, and notices."""
    with smol.trace(PROMPT) as trace:
        normed = smol.model.model.norm(trace.activations["model.model.layers.29"])
    with pytest.raises(BadInput, match=r"model\.project"):
        smol.get_token_predictions(normed[0, -1])
    assert mx.array_equal(smol.project(normed), trace.logits)
    assert smol.token_to_str(smol.get_token_predictions(smol.project(normed[0, -1]))[0]) == " Paris"


@pytest.mark.parametrize("kind", ["rms", "rms of one plus weight", "layer"])
def test_a_norms_outputs_are_known_from_other_rows(kind):
    mx.random.seed(0)
    norm = {"rms": nn.RMSNorm(64), "layer": nn.LayerNorm(64)}.get(kind, OnePlus(64))
    norm.weight = mx.random.uniform(0.2, 3, (64,))
    if kind == "layer":
        norm.bias = mx.random.normal((64,))
    rows = mx.random.normal((20, 64)) * mx.arange(1, 21)[:, None]
    assert is_normed(norm(rows), norm)
    assert not is_normed(rows, norm)
    assert not is_normed(mx.concatenate([norm(rows), rows[:1]]), norm)
    assert not is_normed(rows, None)


class OnePlus(nn.Module):
    """As Gemma's norm keeps its weights."""

    def __init__(self, size):
        super().__init__()
        self.weight = mx.ones((size,))

    def __call__(self, x):
        return mx.fast.rms_norm(x, 1.0 + self.weight, 1e-6)


def test_no_ordinary_state_of_the_stream_passes_for_a_normed_one(smol):
    with smol.trace(PROMPT) as trace:
        for layer in range(30):
            for state in trace.activations[f"blocks.{layer}.resid_post"][0]:
                smol.get_token_predictions(state, top_k=1)


def test_other_sizes_and_more_axes_are_refused(tiny):
    for shape in ((7,), (), (1, 2, 128)):
        with pytest.raises(BadInput):
            tiny.get_token_predictions(mx.ones(shape))


def test_where_states_and_logits_have_one_size_the_explicit_functions_are_named(tiny, monkeypatch):
    import msgspec

    card = msgspec.structs.replace(tiny.card, vocab_size=128)
    monkeypatch.setattr(tiny, "card", card)
    with pytest.raises(BadInput, match="predict_from_state or predict_from_logits"):
        tiny.get_token_predictions(mx.ones(128))
    assert tiny.predict_from_logits(mx.arange(128.0), top_k=1) == [127]


def test_the_lens_agrees_with_the_experiment(smol):
    rows = smol.logit_lens(PROMPT, top_k=3)
    arrays = run(LogitLens(prompt=PROMPT, top_k=3), smol).arrays
    assert list(rows) == list(range(30))
    for layer, row in rows.items():  # the experiment's first row is the embeddings
        assert [[i for i, _, _ in best] for best in row] == arrays["top_ids"][layer + 1].tolist()
    i, score, token = rows[29][-1][0]
    assert token == " Paris" == smol.token_to_str(i)
    with smol.trace(PROMPT) as trace:
        assert score == pytest.approx(trace.logits[0, -1, i].item(), rel=1e-4)


def test_one_position_is_a_list_of_one_and_layers_keep_their_order(tiny):
    whole = tiny.logit_lens("Alice was tired", top_k=2)
    last = tiny.logit_lens("Alice was tired", top_k=2, layers=[3, 0], position=-1)
    assert list(last) == [3, 0]
    # One position alone is a matrix product of another shape: scores are near, tokens the same.
    assert [[i for i, _, _ in row] for row in last[3]] == [[i for i, _, _ in whole[3][-1]]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": [-1]}, "layer -1 .* 0 to 3"),
        ({"layers": [0, 4]}, "layer 4 .* 0 to 3"),
        ({"layers": []}, "no layer"),
        ({"position": 50}, "position 50"),
        ({"top_k": 0}, "top_k is 0"),
    ],
)
def test_what_the_lens_lacks_is_refused_and_not_skipped(tiny, options, words):
    with pytest.raises(BadInput, match=words):
        tiny.logit_lens("Alice was tired", **options)


def test_a_plot_is_a_table_and_changes_nothing_of_the_result(tiny, capsys):
    plain = tiny.logit_lens("Alice was")
    assert tiny.logit_lens("Alice was", plot=True) == plain
    printed = capsys.readouterr().out
    assert "'Alice'" in printed
    assert [line.split()[1] for line in printed.splitlines() if "│" in line] == list("3210")


@pytest.mark.parametrize(("width", "shown"), [(60, 5), (24, 1), (400, 40)])
def test_of_a_long_prompt_the_table_shows_the_last_positions_that_fit(width, shown):
    found = {0: [[(i, 0.0, f"[{i}]")] for i in range(40)]}
    console = Console(width=width, file=StringIO())
    print_lens(found, [f"t{i}" for i in range(40)], console)
    printed = console.file.getvalue()
    assert ("of 40 positions" in " ".join(printed.split())) == (shown < 40)
    assert [f"'[{i}]'" in printed for i in range(40)] == [i >= 40 - shown for i in range(40)]
    assert "…" not in printed
