"""The tuned lens's claims on made-up figures whose verdicts can be told by eye."""

from __future__ import annotations

from typing import Any

from mlxterp_engine.experiments.card import Claim
from mlxterp_engine.reproductions.claiming import Setting
from mlxterp_engine.reproductions.tuned_lens_arrays import arrays
from mlxterp_engine.reproductions.tuned_lens_claims import SENTENCES, claims, curves
from mlxterp_engine.reproductions.tuned_lens_figures import (
    Fidelity,
    Figures,
    LensFigures,
    Transfer,
    agreement_of_influences,
    falling,
    farther_is_worse,
    median_ratio,
    share_below,
    side_by_side,
)

import numpy as np
import pytest
from engine.reproductions.told_claims import check_told

ROWS, TEXTS, NEAR = 24, 6, [0, 8, 16, 23]
SETTING = Setting(model="made-up", tied=True, seed=0)
DISTANCE = np.abs(np.subtract.outer(NEAR, NEAR))


class TestStatistics:
    def test_the_share_of_layers_at_which_the_first_lens_is_lower(self):
        first, second = np.array([[1, 2, 5, 9]]), np.array([[2, 3, 5, 8]])
        assert share_below(side_by_side(first, second)).tolist() == [0.5]

    def test_a_loss_that_falls_everywhere_has_rank_correlation_minus_one(self):
        assert falling(np.array([[9.0, 7, 3, 1], [1, 3, 7, 9]])).tolist() == [-1, 1]

    def test_the_bias_in_most_layers_is_the_median(self):
        assert median_ratio(np.array([[0.1, 0.2, 0.9]])).tolist() == [0.2]

    def test_penalties_that_grow_with_distance_have_rank_correlation_one(self):
        own = np.array([5.0, 3, 2, 1])
        assert farther_is_worse((own + DISTANCE).reshape(1, -1), NEAR) == pytest.approx([1])
        assert farther_is_worse((own - DISTANCE).reshape(1, -1), NEAR) == pytest.approx([-1])

    def test_a_loss_that_depends_on_the_states_alone_is_no_transfer(self):
        """Every translator reads alike: all penalties are 0, and there is no ρ of ties."""
        losses = np.tile(np.array([5.0, 3, 2, 1]), (4, 1)).reshape(1, -1)
        assert np.isnan(farther_is_worse(losses, NEAR))

    def test_influences_in_one_order_agree(self):
        both = side_by_side(np.array([[1.0, 5, 2]]), np.array([[0.1, 0.3, 0.2]]))
        assert agreement_of_influences(both).tolist() == [1]


def of_texts(*values: float) -> np.ndarray:
    return np.tile(np.array(values), (TEXTS, 1))


def lens(loss: np.ndarray, bias: float, **others: Any) -> LensFigures:
    loss = np.tile(loss, (TEXTS, 1))
    return LensFigures(
        **{
            "kl": loss - 2.9,
            "loss": loss,
            "entropy": np.full((TEXTS, ROWS), 3.0),
            "agreement": np.tile(np.linspace(0.1, 0.9, ROWS), (TEXTS, 1)),
            "bias": np.full(ROWS, bias),
            "kl_training": loss[0] - 3.2,
            "facts_from": np.array([0.5, 0.7]),
        }
        | others
    )


def made_up(**changed: Any) -> Figures:
    """A model like the paper's: the tuned lens is better everywhere and falls all the way."""
    directions = np.geomspace(1, 0.01, 8)
    fidelity = Fidelity(
        row=18,
        on_lens=of_texts(*directions),
        on_logit_lens=of_texts(*directions[::-1]),
        on_model=of_texts(*directions**2),
        tokens=np.full(TEXTS, 62.0),
        spread=np.ones(8),
        information=directions,
        rank=np.arange(8),
        random_lens=of_texts(*directions[::-1]),
        random_model=of_texts(*directions),
    )
    losses = np.tile(np.array([8.0, 6, 5, 4]) + 0.1 * DISTANCE, (TEXTS, 1, 1))
    return Figures(
        **{
            "tokens": np.full(TEXTS, 62.0),
            "logit": lens(np.linspace(16, 4, ROWS), 4.5, kl_training=np.full(ROWS, np.nan)),
            "ridge": lens(np.linspace(9, 3.5, ROWS), 0.4),
            "tuned": lens(np.linspace(10, 3.6, ROWS), 0.5),
            "model_loss": np.full(TEXTS, 3.0),
            "model_entropy": np.full(TEXTS, 2.8),
            "unigram_kl": np.full(TEXTS, 5.0),
            "unigram_loss": np.full(TEXTS, 8.0),
            "bias_ratio_drawn": np.full((20, ROWS), 0.5 / 4.5),
            "floor": 0.1,
            "transfer": Transfer(losses, np.full(TEXTS, 62.0), NEAR),
            "fidelity": fidelity,
            "training_tokens": 6350,
            "train_loss": np.ones((50, ROWS)),
        }
        | changed
    )


def one(name: str, figures: Figures, setting: Setting = SETTING) -> Claim:
    (found,) = [claim for claim in claims(figures, setting) if claim.name == name]
    return found


def test_a_model_like_the_paper_s_has_the_same_shape_throughout():
    found = claims(made_up(), SETTING)
    assert [claim.name for claim in found] == list(SENTENCES)
    assert {claim.verdict for claim in found} == {"same shape"}


def test_a_lens_that_is_worse_at_some_layers_goes_the_same_direction_and_they_are_named():
    loss = np.linspace(10, 3.6, ROWS)
    loss[-3:] = 6
    found = one("better", made_up(tuned=lens(loss, 0.5)))
    assert found.verdict == "same direction"
    assert found.ours.value == pytest.approx(21 / 24)
    assert found.controls["layers where it is not lower"] == "blocks 20-22"
    assert found.controls["least it is lower by, nats"] == pytest.approx(-2.0, abs=0.1)


def test_a_lens_that_is_worse_at_most_layers_is_not_reproduced():
    assert one("better", made_up(tuned=lens(np.full(ROWS, 12.0), 0.5))).verdict == "not reproduced"


def test_a_better_baseline_is_named():
    found = one("better", made_up())
    assert found.controls["layers where the ridge lens's loss is lower still"] == (
        "embeddings, blocks 0-22"
    )


def test_over_fitting_shows_as_held_out_over_training():
    training = np.full(ROWS, 1.0)
    tuned = lens(np.full(ROWS, 5.0), 0.5, kl=np.full((TEXTS, ROWS), 3.0), kl_training=training)
    found = one("better", made_up(tuned=tuned))
    assert found.controls["median KL on held-out over that on training text"] == 3.0


def test_how_small_the_training_was_is_said():
    found = one("better", made_up())
    assert found.controls["trained on, tokens"] == 6350
    share = found.controls["of the paper's 65.5 million, %"]
    assert share == pytest.approx(100 * 6350 / 65.5e6, rel=1e-3)
    assert "overlaps 1 (at every layer)" in found.rule


def test_a_loss_that_rises_is_not_reproduced_and_one_that_wavers_goes_the_same_direction():
    rising = made_up(tuned=lens(np.linspace(4, 9, ROWS), 0.5))
    assert one("smooth", rising).verdict == "not reproduced"
    loss = np.linspace(10, 4, ROWS)
    loss[4:10] = loss[4:10][::-1]
    wavering = one("smooth", made_up(tuned=lens(loss, 0.5)))
    assert wavering.verdict == "same direction"
    assert wavering.controls["layers where it rises"] == "blocks 4-8"


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [(0.1, "same shape"), (0.6, "same direction"), (1.2, "not reproduced")],
)
def test_the_bias_is_judged_as_a_part_of_the_logit_lens_s(ratio, verdict):
    figures = made_up(
        tuned=lens(np.linspace(10, 3.6, ROWS), 4.5 * ratio),
        bias_ratio_drawn=np.full((20, ROWS), ratio),
    )
    found = one("unbiased", figures)
    assert (found.verdict, found.ours.value) == (verdict, pytest.approx(ratio))


def test_a_translator_that_reads_far_layers_as_well_as_near_ones_is_not_reproduced():
    drawn = np.random.default_rng(0).normal(size=(TEXTS, 4, 4))
    found = one("transfers", made_up(transfer=Transfer(drawn, np.full(TEXTS, 62.0), NEAR)))
    assert found.verdict == "not reproduced"


def test_the_two_sides_of_the_diagonal_are_told_apart():
    """Row i is the translator: above the diagonal its layer is the earlier one."""
    losses = np.tile(np.array([8.0, 6, 5, 4]), (4, 1)) + np.triu(np.ones((4, 4)), 1)
    transfer = Transfer(np.tile(losses, (TEXTS, 1, 1)), np.full(TEXTS, 62.0), NEAR)
    found = one("transfers", made_up(transfer=transfer)).controls
    assert found["median penalty of an earlier translator on later states, nats"] == 1
    assert found["of a later translator on earlier states, nats"] == 0


def test_directions_that_matter_to_the_lens_alone_are_not_reproduced():
    fidelity = made_up().fidelity
    turned = Fidelity(**(vars(fidelity) | {"on_model": fidelity.on_model[:, ::-1]}))
    found = one("faithful", made_up(fidelity=turned))
    assert (found.verdict, found.ours.value) == ("not reproduced", pytest.approx(-1))
    assert found.controls["the same for the logit lens and the model, ρ"] == pytest.approx(1)


def test_a_fault_in_a_run_blocks_every_verdict_and_says_why():
    blocked = Setting("made-up", True, 0, blocked="experiment 2 of 9: contract x failed")
    for claim in claims(made_up(), blocked):
        assert (claim.verdict, claim.reason) == ("not comparable", blocked.blocked)


def test_what_was_not_computed_leaves_its_claims_without_figure_and_verdict():
    figures = made_up()
    figures.tuned.loss[2, 5] = np.nan
    for name in ("better", "smooth"):
        found = one(name, figures)
        assert (found.verdict, found.ours.value) == ("not comparable", None)


def test_every_claim_says_what_it_measures_by_which_rule_and_against_what():
    check_told(claims(made_up(), SETTING), TEXTS)


def test_what_is_quoted_from_memory_says_so():
    provenance = {claim.name: claim.paper.provenance for claim in claims(made_up(), SETTING)}
    assert [name for name, known in provenance.items() if known == "paper"] == ["faithful"]


def test_the_curves_have_a_value_a_layer_and_the_arrays_no_nan():
    for curve in curves(made_up()):
        assert curve.layers == list(range(-1, ROWS - 1))
        assert len(curve.values) == ROWS
    for name, array in arrays(made_up()).items():
        assert np.isfinite(array).all(), name
        assert array.dtype in (np.float32, np.int32)
