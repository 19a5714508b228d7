"""`generate`: prompt and new tokens, their logprobs, the text, and the check of the cache."""

from itertools import pairwise

from mlxterp_engine.experiments import BadInput, Generate, GeneratedToken, RunFailed, Started, Step
from mlxterp_engine.running import run
from mlxterp_engine.techniques import generate as technique
from mlxterp_engine.techniques.execute import execute, price

import mlx.core as mx
import numpy as np
import pytest

TEXT = "Alice was beginning"


def test_arrays_hold_the_prompt_the_new_tokens_and_their_logprobs(tiny):
    found = run(Generate(prompt=TEXT, max_tokens=6), tiny)
    assert set(found.arrays) == {"prompt_ids", "token_ids", "logprobs"}
    assert found.arrays["prompt_ids"].tolist() == tiny.encode(TEXT)
    new = found.arrays["token_ids"].tolist()
    assert len(new) == 6
    assert found.meta.text == tiny.tokens.decode(new)
    assert found.strings["tokens"] == tiny.tokens.strings(new)
    logits = tiny.run([*tiny.encode(TEXT), *new[:-1]]).logits[0, -6:]
    expected = (logits - mx.logsumexp(logits, axis=-1, keepdims=True)).max(axis=-1)
    assert found.arrays["logprobs"] == pytest.approx(np.array(expected), abs=1e-5)
    contract = found.meta.contracts["cache_equals_full"]
    assert contract.ok
    assert 0 <= contract.error < 1e-6  # four blocks of sums in another order, float32


def test_the_default_model_knows_the_capital_of_france(smol):
    found = run(Generate(prompt="The capital of France is", max_tokens=4), smol)
    assert found.meta.text.startswith(" Paris")
    assert found.meta.contracts["cache_equals_full"].ok
    assert "Paris" in found.meta.headline


def test_each_token_is_a_part_and_the_parts_are_the_result(tiny):
    parts = []
    found = run(Generate(prompt=TEXT, max_tokens=6, temperature=1.0, seed=3), tiny, parts.append)
    tokens = [part for part in parts if isinstance(part, GeneratedToken)]
    assert isinstance(parts[0], Started)
    assert [token.index for token in tokens] == list(range(6))
    assert [token.id for token in tokens] == found.arrays["token_ids"].tolist()
    assert "".join(token.text for token in tokens) == found.meta.text
    assert [token.logprob for token in tokens] == pytest.approx(found.arrays["logprobs"].tolist())
    assert all(part.done <= part.total for part in parts if isinstance(part, Step))


def test_an_end_token_ends_it_and_is_no_text(tiny, monkeypatch):
    new = run(Generate(prompt=TEXT, max_tokens=6), tiny).arrays["token_ids"].tolist()
    monkeypatch.setattr(tiny.tokens, "eos_ids", (new[2],))
    found = run(Generate(prompt=TEXT, max_tokens=6), tiny)
    assert found.arrays["token_ids"].tolist() == new[:3]
    assert found.meta.text == tiny.tokens.decode(new[:2])
    assert "to the end token" in found.meta.headline


def test_interventions_change_what_they_are_for(tiny):
    def logprobs(*intervention):
        request = Generate(prompt=TEXT, max_tokens=4, intervention=list(intervention))
        return run(request, tiny).arrays["logprobs"]

    plain = logprobs()
    assert logprobs("blocks.1.resid_post=scale:2@new")[0] == plain[0]
    assert logprobs("blocks.1.resid_post=scale:2@new")[1] != plain[1]
    assert logprobs("blocks.1.resid_post=scale:2@prompt")[0] != plain[0]
    assert logprobs("logits=replace:0") == pytest.approx([-np.log(1024)] * 4)


def test_the_same_seed_writes_the_same_and_another_does_not(tiny):
    def ids(seed):
        request = Generate(prompt=TEXT, max_tokens=12, temperature=1.2, top_p=0.95, seed=seed)
        return run(request, tiny).arrays["token_ids"].tolist()

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


def test_a_long_prompt_is_read_in_chunks_of_about_a_tenth_of_a_second(tiny, monkeypatch):
    monkeypatch.setattr(technique, "CHUNKS", (5, 5))
    parts = []
    run(Generate(prompt=TEXT * 5, max_tokens=2), tiny, parts.append)
    steps = [part for part in parts if isinstance(part, Step) and "prompt" in part.what]
    read = [0, *(step.done for step in steps)]
    assert len(steps) > 3
    assert all(0 < after - before <= 5 for before, after in pairwise(read))


def test_closing_it_between_tokens_stops_it(tiny):
    running = execute(tiny, Generate(prompt=TEXT, max_tokens=100))
    while not isinstance(next(running), GeneratedToken):
        pass
    running.close()
    assert run(Generate(prompt=TEXT, max_tokens=2), tiny).meta.contracts["cache_equals_full"].ok


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_tokens": 200}, "reads at most 128 in all; lower max_tokens to 12"),
        ({"top_k": 1024}, "the vocabulary has 1024 tokens"),
        ({"intervention": ["blocks.9.mlp_out=zero"]}, "blocks go from 0 to 3"),
        ({"intervention": ["blocks.1.mlp_out=zero@500"]}, "outside what this run reads"),
        ({"intervention": ["blocks.1.mlp_out=zero@new"], "max_tokens": 1}, "no new token is read"),
        ({"intervention": ["blocks.1.attn.pattern=noise:1"]}, "a draw depends on the width"),
    ],
)
def test_what_can_not_be_done_is_refused_in_words(tiny, fields, words):
    with pytest.raises(BadInput) as refusal:
        run(Generate(**({"prompt": TEXT, "max_tokens": 4} | fields)), tiny)
    assert words in str(refusal.value)


def test_logits_that_are_no_numbers_fail_the_run(tiny):
    request = Generate(prompt=TEXT, max_tokens=4, intervention=["blocks.1.resid_post=scale:1e38"])
    with pytest.raises(RunFailed, match="logits for new token 1 are not finite"):
        run(request, tiny)


def test_the_price_grows_with_what_is_written(tiny):
    few, many = (price(tiny, Generate(prompt=TEXT, max_tokens=n)) for n in (5, 50))
    assert many.passes - few.passes == 45
    assert many.seconds > few.seconds
    assert many.bytes > few.bytes
    everywhere = Generate(prompt=TEXT, max_tokens=5, intervention=["logits=scale:2"])
    assert price(tiny, everywhere).bytes > few.bytes
