"""Causal tracing's card from beginning to end on the tiny model; and what is measured for it
beside the traces, against whole passes."""

from __future__ import annotations

from dataclasses import replace as changed
from pathlib import Path

from mlxterp_engine import interventions as iv
from mlxterp_engine.experiments import BadInput, CausalTracing, Step
from mlxterp_engine.reproductions import causal_tracing, making
from mlxterp_engine.reproductions.causal_tracing_measures import Measuring, beside
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.running import run
from mlxterp_engine.techniques import causal_facts
from mlxterp_engine.techniques.causal_facts_known import ReadFact, is_known
from mlxterp_engine.techniques.causal_tracing_subject import Question
from mlxterp_engine.techniques.execute import execute
from mlxterp_engine.techniques.findings import Prompted
from mlxterp_engine.techniques.npz import read_npz
from mlxterp_engine.worker.tasks import CardMade, Reproduce

import mlx.core as mx
import numpy as np
import pytest
from msgspec.structs import replace

TASK = Reproduce(card="causal-tracing", model="glass-tiny", fast=True)
SIZE = causal_tracing.Size(facts=5, samples=2)


def finished(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.fixture(scope="module")
def patched(tmp_path_factory, tiny_facts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLXTERP_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("MLXTERP_NO_LOG", raising=False)
        patch.setattr(causal_tracing, "FACTS", str(tiny_facts))
        patch.setattr(causal_tracing, "FAST", SIZE)
        yield patch


@pytest.fixture(scope="module")
def made(tiny, patched) -> CardMade:
    return finished(making.make_card(tiny, TASK))


@pytest.fixture(scope="module")
def arrays(made) -> dict[str, np.ndarray]:
    return read_npz(Path(made.folder) / "figures.npz")[1]


@pytest.fixture(scope="module")
def asked(tiny_facts) -> CausalTracing:
    return CausalTracing(model="glass-tiny", facts=str(tiny_facts), samples=2)


@pytest.fixture(scope="module")
def facts(tiny, asked) -> list[ReadFact]:
    read = causal_facts.read(tiny, asked)
    return [fact for fact in read if isinstance(fact, ReadFact) and is_known(tiny, fact)]


@pytest.fixture(scope="module")
def measuring(tiny, asked, facts) -> Measuring:
    noise = causal_facts.noise_of(tiny, asked, facts)
    return Measuring(tiny, facts, noise, causal_facts.options_of(tiny, asked))


class TestTheCard:
    def test_its_one_run_is_the_experiment_as_anybody_would_ask_it(self, made):
        with RunLog.open() as log:
            (run,) = made.card.runs
            record = log.record(run)
        assert record.request["name"] == "causal-tracing"
        assert record.request["samples"] == SIZE.samples
        assert record.headline.startswith("5 known facts (1 not known, 2 unsuitable)")

    def test_seven_claims_each_with_its_figure(self, made):
        assert len(made.card.claims) == 7
        for claim in made.card.claims:
            assert claim.ours.value is not None
            assert claim.ours.n == 5

    def test_four_blocks_are_too_few_for_all_that_is_about_depth(self, made):
        said = {claim.name: claim for claim in made.card.claims}
        assert said.pop("total-effect").verdict != "not comparable"
        for claim in said.values():
            assert claim.verdict == "not comparable"
            assert "4 blocks are too few" in claim.reason

    def test_the_figures_are_those_of_the_run_in_the_log(self, made, arrays):
        with RunLog.open() as log:
            found = log.result(made.card.runs[0]).arrays
        for name, theirs in {"hidden": "hidden_effect_facts", "p_clean": "p_clean_facts"}.items():
            np.testing.assert_array_equal(
                arrays[name], np.array(found[theirs].tolist(), np.float32)
            )
        value = next(c.ours.value for c in made.card.claims if c.name == "total-effect")
        assert value == pytest.approx((arrays["p_clean"] - arrays["p_corrupt"]).mean(), abs=1e-6)

    def test_the_notes_say_where_it_differs_from_the_paper(self, made):
        notes = " ".join(made.card.notes)
        for said in (
            "draws of noise a fact: 2, where the paper has 10",
            "1 of 4 blocks",
            "attention sink",
        ):
            assert said in notes
        assert made.card.data.startswith("the first 5 facts that the model knows")
        assert made.card.texts == 5

    def test_progress_runs_to_the_end(self, tiny, patched):
        steps = [part for part in making.make_card(tiny, TASK) if isinstance(part, Step)]
        done = [step.done / step.total for step in steps]
        assert done == sorted(done)
        assert done[-1] == pytest.approx(1)

    def test_few_facts_say_nothing_of_facts(self, tiny, patched):
        plan = causal_tracing.plan(tiny, TASK)
        few = changed(plan, request=replace(plan.request, count=4))
        reproduced = finished(causal_tracing.make(tiny, few, lambda asked: execute(tiny, asked)))
        assert {claim.verdict for claim in reproduced.claims} == {"not comparable"}
        assert "4 facts are known, too few" in reproduced.claims[0].reason

    def test_a_fault_in_the_run_blocks_every_claim(self, tiny, patched):
        def perform(request):
            result = yield from execute(tiny, request)
            return replace(result, meta=replace(result.meta, failed_cells=3))

        plan = causal_tracing.plan(tiny, TASK)
        for claim in finished(causal_tracing.make(tiny, plan, perform)).claims:
            assert claim.verdict == "not comparable"
            assert "3 cells could not be computed" in claim.reason

    def test_a_model_of_which_no_fact_can_be_asked_is_refused_first(self, tiny, patched, tmp_path):
        (tmp_path / "none.jsonl").write_text('{"prompt": "a", "subject": "b", "answer": "c"}')
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(causal_tracing, "FACTS", str(tmp_path / "none.jsonl"))
            with pytest.raises(BadInput, match="none of the facts"):
                making.price(tiny, TASK)

    def test_a_full_card_costs_more_than_a_fast_one(self, tiny, patched):
        fast, full = (making.price(tiny, replace(TASK, fast=fast)) for fast in (True, False))
        assert full.passes > fast.passes


class TestBesideTheTraces:
    """Each of them by whole passes under interventions, one draw and one block at a time."""

    def noised(self, facts, measuring, number, draw):
        fact = facts[number]
        start, stop = fact.question.subject
        noise = mx.array(measuring.noise.of(fact)[draw])
        return {"embed": iv.at_positions(slice(start, stop), iv.add_vector(noise))}

    def probability(self, tiny, ids, edits, answer):
        logits = tiny.trace(ids, edits, sites=["logits"]).logits[0, -1]
        return float(mx.softmax(logits)[answer])

    def restored(self, tiny, facts, measuring, number, states, layer):
        """Mean effect over both draws. states [layer, d_model], given at the last subject token."""
        question = facts[number].question
        effects = []
        for draw in range(2):
            noise = self.noised(facts, measuring, number, draw)
            given = iv.at_positions([question.subject[1] - 1], iv.replace_with(states[layer]))
            edits = noise | {f"blocks.{layer}.resid_post": given}
            pair = (
                self.probability(tiny, question.prompt.ids, edit, question.answer)
                for edit in (edits, noise)
            )
            effects.append(next(pair) - next(pair))
        return np.mean(effects)

    def states(self, tiny, fact):
        trace = tiny.trace(fact.question.prompt.ids, sites=["blocks.*.resid_post"])
        last = fact.question.subject[1] - 1
        layers = range(tiny.card.layers)
        return [trace.activations[f"blocks.{layer}.resid_post"][0, last] for layer in layers]

    @pytest.fixture(scope="class")
    def measured(self, measuring, facts):
        return [finished(measuring.of(number)) for number in range(len(facts))]

    def test_a_mismatch_is_the_state_of_the_next_fact_with_another_answer(
        self, tiny, facts, measuring, measured
    ):
        """Fact 2 calls for " H", and is what the first two, which call for " the", are given."""
        for number, other in ((0, 2), (1, 2), (2, 3), (4, 0)):
            states = self.states(tiny, facts[other])
            for layer in (0, 2):
                by_hand = self.restored(tiny, facts, measuring, number, states, layer)
                # Probabilities in float32 after four blocks: some roundings.
                assert measured[number].mismatched[layer] == pytest.approx(by_hand, abs=2e-5)

    def test_severed_states_are_those_of_the_experiment(self, tiny, asked, measured):
        """Which are held against whole passes in test_causal_tracing."""
        for part in ("mlp", "attn"):
            found = run(replace(asked, sever=part), tiny, log=False)
            expected = found.arrays["hidden_severed_effect_facts"][:, :, 2]
            severed = [getattr(one, f"severed_{part}") for one in measured]
            np.testing.assert_allclose(severed, expected, atol=2e-6)

    def test_a_replaced_subject_is_another_of_as_many_tokens(
        self, tiny, facts, measuring, measured
    ):
        """ "Then said the March" with "the King" for "said the"; its own states given back."""
        fact, text = facts[2], "Then the King March"
        ids = tiny.encode(text)
        assert len(ids) == len(fact.question.prompt.ids)
        own = self.states(tiny, fact)
        last = fact.question.subject[1] - 1
        for layer in (0, 3):
            given = iv.at_positions([last], iv.replace_with(own[layer]))
            answer = fact.question.answer
            patched = self.probability(tiny, ids, {f"blocks.{layer}.resid_post": given}, answer)
            effect = patched - self.probability(tiny, ids, {}, answer)
            assert measured[2].replaced[layer] == pytest.approx(effect, abs=2e-5)

    def test_noise_elsewhere_is_the_subject_s_noise_behind_it(
        self, tiny, facts, measuring, measured
    ):
        question = facts[1].question  # the King| and the| Queen of
        noise = measuring.noise.of(facts[1])
        start, stop = beside(question)
        assert (start, stop) == (2, 4)
        totals = []
        for draw in noise:
            edit = {"embed": iv.at_positions(slice(2, 4), iv.add_vector(mx.array(draw)))}
            p = [
                self.probability(tiny, question.prompt.ids, e, question.answer) for e in ({}, edit)
            ]
            totals.append(p[0] - p[1])
        assert measured[1].elsewhere == pytest.approx(np.mean(totals), abs=2e-5)

    @pytest.mark.parametrize(
        ("tokens", "subject", "span"),
        [
            (8, (0, 3), (3, 6)),  # just behind the subject
            (7, (0, 3), (3, 6)),
            (6, (0, 3), None),  # the last token is not touched
            (9, (4, 7), (1, 4)),  # too few behind it: just before
            (6, (2, 5), None),
        ],
    )
    def test_other_tokens_are_as_many_as_the_subject_s(self, tokens, subject, span):
        prompt = Prompted(list(range(tokens)), [""] * tokens)
        assert beside(Question(prompt, subject, 0)) == span

    def test_facts_that_all_have_one_answer_have_no_mismatch(self, tiny, facts, measuring):
        same = [fact for fact in facts if fact.question.answer == facts[0].question.answer]
        alone = Measuring(tiny, same, measuring.noise, measuring.options)
        found = finished(alone.of(0))
        assert (found.mismatched, found.replaced) == (None, None)
        assert np.isfinite(found.severed_mlp).all()
