"""A trace that was stopped goes on with the draws that it had, to the same bits."""

import json

from mlxterp_engine.experiments import CausalTracing, PatchCells, PatchEnds, Step
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.running import run
from mlxterp_engine.techniques import causal_tracing_fact

import pytest

PROMPT, SUBJECT, DRAWS = "One day the cat sat", "the cat", 4


def request(**fields):
    given = {"prompt": PROMPT, "subject": SUBJECT, "model": "glass-tiny", "samples": DRAWS}
    return CausalTracing(**given | {"sever": "mlp"} | fields)


class Stopped(Exception):
    """As a cancel comes: between two parts."""


@pytest.fixture
def log(tmp_path):
    with RunLog.open(tmp_path / "runs") as opened:
        yield opened


@pytest.fixture
def drawn(monkeypatch):
    """A line for each draw that is computed."""
    lines = []
    own = causal_tracing_fact.noised_run

    def counting(*given):
        lines.append(given[1].prompt.ids)
        return own(*given)

    monkeypatch.setattr(causal_tracing_fact, "noised_run", counting)
    return lines


def stopped_after(asked, model, log, share):
    """Run it until so much of its cells is told."""

    def heard(part):
        if isinstance(part, Step) and part.what == "cells" and part.done / part.total >= share:
            raise Stopped

    with pytest.raises(Stopped):
        run(asked, model, heard, log=log)


def arrays(found):
    return {name: values.tobytes() for name, values in found.arrays.items()}


@pytest.mark.parametrize("share", [0.3, 0.5, 0.85, 1.0])
def test_a_stopped_trace_goes_on_to_the_same_bits(tiny, log, drawn, share):
    expected = run(request(), tiny, log=False)
    drawn.clear()
    stopped_after(request(), tiny, log, share)
    before = int(share * DRAWS)
    parts = []
    found = run(request(), tiny, parts.append, log=log)
    assert len(drawn) == DRAWS + (share not in (0.5, 1.0))  # one was begun and is done again
    assert arrays(found) == arrays(expected)
    assert found.meta.figures["draws_from_before"] == before
    assert f"{before} draws from a stopped run" in found.meta.headline
    (ends,) = [part for part in parts if isinstance(part, PatchEnds)]
    (first, *_) = [part for part in parts if isinstance(part, PatchCells)]
    assert ends.resumed > 0
    assert first.at == [int(found.arrays["subject_span"][1]) - 1]
    for name, contract in expected.meta.contracts.items():
        assert found.meta.contracts[name] == contract


def test_a_finished_trace_leaves_nothing_and_is_computed_anew(tiny, log, drawn):
    first = run(request(), tiny, log=log)
    again = run(request(), tiny, log=log)
    assert len(drawn) == 2 * DRAWS
    assert arrays(first) == arrays(again)
    assert "draws_from_before" not in again.meta.figures


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"noise": 2.0}, {"window": 2}, {"sever": "attn"}, {"subject": "cat"},
     {"prompt": "The day the cat sat"}, {"resume": False}],
)  # fmt: skip
def test_what_is_asked_otherwise_begins_anew(tiny, log, drawn, other):
    stopped_after(request(), tiny, log, 0.6)
    drawn.clear()
    found = run(request(**other), tiny, log=log)
    assert len(drawn) == DRAWS
    assert "draws_from_before" not in found.meta.figures


def test_a_set_of_facts_goes_on_with_the_facts_that_it_had(tiny, log, drawn, tmp_path):
    facts = []
    for animal in ("cat", "dog", "bird"):
        prompt = f"One day the {animal} sat on"
        top = tiny.run(tiny.encode(prompt)).logits[0, -1].argmax().item()
        answer = tiny.tokens.strings([top])[0]
        facts.append({"prompt": prompt, "subject": animal, "answer": answer})
    (tmp_path / "facts.json").write_text(json.dumps(facts))
    asked = CausalTracing(model="glass-tiny", facts=str(tmp_path / "facts.json"), samples=2)
    expected = run(asked, tiny, log=False)
    drawn.clear()

    def heard(part):
        if len(drawn) == 4 and isinstance(part, Step):
            raise Stopped

    with pytest.raises(Stopped):
        run(asked, tiny, heard, log=log)
    assert len(drawn) == 4  # the second fact's second draw was begun
    found = run(asked, tiny, log=log)
    assert len(drawn) == 4 + 3
    assert arrays(found) == arrays(expected)
