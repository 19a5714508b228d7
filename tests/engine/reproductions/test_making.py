"""A card from beginning to end on the tiny model: the log, the files, and what blocks a verdict."""

from __future__ import annotations

from pathlib import Path

from mlxterp_engine.experiments import BadInput, Contract, LogitLens, Result, Step
from mlxterp_engine.experiments.card import Curve, card_from, card_json
from mlxterp_engine.reproductions import logit_lens, making, shelf
from mlxterp_engine.reproductions.card_markdown import (
    bar_chart,
    card_markdown,
    chart_title,
    charts,
    full_bar,
)
from mlxterp_engine.reproductions.frame import blocked_by, faults
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.techniques.execute import execute
from mlxterp_engine.techniques.npz import read_npz
from mlxterp_engine.worker.tasks import CardMade, OpenModel, Reproduce
from mlxterp_engine.worker.workbench import Workbench

import numpy as np
import pytest
from msgspec.structs import replace

TASK = Reproduce(card="logit-lens", model="glass-tiny", fast=True)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLXTERP_NO_LOG", raising=False)
    return tmp_path / "home"


@pytest.fixture
def made(tiny, home) -> CardMade:
    return finished(making.make_card(tiny, TASK))


def finished(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_a_card_is_a_run_whose_children_are_its_experiments(made):
    with RunLog.open() as log:
        own = log.record(made.card.run)
        children = log.children(made.card.run)
    assert (own.state, own.request["name"], own.headline) == (
        "done",
        "reproduce",
        made.card.headline,
    )
    assert sorted(line.id for line in children) == made.card.runs
    assert len(made.card.runs) == logit_lens.FAST.texts + len(logit_lens.FACTS)
    assert {line.experiment for line in children} == {"logit-lens"}
    assert made.card.trouble == ""


def test_what_was_expected_stands_in_the_log_before_anything_is_computed(tiny, home):
    steps = making.make_card(tiny, TASK)
    next(steps)
    with RunLog.open() as log:
        (line,) = log.lines()
        record = log.record(line.id)
    steps.close()
    assert record.state == "running"
    assert record.hypothesis == "; ".join(logit_lens.expected())


def test_three_files_hold_the_card_and_what_it_rests_on(made):
    folder = Path(made.folder)
    assert {path.name for path in folder.iterdir()} == {"card.md", "card.json", "figures.npz"}
    assert card_from((folder / "card.json").read_bytes()) == made.card
    assert (folder / "card.md").read_text() == card_markdown(made.card)
    meta, arrays = read_npz(folder / "figures.npz")
    assert meta.experiment["card"] == "logit-lens"
    assert arrays["kl"].shape == (made.card.texts, 5)
    assert int(arrays["tokens"].sum()) == made.card.tokens


def test_the_same_seed_makes_the_same_card(tiny, made):
    again = finished(making.make_card(tiny, TASK))
    assert again.card.claims == made.card.claims
    assert again.folder != made.folder
    other = finished(making.make_card(tiny, replace(TASK, seed=1)))
    assert other.card.claims != made.card.claims


def test_the_figures_are_those_of_the_runs_in_the_log(made):
    first = 0
    with RunLog.open() as log:
        result = log.result(made.card.runs[first])
    kl = np.array(result.arrays["kl"].tolist())[:, 1:].mean(axis=-1)
    _, arrays = read_npz(Path(made.folder) / "figures.npz")
    np.testing.assert_allclose(arrays["kl"][first], kl, rtol=1e-6)
    ids = result.arrays["token_ids"].tolist()[1:]
    top = np.array(result.arrays["top_ids"].tolist())[:, 1:, 0]
    np.testing.assert_allclose(arrays["echo"][first], (top == ids).mean(axis=-1), rtol=1e-6)
    np.testing.assert_allclose(arrays["agreement"][first], (top == top[-1]).mean(axis=-1))


def test_a_card_that_is_stopped_keeps_its_runs_and_leaves_no_folder(tiny, home):
    steps = making.make_card(tiny, TASK)
    progress = (part for part in steps if isinstance(part, Step))
    while next(progress).done < 3 * (tiny.card.layers + 1):
        pass
    steps.close()
    with RunLog.open() as log:
        own = log.lines()[-1]
        states = [line.state for line in log.children(own.id)]
    assert own.state == "cancelled"
    assert states.count("done") >= 2
    assert set(states) <= {"done", "cancelled"}
    assert shelf.latest("logit-lens") is None
    assert list(shelf.cards_folder().glob("*/*")) == []


def test_without_a_log_there_is_still_a_card(tiny, home, monkeypatch):
    monkeypatch.setenv("MLXTERP_NO_LOG", "1")
    made = finished(making.make_card(tiny, TASK))
    assert (made.card.run, made.card.runs) == (None, [])
    assert "not in the research log" in card_markdown(made.card)


def test_a_log_that_cannot_be_written_is_said_on_the_card_and_stops_nothing(tiny, home, tmp_path):
    (home / "data").mkdir(parents=True)
    (home / "data" / "runs").write_text("no folder")
    out = tmp_path / "card"
    made = finished(making.make_card(tiny, replace(TASK, out=str(out))))
    assert made.card.run is None
    assert made.card.trouble
    assert made.card.trouble in (out / "card.md").read_text()


def test_a_failed_contract_and_a_missing_cell_block_the_verdicts(tiny):
    result = finished(execute(tiny, LogitLens(prompt="Alice was", model="glass-tiny")))
    assert blocked_by(faults([result, result])) == ""
    broken = {"lens_last_row": Contract.of(0.5, 1e-4)}
    failed = replace(result, meta=replace(result.meta, contracts=broken))
    assert blocked_by(faults([result, failed])) == (
        "experiment 2 of 2: contract lens_last_row failed: 5.0e-01 > 1e-04"
    )
    missing = replace(result, meta=replace(result.meta, failed_cells=3))
    assert blocked_by(faults([missing])) == "experiment 1 of 1: 3 cells could not be computed"


def test_a_fault_in_one_of_the_runs_blocks_every_claim_of_the_card(tiny):
    plan = logit_lens.plan(tiny, TASK)

    def perform(request):
        result: Result = yield from execute(tiny, request)
        if request.prompt == logit_lens.FACTS[0]:
            result = replace(result, meta=replace(result.meta, failed_cells=1))
        return result

    reproduced = finished(logit_lens.make(tiny, plan, perform))
    for claim in reproduced.claims:
        assert claim.verdict == "not comparable"
        assert "1 cells could not be computed" in claim.reason


def test_of_each_contract_the_worst_check_is_kept():
    good, bad, failed = (Contract.of(error, 1e-3) for error in (1e-6, 1e-4, 1.0))
    kept = making.worst([{"a": good, "b": failed}, {"a": bad, "b": good}])
    assert kept == {"a": bad, "b": failed}
    nothing = Contract.of(float("nan"), 1e-3)
    assert making.worst([{"a": bad}, {"a": nothing}])["a"] is nothing


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_place_that_can_hold_no_card_is_refused_before_anything_is_computed(
    tiny, home, tmp_path, out
):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput, match="out is"):
        next(making.make_card(tiny, replace(TASK, out=str(tmp_path / out))))
    assert (tmp_path / "file").read_text() == "mine"
    with RunLog.open() as log:
        assert log.lines() == []


def test_what_lies_beside_a_card_stays(tiny, home, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    finished(making.make_card(tiny, replace(TASK, out=str(tmp_path))))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_the_latest_card_is_the_one_on_the_shelf_that_is_whole(made):
    shelved = shelf.latest("logit-lens")
    assert shelved is not None
    assert (shelved.card, str(shelved.folder)) == (made.card, made.folder)
    (shelved.folder.parent / "99991231-235959").mkdir()  # one that was not finished
    assert shelf.latest("logit-lens") == shelved


def test_a_damaged_card_is_refused_in_words(made):
    (Path(made.folder) / "card.json").write_text('{"name": 1}')
    with pytest.raises(BadInput, match="is no card of this version"):
        shelf.latest("logit-lens")


def test_a_card_s_price_is_known_once_its_model_is_open(home):
    bench = Workbench()
    assert bench.price(TASK) is None
    finished(bench.perform(OpenModel(model="glass-tiny")))
    fast, full = bench.price(TASK), bench.price(replace(TASK, fast=False))
    texts = 2 * logit_lens.FAST.texts + len(logit_lens.FACTS)
    assert fast.passes > texts  # a pass each, and the unembeddings
    assert full.passes > 2 * fast.passes
    assert full.seconds > 2 * fast.seconds


def test_an_unknown_card_is_refused_with_those_that_there_are():
    with pytest.raises(BadInput, match=r"no reproduction 'logit-lns'; there are: logit-lens"):
        Reproduce(card="logit-lns")


def test_json_has_the_keys_of_the_contract(made):
    import json

    plain = json.loads(card_json(made.card))
    assert {"name", "claims", "runs", "elapsed_s"} <= set(plain)
    for claim in plain["claims"]:
        assert {"claim", "paper", "ours", "controls", "rule", "verdict"} <= set(claim)
        assert {"source", "model", "value"} <= set(claim["paper"])
        assert {"model", "value", "interval", "n", "seed"} <= set(claim["ours"])


def test_markdown_tables_survive_bars_in_their_cells(made):
    claim = replace(made.card.claims[0], claim="p(a | b)")
    text = card_markdown(replace(made.card, claims=[claim]))
    (row,) = [line for line in text.splitlines() if line.startswith("| p(a")]
    assert row.replace("\\|", "").count("|") == 5


def test_bars_are_as_long_as_their_values(made):
    curve = replace(made.card.curves[0], layers=[-1, 0, 1], values=[10.0, 5.0, None])
    embeddings, half, unknown = bar_chart([curve], width=37)
    assert embeddings.count("█") == 20
    assert half.count("█") == 10
    assert unknown.split() == ["1", "not", "known"]


def test_what_is_counted_has_no_fractions():
    curve = Curve(title="peaks", unit="facts", layers=[0, 1], values=[3.0, 0.0])
    assert bar_chart([curve], width=37)[0].split()[:2] == ["0", "3"]
    assert bar_chart([replace(curve, unit="nats")], width=37)[0].split()[1] == "3.000"


def test_one_layer_far_above_the_others_does_not_take_their_bars_away():
    values = [100.0, *[8.0] * 20, 4.0]
    curve = Curve(title="kl", unit="nats", layers=list(range(-1, 21)), values=values)
    first, *others = bar_chart([curve], width=37)
    assert first.endswith("█▸")
    assert [line.count("█") for line in (first, others[0], others[-1])] == [19, 20, 10]


@pytest.mark.parametrize(
    ("values", "full"), [([], 1.0), ([0.0, 0.0], 1.0), ([1.0, 2.0], 2.0), ([*[1.0] * 40, 9.0], 1.0)]
)
def test_a_bar_is_full_at_the_greatest_value_that_is_not_far_out(values, full):
    assert full_bar(values) == full


def test_curves_of_one_chart_stand_side_by_side_on_one_scale():
    one, other, alone = (
        Curve(title=title, unit="nats", layers=[-1, 0], values=values, chart=chart)
        for title, values, chart in [
            ("one", [8.0, 4.0], "both"),
            ("other", [2.0, 1.0], "both"),
            ("alone", [1.0, 1.0], ""),
        ]
    )
    assert charts([one, alone, other]) == [[one, other], [alone]]
    assert [chart_title(together) for together in charts([one, alone])] == [
        "both, nats",
        "alone, nats",
    ]
    head, first, second = bar_chart([one, other], width=47)
    assert head.split() == ["one", "other"]
    assert [part.count("█") for part in first.split("2.000")] == [9, 2]
    assert second.split() == ["0", "4.000", "████", "1.000", "█"]
    assert max(map(len, (head, first, second))) <= 47


def test_on_the_default_model_the_card_s_figures_are_those_of_its_kind(smol, home, monkeypatch):
    """A card of three short passages: enough for what holds by a wide margin."""
    monkeypatch.setattr(logit_lens, "FAST", logit_lens.Size(texts=3, tokens=10))
    monkeypatch.setattr(logit_lens, "FACTS", logit_lens.FACTS[:1])
    monkeypatch.setattr(logit_lens, "BIAS_DRAWS", 50)
    made = finished(making.make_card(smol, Reproduce(card="logit-lens", fast=True)))
    _, arrays = read_npz(Path(made.folder) / "figures.npz")
    agreement, echo = arrays["agreement"].mean(axis=0), arrays["echo"].mean(axis=0)
    assert agreement[-1] == 1.0  # the last row is the model's own prediction
    assert arrays["kl"][:, -1] == pytest.approx(0, abs=1e-5)
    assert arrays["bias"][-1] == pytest.approx(0, abs=1e-6)
    assert echo[0] > 0.5  # tied: the embeddings unembed to themselves
    assert echo[1:-1].max() < 0.5
    assert agreement[1:20].max() < 0.5  # uninterpretable in the first two thirds
    assert (arrays["kl"][:, 1:20] < arrays["mismatched"][:, 1:20]).mean() > 0.9
    verdicts = {claim.name: claim.verdict for claim in made.card.claims}
    assert verdicts["input-echo"] == "not reproduced"
