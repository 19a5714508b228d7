"""Sets of facts: those that the tiny model knows, traced one by one and averaged by bucket."""

from __future__ import annotations

import json

from mlxterp_engine.experiments import BadInput, CausalTracing, PatchCells, PatchEnds, Step
from mlxterp_engine.running import run
from mlxterp_engine.techniques import causal_facts
from mlxterp_engine.techniques.causal_facts_arrays import absent
from mlxterp_engine.techniques.causal_facts_buckets import (
    BUCKETS,
    LAST_SUBJECT,
    Span,
    bucketed,
    largest,
)
from mlxterp_engine.techniques.causal_facts_known import ReadFact, Unsuitable, is_known
from mlxterp_engine.techniques.causal_tracing_noise import sigma_of
from mlxterp_engine.techniques.execute import failed_cells, price

import numpy as np
import pytest

MAPS = ("hidden", "mlp", "attn")
KNOWN = ["The Queen of", "the King and the Queen of", "Then said the March", "Alice began to",
         "said the Mock"]  # fmt: skip


def request(facts, **fields) -> CausalTracing:
    return CausalTracing(**{"model": "glass-tiny", "facts": str(facts), "samples": 2} | fields)


@pytest.fixture(scope="module")
def parts() -> list:
    return []


@pytest.fixture(scope="module")
def found(tiny, tiny_facts, parts):
    asked = request(tiny_facts, noise_levels=[3.0, 1.0], sever="mlp")
    return run(asked, tiny, parts.append, log=False)


@pytest.fixture
def written(tmp_path):
    def write(*facts):
        path = tmp_path / "some.json"
        keys = ("prompt", "subject", "answer")
        path.write_text(json.dumps([dict(zip(keys, fact, strict=True)) for fact in facts]))
        return path

    return write


def test_the_facts_that_the_model_continues_rightly_are_traced(tiny, tiny_facts, found):
    read = causal_facts.read(tiny, request(tiny_facts))
    asked = [fact for fact in read if isinstance(fact, ReadFact)]
    assert [fact.fact.prompt for fact in asked if is_known(tiny, fact)] == KNOWN
    assert found.strings["fact_prompt"] == KNOWN
    assert found.strings["fact_answer"] == [" the", " the", " H", " the", " T"]
    next_tokens = [tiny.generate(prompt, 1).text for prompt in KNOWN]
    assert next_tokens == found.strings["fact_answer"]


def test_what_was_left_out_is_counted_and_named(found):
    assert found.strings["unknown"] == ["Alice was"]
    absent_subject, long_answer = found.strings["unsuitable"]
    assert "'Bob' does not stand in the prompt" in absent_subject
    assert "said the Mock: the answer ' Turtle' is 2 tokens here (' T' + 'urtle')" in long_answer
    assert found.meta.headline.startswith("5 known facts (1 not known, 2 unsuitable): p 0.")
    counts = [found.meta.figures[name] for name in ("facts", "not_known", "unsuitable")]
    assert counts == [5, 1, 2]


def test_which_facts_they_were_is_kept_with_the_arrays(tiny, found):
    assert ["".join(tokens) for tokens in found.meta.tokens] == KNOWN
    spans = zip(found.meta.tokens, found.arrays["fact_subject_span"], strict=True)
    subjects = ["".join(tokens[a:b]).strip() for tokens, (a, b) in spans]
    assert subjects == found.strings["fact_subject"]
    answers = tiny.tokens.strings(found.arrays["fact_answer_id"].tolist())
    assert answers == found.strings["fact_answer"]


def test_each_fact_is_what_it_would_be_alone(tiny, found):
    """The same draws: they depend on the seed and the number of subject tokens alone. A single
    run refuses facts that noise does not touch; in a set they count with what they have."""
    touched = found.arrays["p_clean_facts"] - found.arrays["p_corrupt_facts"] > 0.01
    assert touched.sum() >= 3
    for number, prompt in enumerate(KNOWN):
        if not touched[number]:
            continue
        subject, answer = (found.strings[name][number] for name in ("fact_subject", "fact_answer"))
        alone = run(
            CausalTracing(model="glass-tiny", prompt=prompt, subject=subject, answer=answer,
                          samples=2, sever="mlp"),
            tiny, log=False,
        )  # fmt: skip
        span = Span(*alone.arrays["subject_span"], len(alone.arrays["token_ids"]))
        assert alone.arrays["p_clean"] == found.arrays["p_clean_facts"][number]
        # Sums in another order: a few roundings of float32.
        assert found.arrays["p_corrupt_facts"][number] == pytest.approx(
            alone.arrays["p_corrupt"], abs=1e-6
        )
        for name in (*MAPS, "hidden_severed"):
            effect = alone.arrays[name] - alone.arrays["p_corrupt"]
            own = found.arrays[f"{name}_effect_facts"][number]
            np.testing.assert_allclose(own, bucketed(effect, span), atol=1e-6)
            assert tuple(found.arrays[f"{name}_argmax_place"][number]) == largest(effect, span)


def test_a_set_of_one_fact_is_that_fact_and_has_no_spread(tiny, written):
    path = written(("the King and the Queen of", "the King", "the"))
    found = run(request(path), tiny, log=False)
    for name in MAPS:
        own = found.arrays[f"{name}_effect_facts"]
        np.testing.assert_array_equal(found.arrays[f"{name}_effect"], own[0])
        assert f"{name}_effect_sd" not in found.arrays
        assert f"{name}_effect_low" not in found.arrays
    total = found.arrays["p_clean"] - found.arrays["p_corrupt"]
    assert found.arrays["total_effect"] == pytest.approx(total, abs=1e-6)
    assert "total_effect_low" not in found.arrays
    assert "[" not in found.meta.headline.split(";")[0]


def test_means_are_over_facts_and_every_fact_weighs_the_same(found):
    facts = found.arrays["hidden_effect_facts"]
    having = found.arrays["bucket_tokens"] > 0
    by_hand = [facts[having[:, b], :, b].mean(axis=0) for b in range(len(BUCKETS))]
    np.testing.assert_allclose(found.arrays["hidden_effect"], np.stack(by_hand, 1), atol=1e-6)
    spread = facts[:, :, LAST_SUBJECT].std(axis=0, ddof=1)
    np.testing.assert_allclose(found.arrays["hidden_effect_sd"][:, LAST_SUBJECT], spread, rtol=1e-4)
    low, mean, high = (
        found.arrays[f"hidden_effect{end}"][:, LAST_SUBJECT] for end in ("_low", "", "_high")
    )
    assert ((low <= mean) & (mean <= high)).all()
    assert found.arrays["total_effect_low"] < found.arrays["total_effect"]


def test_peaks_are_counted_in_each_bucket(found):
    for name in MAPS:
        facts, peak = found.arrays[f"{name}_effect_facts"], found.arrays[f"{name}_argmax"]
        assert peak[:, LAST_SUBJECT].tolist() == facts[:, :, LAST_SUBJECT].argmax(axis=1).tolist()
        assert ((peak == -1) == (found.arrays["bucket_tokens"] == 0)).all()
        counts = found.arrays[f"{name}_argmax_count"]
        assert counts.sum(axis=0).tolist() == (peak >= 0).sum(axis=0).tolist()


def test_places_that_a_fact_has_not_are_no_failed_cells(found):
    assert np.isnan(found.arrays["hidden_effect_facts"]).any()
    assert found.meta.failed_cells == 0


def test_a_cell_that_could_not_be_computed_is_counted_and_not_averaged_away(tiny, tiny_facts):
    asked = request(tiny_facts, count=2)
    steps = causal_facts.run(tiny, asked)
    done = []
    while True:
        try:
            next(steps)
        except StopIteration as end:
            done.append(end.value.arrays)
            break
    arrays = done[0]
    before = failed_cells(arrays) - absent(arrays)
    arrays["mlp_effect_facts"][0, 1, LAST_SUBJECT] = np.nan
    assert (before, failed_cells(arrays) - absent(arrays)) == (0, 1)


def test_after_each_fact_the_means_so_far_are_told(found, parts):
    ends = [part for part in parts if isinstance(part, PatchEnds)]
    assert len(ends) == 5
    assert ends[0].clean_metric == found.arrays["p_clean_facts"][0]
    assert ends[-1].corrupt_metric == pytest.approx(float(found.arrays["p_corrupt"]), abs=1e-6)
    cells = [part for part in parts if isinstance(part, PatchCells)]
    assert {part.site for part in cells} == {f"{name}_effect" for name in (*MAPS, "hidden_severed")}
    (*_, last) = (part for part in cells if part.site == "attn_effect")
    values = np.array(last.values.tolist(), np.float32)
    np.testing.assert_array_equal(values, found.arrays["attn_effect"][:, last.at])


def test_progress_never_goes_back(parts):
    steps = [part.done / part.total for part in parts if isinstance(part, Step)]
    assert steps == sorted(steps)
    assert steps[-1] == 1


def test_other_noises_are_told_by_their_ends(found):
    assert found.arrays["noise_level"].tolist() == [3, 1]
    by_level = found.arrays["p_corrupt_by_level_facts"]
    assert by_level.shape == (5, 2)
    np.testing.assert_allclose(by_level[:, 0], found.arrays["p_corrupt_facts"], atol=1e-6)
    np.testing.assert_allclose(found.arrays["p_corrupt_by_level"], by_level.mean(axis=0), atol=1e-6)


def test_sigma_from_subjects_is_that_of_all_known_facts_subjects_together(tiny, tiny_facts):
    found = run(request(tiny_facts, sigma_from="subjects", samples=1, count=3), tiny, log=False)
    tokens = [tiny.encode(text)[a:b] for text, a, b in
              [("The Queen of", 1, 2), ("the King and the Queen of", 0, 2),
               ("Then said the March", *found.arrays["fact_subject_span"][2])]]  # fmt: skip
    together = [i for ids in tokens for i in ids]
    assert found.arrays["sigma"] == pytest.approx(sigma_of(tiny, together), rel=1e-6)


def test_no_more_facts_are_asked_than_wanted(tiny, tiny_facts):
    found = run(request(tiny_facts, count=1, samples=1), tiny, log=False)
    assert found.strings["fact_prompt"] == KNOWN[:1]
    assert found.strings["unknown"] == []


def test_what_is_done_is_there_when_a_set_is_stopped(tiny, tiny_facts, found):
    steps = causal_facts.run(tiny, request(tiny_facts))
    heard = []
    while sum(isinstance(part, PatchEnds) for part in heard) < 2:
        heard.append(next(steps))
    while not (isinstance(heard[-1], PatchCells) and heard[-1].site == "attn_effect"):
        heard.append(next(steps))
    steps.close()
    values = np.array(heard[-1].values.tolist())
    first = found.arrays["attn_effect_facts"][:2, :, LAST_SUBJECT].mean(axis=0)
    at = heard[-1].at.index(LAST_SUBJECT)
    np.testing.assert_allclose(values[:, at], first, atol=1e-6)


def test_others_are_let_in_between_the_facts_of_a_set(tiny_facts):
    assert request(tiny_facts).background
    one = CausalTracing(model="glass-tiny", prompt="The Queen of", subject="Queen")
    assert not one.background


def test_a_set_costs_what_its_facts_cost(tiny, tiny_facts):
    few, more = (price(tiny, request(tiny_facts, count=count)) for count in (1, 3))
    assert more.passes > 2 * few.passes
    assert more.seconds > few.seconds
    draws = price(tiny, request(tiny_facts, count=1, samples=8))
    assert draws.passes == pytest.approx(4 * few.passes, rel=0.2)


def test_a_set_of_which_nothing_can_be_traced_is_refused(tiny, written):
    path = written(("Alice was", "Bob", "the"), ("Alice was", "Alice", "Wonderland"))
    with pytest.raises(BadInput, match=r"none of the facts .* the first because .*'Bob'"):
        run(request(path), tiny, log=False)


def test_a_set_of_which_nothing_is_known_is_refused(tiny, written):
    path = written(("Alice was", "Alice", "the"), ("Alice was", "Bob", "the"))
    with pytest.raises(BadInput, match=r"of 2 facts glass-tiny knows none, 1 are unsuitable"):
        run(request(path), tiny, log=False)


def test_an_unsuitable_fact_says_why(tiny, tiny_facts):
    read = causal_facts.read(tiny, request(tiny_facts))
    reasons = [fact.why for fact in read if isinstance(fact, Unsuitable)]
    assert len(reasons) == 2


def test_the_facts_that_come_along_are_known_to_the_default_model(smol):
    """Every ninth of them; all 65 were, when they were chosen."""
    read = list(causal_facts.read(smol, CausalTracing(facts="known")))
    assert len(read) == 65
    assert not [fact for fact in read if isinstance(fact, Unsuitable)]
    assert all(is_known(smol, fact) for fact in read[::9])
