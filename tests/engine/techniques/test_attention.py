"""`attention`: the patterns of the blocks asked for, and what proves them."""

from mlxterp_engine.experiments import Attention, BadInput, Step
from mlxterp_engine.running import run
from mlxterp_engine.techniques import attention as technique
from mlxterp_engine.techniques.execute import price
from mlxterp_engine.tracing.sites import BlockSites, SiteTable

import numpy as np
import pytest

TEXT = "Alice was beginning to get very tired"


def test_patterns_come_in_the_order_asked_for(tiny):
    found = run(Attention(prompt=TEXT, layers=[3, 1]), tiny)
    pos = len(tiny.encode(TEXT))
    assert set(found.arrays) == {"layers", "pattern"}
    assert found.arrays["layers"].tolist() == [3, 1]
    pattern = found.arrays["pattern"]
    assert pattern.shape == (2, 4, pos, pos)
    with tiny.trace(TEXT) as trace:
        for row, layer in enumerate([3, 1]):
            expected = np.array(trace.activations[f"blocks.{layer}.attn.pattern"][0])
            assert (pattern[row] == expected).all()
    assert found.meta.tokens == [tiny.tokens.strings(tiny.encode(TEXT))]


def test_a_pattern_is_the_softmax_of_queries_and_keys(tiny):
    """The slow, obvious way, from the rotated queries and keys, in float64."""
    with tiny.trace(TEXT) as trace:
        q, k = (np.array(trace.activations[f"blocks.2.attn.{x}"][0], np.float64) for x in "qk")
    pos = q.shape[1]
    found = run(Attention(prompt=TEXT, layers=[2]), tiny).arrays["pattern"][0]
    for head in range(4):
        scores = q[head] @ k[head // 2].T / np.sqrt(q.shape[-1])
        weights = np.where(np.tri(pos), np.exp(scores), 0)
        expected = weights / weights.sum(axis=-1, keepdims=True)
        assert np.abs(found[head] - expected).max() < 1e-6  # float32 against float64


@pytest.mark.parametrize("model", ["tiny", "smol"])
def test_rows_add_up_to_one_and_rebuild_the_attention(model, request):
    opened = request.getfixturevalue(model)
    parts = []
    found = run(Attention(prompt=TEXT), opened, parts.append)
    assert found.arrays["layers"].tolist() == list(range(opened.card.layers))
    contracts = found.meta.contracts
    assert contracts["attention_rows"].ok
    assert contracts["attention_rebuild"].ok
    assert sum(isinstance(part, Step) for part in parts) == opened.card.layers
    assert f"{opened.card.layers} × {opened.card.heads} heads" in found.meta.headline


def test_a_pattern_that_is_not_the_models_own_fails_its_contracts(tiny, monkeypatch):
    from mlxterp_engine.tracing.attention import Kernel

    own = Kernel.pattern
    monkeypatch.setattr(Kernel, "pattern", lambda call: own(call) * 0.99)
    contracts = run(Attention(prompt=TEXT, layers=[1]), tiny).meta.contracts
    assert contracts["attention_rows"].error == pytest.approx(0.01, rel=1e-3)
    assert not contracts["attention_rows"].ok
    assert not contracts["attention_rebuild"].ok


@pytest.mark.parametrize(
    ("layers", "words"),
    [([4], "blocks go from 0 to 3"), ([0, 99], "has no block 99")],
)
def test_blocks_that_are_not_there_are_refused(tiny, layers, words):
    for ask in (run, lambda request, model: price(model, request)):
        with pytest.raises(BadInput) as refusal:
            ask(Attention(prompt=TEXT, layers=layers), tiny)
        assert words in str(refusal.value)


def with_blocks(tiny, monkeypatch, *blocks):
    monkeypatch.setattr(tiny, "sites", SiteTable("hybrid", blocks, {}))


MIXER = BlockSites(missing={"attn": "a state-space mixer"})


def test_a_block_without_attention_is_refused_with_its_reason_and_left_out_of_all(
    tiny, monkeypatch
):
    with_blocks(tiny, monkeypatch, BlockSites(4, 2), MIXER, BlockSites(4, 2), BlockSites(4, 2))
    with pytest.raises(BadInput, match=r"hybrid has no .*: a state-space mixer"):
        run(Attention(prompt=TEXT, layers=[0, 1]), tiny)
    found = run(Attention(prompt=TEXT), tiny)
    assert found.arrays["layers"].tolist() == [0, 2, 3]


def test_a_model_without_any_attention_says_why(tiny, monkeypatch):
    with_blocks(tiny, monkeypatch, *[MIXER] * 4)
    with pytest.raises(BadInput, match="has no attention patterns: a state-space mixer"):
        run(Attention(prompt=TEXT), tiny)


def test_blocks_of_different_heads_do_not_fit_into_one_array(tiny, monkeypatch):
    with_blocks(tiny, monkeypatch, BlockSites(4, 2), BlockSites(8, 2))
    with pytest.raises(BadInput, match="block 0 has 4, block 1 has 8; ask for them apart"):
        run(Attention(prompt=TEXT), tiny)


def test_patterns_too_large_to_hand_over_are_refused_before_they_are_computed(tiny, monkeypatch):
    monkeypatch.setattr(technique, "LARGEST", 1000)
    with pytest.raises(BadInput, match="ask for fewer layers, or shorten the prompt"):
        run(Attention(prompt=TEXT), tiny)


def test_the_price_counts_the_bytes_of_the_patterns(tiny):
    pos = len(tiny.encode(TEXT))
    # 4 bytes, 4 copies at the peak, 2 blocks of 4 heads
    assert price(tiny, Attention(prompt=TEXT, layers=[0, 1])).bytes == 4 * 4 * 2 * 4 * pos**2


def test_one_token_attends_to_itself(tiny):
    found = run(Attention(prompt="A", bos="off"), tiny)
    assert (found.arrays["pattern"] == 1).all()
