"""The streamed lens equals the slow, obvious one; its last row is the model itself."""

from mlxterp_engine import LogitLens, run
from mlxterp_engine.experiments import BadInput, LogitLensRow, Started, Step
from mlxterp_engine.techniques import logit_lens
from mlxterp_engine.techniques.execute import execute, price

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

PROMPT = "The capital of France is"


def naive_lens(net, ids: list[int]) -> np.ndarray:
    """Logits [row, pos, vocab], one block after the other, as a textbook would."""
    x = net.model.embed_tokens(mx.array([ids]))
    rows = [x]
    mask = nn.MultiHeadAttention.create_additive_causal_mask(len(ids))
    for block in net.layers:
        x = block(x, mask)
        rows.append(x)
    unembed = net.model.embed_tokens.as_linear
    return np.stack([np.array(unembed(net.model.norm(row))[0]) for row in rows])


def definitions(logits: np.ndarray, target: int) -> dict[str, np.ndarray]:
    y = logits.astype(np.float64)
    log_p = y - y.max(-1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(-1, keepdims=True))
    final = log_p[-1]
    top = final.argmax(-1)[None, :, None]
    return {
        "entropy": -(np.exp(log_p) * log_p).sum(-1),
        "kl": (np.exp(final) * (final - log_p)).sum(-1),
        "final_rank": (y > np.take_along_axis(y, top.repeat(len(y), 0), -1)).sum(-1),
        "target_prob": np.exp(log_p[..., target]),
        "target_rank": (y > y[..., target, None]).sum(-1),
    }


@pytest.mark.parametrize("name", ["tiny", "smol"])
def test_every_array_equals_the_naive_lens(name, request):
    model = request.getfixturevalue(name)
    target = " the"
    found = run(LogitLens(prompt=PROMPT, top_k=7, target=target), model)
    logits = naive_lens(model.net, model.encode(PROMPT))
    for array, expected in definitions(logits, model.tokens.single(target, "target")).items():
        if array.endswith("rank"):
            # A rank may differ where two logits are equal to within float32 rounding.
            assert (found.arrays[array] == expected).mean() > 0.98, array
        else:
            scale = max(1.0, np.abs(expected).max())
            assert np.abs(found.arrays[array] - expected).max() <= 1e-4 * scale, array
    best = np.take_along_axis(logits, found.arrays["top_ids"], -1)
    assert (np.diff(best, axis=-1) <= 1e-4).all()
    assert np.allclose(best[..., 0], logits.max(-1), atol=1e-3)


def test_the_default_model_says_paris_and_the_last_row_is_its_own(smol):
    found = run(LogitLens(prompt=PROMPT), smol)
    assert found.strings["top_tokens"][-1][-1][0] == " Paris"
    assert found.arrays["token_ids"].tolist() == [504, 3575, 282, 4649, 314]
    assert found.arrays["kl"][-1].tolist() == [0.0] * 5
    assert found.arrays["final_rank"][-1].tolist() == [0] * 5
    assert found.meta.contracts["lens_last_row"].error <= 5e-4
    assert found.meta.failed_cells == 0


def test_shapes_and_names_are_the_contracts(tiny):
    arrays = run(LogitLens(prompt=PROMPT, top_k=3), tiny).arrays
    pos = len(tiny.encode(PROMPT))
    assert {name: (a.dtype.name, a.shape) for name, a in arrays.items()} == {
        "token_ids": ("int32", (pos,)),
        "layer": ("int32", (5,)),
        "top_ids": ("int32", (5, pos, 3)),
        "top_probs": ("float32", (5, pos, 3)),
        "entropy": ("float32", (5, pos)),
        "kl": ("float32", (5, pos)),
        "final_rank": ("int32", (5, pos)),
    }
    assert arrays["layer"].tolist() == [-1, 0, 1, 2, 3]


def test_rows_stream_from_the_last_and_are_the_results_rows(tiny):
    parts = []
    found = run(LogitLens(prompt=PROMPT), tiny, parts.append)
    assert isinstance(parts[0], Started)
    rows = [part for part in parts if isinstance(part, LogitLensRow)]
    assert [row.layer for row in rows] == [3, 2, 1, 0, -1]
    for row in rows:
        assert np.allclose(row.kl.tolist(), found.arrays["kl"][row.layer + 1])
    assert [step for step in parts if isinstance(step, Step)][-1].done == 5


@pytest.mark.parametrize("budget", [1, 4 * 1024 * 3, 4 * 1024 * 40])
def test_chunks_of_any_size_give_the_same_numbers(tiny, monkeypatch, budget):
    whole = run(LogitLens(prompt=PROMPT), tiny).arrays
    monkeypatch.setattr(logit_lens, "CHUNK_BYTES", budget)
    pieces = run(LogitLens(prompt=PROMPT), tiny).arrays
    for name, array in whole.items():
        assert np.allclose(pieces[name], array, atol=2e-5), name


def test_stopping_between_rows_leaves_the_model_clean(tiny):
    ids = mx.array([tiny.encode(PROMPT)])
    before = tiny.net(ids)
    steps = execute(tiny, LogitLens(prompt=PROMPT))
    while not isinstance(next(steps), LogitLensRow):
        pass
    steps.close()
    assert mx.array_equal(tiny.net(ids), before)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (LogitLens(prompt="tea " * 200), "reads at most 128"),
        (LogitLens(prompt="x", target="Alice was"), "target"),
        (LogitLens(prompt="x", bos="on"), "no BOS"),
        (LogitLens(prompt="x", chat=True), "chat"),
    ],
)
def test_what_the_model_cannot_do_is_refused_in_words(tiny, request_, words):
    with pytest.raises(BadInput) as refusal:
        run(request_, tiny)
    assert words in str(refusal.value)


def test_a_refused_target_is_refused_before_the_run_is_said_to_have_begun(tiny):
    with pytest.raises(BadInput, match="target"):
        next(execute(tiny, LogitLens(prompt="x", target="Alice was")))


def test_the_price_grows_with_the_prompt_and_needs_no_run(tiny):
    short, long = (price(tiny, LogitLens(prompt="tea " * n)) for n in (2, 40))
    assert 0 < short.seconds <= long.seconds
    assert short.bytes < long.bytes
    assert short.passes == long.passes > 1


def test_the_headline_says_since_when_the_last_positions_prediction_stands(smol):
    result = run(LogitLens(prompt=PROMPT, target=" Paris"), smol)
    ranks = result.arrays["final_rank"][:, -1]
    layer = int(result.meta.figures["stays_from"])
    row = layer + 1
    assert (ranks[row:] == 0).all()
    assert ranks[row - 1] != 0
    assert result.meta.headline.startswith(f"' Paris' p 0.77, top from block {layer} on")
    assert result.meta.figures["target_rank"] == 0
