"""The tuned lens's card from beginning to end on the tiny model."""

from __future__ import annotations

from pathlib import Path

from mlxterp_engine import LogitLens, run
from mlxterp_engine.experiments import BadInput, Step
from mlxterp_engine.lenses import shelf
from mlxterp_engine.reproductions import making, tuned_lens
from mlxterp_engine.reproductions import shelf as cards
from mlxterp_engine.reproductions.lens_quality import quality, see
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.techniques.npz import read_npz
from mlxterp_engine.worker.tasks import CardMade, Reproduce

import numpy as np
import pytest
from msgspec.structs import replace

TASK = Reproduce(card="tuned-lens", model="glass-tiny", fast=True)


def finished(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def at_home(home, monkeypatch):
    monkeypatch.setenv("MLXTERP_HOME", str(home))
    monkeypatch.delenv("MLXTERP_NO_LOG", raising=False)


@pytest.fixture(scope="module")
def made(tiny, home) -> CardMade:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLXTERP_HOME", str(home))
        patch.delenv("MLXTERP_NO_LOG", raising=False)
        return finished(making.make_card(tiny, TASK))


@pytest.fixture(scope="module")
def arrays(made) -> dict[str, np.ndarray]:
    return read_npz(Path(made.folder) / "figures.npz")[1]


def test_the_trainings_and_the_factual_prompts_are_runs_under_the_card(made):
    with RunLog.open() as log:
        names = [log.record(run).request["name"] for run in made.card.runs]
    facts = tuned_lens.FAST.facts
    assert names == [
        "train-ridge-lens",
        "train-tuned-lens",
        *["logit-lens"] * facts,
        *["tuned-lens"] * 2 * facts,
    ]


def test_both_lenses_stay_on_the_shelf_for_anybody_to_use(made, tiny):
    kept = {lens.description.kind: lens for lens in shelf.kept(tiny.card.sha256)}
    assert set(kept) == {"ridge", "tuned"}
    tokens = {lens.description.fit.tokens for lens in kept.values()}
    assert tokens == {tuned_lens.FAST.steps * (tuned_lens.LENGTH - 1)}


def test_each_claim_has_a_figure_and_four_blocks_are_too_few_for_those_about_depth(made):
    verdicts = {claim.name: claim.verdict for claim in made.card.claims}
    assert set(verdicts) == {"better", "smooth", "unbiased", "transfers", "faithful"}
    about_depth = {verdicts[name] for name in ("smooth", "transfers", "faithful")}
    assert about_depth == {"not comparable"}
    assert all(claim.ours.value is not None for claim in made.card.claims)
    assert all(held.ok for held in made.card.contracts.values())


def test_the_logit_lens_s_figures_are_those_of_its_own_card(made, tiny, arrays):
    """KL of the logit lens on one passage, by the experiment `logit-lens`."""
    plan = tuned_lens.plan(tiny, TASK)
    own = run(LogitLens(prompt=tiny.decode(plan.held_out[0]), model="glass-tiny"), tiny, log=False)
    kl = np.array(own.arrays["kl"])[:-1, 1:-1].mean(axis=-1)
    np.testing.assert_allclose(arrays["kl_logit"][0], kl, rtol=1e-4)
    assert int(arrays["tokens"].sum()) == made.card.tokens


def test_the_training_text_that_is_measured_is_text_that_was_trained_on(made, tiny, arrays):
    """The loss before the first step is the logit lens's on the first sequence."""
    plan = tuned_lens.plan(tiny, TASK)
    tally = tuned_lens.Tally(1)
    read = finished(tuned_lens._training_sequences(tiny, plan, tally))
    seen = finished(see(tiny, read.ids[0].tolist()))
    kl = finished(quality(tiny, seen, None)).kl
    # One token fewer is counted here, the last: 126 of 127, so that the means differ a little.
    np.testing.assert_allclose(arrays["train_loss"][0], kl, rtol=0.02)


def test_a_lens_that_has_hardly_learned_is_near_the_logit_lens(arrays):
    tuned, logit = (arrays[f"kl_{name}"].mean(axis=0) for name in ("tuned", "logit"))
    np.testing.assert_allclose(tuned, logit, rtol=0.1)
    assert (arrays["kl_training_ridge"] < arrays["kl_ridge"].mean(axis=0)).all()  # over-fitted


def test_the_price_and_the_progress_are_of_the_same_work(tiny):
    plan = tuned_lens.plan(tiny, TASK)
    price = tuned_lens.price(tiny, plan)
    assert price.passes > 0
    assert price.seconds > 0
    full = tuned_lens.price(tiny, tuned_lens.plan(tiny, replace(TASK, fast=False)))
    assert full.seconds > 3 * price.seconds


@pytest.mark.parametrize(("when", "kept"), [("ridge", []), ("tuned", ["ridge"])])
def test_a_card_that_is_stopped_leaves_whole_lenses_and_no_card(
    tiny, tmp_path, monkeypatch, when, kept
):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path))
    steps = making.make_card(tiny, TASK)
    before = 0.0
    for part in steps:
        if isinstance(part, Step) and when in part.what:
            if when == "ridge" or part.done > before > 0:  # a step of the training was taken
                break
            before = part.done
    steps.close()
    assert [lens.description.kind for lens in shelf.kept()] == kept
    assert len(list(shelf.lenses_folder().iterdir())) == len(kept)
    assert cards.latest("tuned-lens") is None


def test_the_last_step_says_that_nearly_all_is_done(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path))
    *_, last = (part for part in making.make_card(tiny, TASK) if isinstance(part, Step))
    assert 0.9 < last.done / last.total <= 1


def test_a_model_without_room_for_a_passage_is_refused(tiny, monkeypatch):
    monkeypatch.setattr(tiny, "card", replace(tiny.card, context=3))
    with pytest.raises(BadInput, match="reads 3 tokens at most, too few for the passages"):
        tuned_lens.plan(tiny, TASK)
