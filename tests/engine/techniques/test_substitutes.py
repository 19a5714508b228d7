"""`substitutes`: texts for a span of a prompt that leave every other token where it was."""

from mlxterp_engine.experiments import BadInput, Substitutes
from mlxterp_engine.running import run
from mlxterp_engine.techniques.substitute_words import kind_of, may_become
from mlxterp_engine.techniques.substitutes import FOLLOWING
from mlxterp_engine.tracing import resume_cache
from mlxterp_engine.tracing.after_prefix import AfterPrefix, log_probs

import numpy as np
import pytest

PROMPT = "The cat sat on the mat"
IOI = "When Mary and John went to the store, John gave a drink to"


def asked(span, prompt=PROMPT, model="glass-tiny", **fields):
    return Substitutes(model=model, prompt=prompt, span=list(span), **fields)


def span_of(model, prompt, text):
    """Where a text stands in a prompt, by its tokens."""
    tokens = model.tokens.strings(model.encode(prompt))
    return next(
        (a, b)
        for a in range(len(tokens))
        for b in range(a + 1, len(tokens) + 1)
        if "".join(tokens[a:b]) == text
    )


@pytest.mark.parametrize("text", [" cat", "at", "The", " mat"])
def test_a_prompt_with_a_substitute_differs_within_the_span_alone(tiny, text):
    span = span_of(tiny, PROMPT, text)
    found = run(asked(span), tiny, log=False)
    own = tiny.encode(PROMPT)
    assert found.strings["texts"]
    for new, ids, words in zip(
        found.strings["prompts"], found.arrays["token_ids"], found.strings["texts"], strict=True
    ):
        read = tiny.encode(new)
        assert len(read) == len(own)
        assert read[: span[0]] + read[span[1] :] == own[: span[0]] + own[span[1] :]
        assert read[slice(*span)] == ids.tolist() != own[slice(*span)]
        assert new == PROMPT.replace(text, words, 1)
        assert kind_of(words) == kind_of(text)


@pytest.mark.parametrize("caches", [True, False])
def test_probabilities_are_those_of_whole_passes_one_text_at_a_time(tiny, monkeypatch, caches):
    monkeypatch.setattr(resume_cache, "can_be_cut", lambda made: caches)
    span = span_of(tiny, PROMPT, " cat")
    found = run(asked(span, count=3), tiny, log=False)
    for i, prompt in enumerate(found.strings["prompts"]):
        ids = tiny.encode(prompt)
        each = log_probs(np.array(tiny.run(ids).logits[0]))
        following = [each[p - 1, ids[p]] for p in range(span[1], span[1] + FOLLOWING)]
        own = [each[p - 1, ids[p]] for p in range(*span)]
        assert found.arrays["probability"][i] == pytest.approx(np.exp(sum(own)), rel=1e-3)
        assert found.arrays["following_log_prob"][i] == pytest.approx(sum(following), abs=1e-3)
    rank = np.log(found.arrays["probability"]) + found.arrays["following_log_prob"]
    assert (np.diff(rank) <= 0).all()


def test_after_a_prefix_the_model_expects_what_it_expects_of_the_whole(tiny):
    ids = tiny.encode(PROMPT)
    reader = AfterPrefix(tiny.net, ids[:4], tiny.card.vocab_size)
    expected = log_probs(np.array(tiny.run(ids).logits[0]))
    assert reader.expected([()])[0] == pytest.approx(expected[3], abs=1e-4)
    assert reader.expected([ids[4:6], ids[4:6]])[1] == pytest.approx(expected[5], abs=1e-4)
    wanted = [expected[p - 1, ids[p]] for p in (4, 5, 6)]
    assert reader.log_prob([ids[4:7]])[0] == pytest.approx(wanted, abs=1e-4)


def test_nothing_is_expected_where_nothing_stands_before(tiny):
    found = run(asked((0, 3)), tiny, log=False)
    assert np.isnan(found.arrays["probability"]).all()
    assert np.isfinite(found.arrays["following_log_prob"]).all()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (" Mary", (" ", "X…")),
        ("New York", ("X…", " ", "X…")),
        (" NASA's", (" ", "X…")),
        ("A 42.", ("X", " ", "0", ".")),
        ("jean-luc", ("x",)),
    ],
)
def test_kinds_of_words(text, kind):
    assert kind_of(text) == kind


@pytest.mark.parametrize(
    ("beginning", "whole", "possible"),
    [
        (" E", " Eiffel Tower", True),
        (" E", " NASA", True),
        (" Eif", " NASA", False),
        (" Big", " Eiffel Tower", True),
        (" Big Ben!", " Eiffel Tower", False),
        (" big", " Eiffel Tower", False),
        ("Big", " Eiffel Tower", False),
        ("", " Eiffel", True),
    ],
)
def test_a_beginning_may_become_a_text_of_a_kind(beginning, whole, possible):
    assert may_become(beginning, kind_of(whole)) == possible


@pytest.mark.parametrize(
    ("span", "words"),
    [((3, 99), r"the prompt has \d+ tokens"), ((2, 2), "give two numbers"), ((1,), "two numbers")],
)
def test_a_span_that_is_none_is_refused(tiny, span, words):
    with pytest.raises(BadInput, match=words):
        run(asked(span), tiny, log=False)


def test_tokens_of_a_chat_template_are_no_text_of_the_prompt(smol):
    with pytest.raises(BadInput, match=r"is '<\|im_start\|>', which is no text of the prompt"):
        run(asked((0, 1), model="smollm2-135m", chat=True), smol, log=False)


def test_the_default_model_puts_names_for_a_name_and_lands_for_a_land(smol):
    found = run(asked(span_of(smol, IOI, " Mary"), IOI, "smollm2-135m", count=40), smol, log=False)
    assert {" James", " Alice", " Anna"} <= set(found.strings["texts"])
    prompt = "The capital of France is"
    lands = run(asked((3, 4), prompt, "smollm2-135m"), smol, log=False)
    assert {" Spain", " Portugal", " Poland"} <= set(lands.strings["texts"])
    assert lands.arrays["token_ids"].shape == (10, 1)
    assert lands.arrays["original_probability"] == pytest.approx(0.087, abs=0.002)


def test_spans_of_several_tokens_are_replaced_by_as_many(smol):
    prompt = "The Space Needle is in the city of"
    span = span_of(smol, prompt, " Space Needle")
    found = run(asked(span, prompt, "smollm2-135m", count=30), smol, log=False)
    assert span[1] - span[0] == 3
    assert found.arrays["token_ids"].shape[1] == 3
    assert " Ibn Battuta" in found.strings["texts"]
    assert all(kind_of(text) == (" ", "X…", " ", "X…") for text in found.strings["texts"])
