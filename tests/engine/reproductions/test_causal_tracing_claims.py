"""Causal tracing's claims on made-up models whose verdicts can be told by eye."""

from __future__ import annotations

from dataclasses import replace

from mlxterp_engine.reproductions.causal_tracing_claims import claims, curves
from mlxterp_engine.reproductions.causal_tracing_figures import (
    Figures,
    between_peaks,
    lost_with_mlps,
    peak,
    peak_depth,
    share_at,
)
from mlxterp_engine.reproductions.claiming import Setting
from mlxterp_engine.techniques.causal_facts_buckets import (
    BUCKETS,
    FURTHER,
    LAST,
    LAST_SUBJECT,
)

import numpy as np
import pytest
from engine.reproductions.told_claims import check_told

BLOCKS, FACTS = 48, 12
SETTING = Setting(model="made-up", tied=True, seed=0)


class TestStatistics:
    def test_the_peak_is_the_largest_mean_and_its_depth_counts_blocks_from_one(self):
        means = np.array([[0.1, 0.4, 0.2, 0.0], [0.0, 0.0, 0.0, 0.3]])
        assert peak(means) == pytest.approx([0.4, 0.3])
        assert peak_depth(means) == pytest.approx([2 / 4, 4 / 4])

    def test_two_maps_are_compared_each_at_its_own_peak(self):
        mlp, attn = [0.1, 0.7], [0.3, 0.0]
        assert between_peaks(np.array([[*mlp, *attn]])) == pytest.approx([0.4])

    def test_what_is_lost_with_the_mlps_is_taken_at_the_whole_effect_s_peak(self):
        whole, no_mlp, no_attn = [0.5, 0.9], [0.5, 0.2], [0.5, 0.8]
        # At block 1: 0.9 − 0.2 goes with the MLPs, 0.9 − 0.8 with the attention.
        assert lost_with_mlps(np.array([[*whole, *no_mlp, *no_attn]])) == pytest.approx([0.6])

    def test_shares_count_facts_at_a_bucket_and_before_a_layer(self):
        argmax = np.array([[3, LAST_SUBJECT], [9, LAST_SUBJECT], [1, FURTHER], [2, LAST_SUBJECT]])
        assert share_at(argmax, LAST_SUBJECT) == 3 / 4
        assert share_at(argmax, LAST_SUBJECT, before=9) == 2 / 4


def bump(height: float, layer: int, width: float = 6) -> np.ndarray:
    """[fact, layer]: every fact's effect is largest at this layer."""
    curve = height * np.exp(-(((np.arange(BLOCKS) - layer) / width) ** 2))
    return np.tile(curve, (FACTS, 1))


def mapped(**buckets: np.ndarray) -> np.ndarray:
    """[fact, layer, bucket]; nothing at buckets that are not given."""
    values = np.zeros((FACTS, BLOCKS, len(BUCKETS)))
    for name, curve in buckets.items():
        values[:, :, {"subject": LAST_SUBJECT, "last": LAST}[name]] = curve
    return values


def made_up(**changed) -> Figures:
    """A model as the paper describes GPT-2 XL."""
    return replace(
        Figures(
            p_clean=np.full(FACTS, 0.27),
            p_corrupt=np.full(FACTS, 0.0847),
            hidden=mapped(subject=bump(0.087, 15), last=bump(0.15, 40)),
            mlp=mapped(subject=bump(0.066, 17), last=bump(0.02, 30)),
            attn=mapped(subject=bump(0.016, 15), last=bump(0.08, 32)),
            severed_mlp=bump(0.005, 15),
            severed_attn=bump(0.085, 15),
            mismatched=bump(0.004, 20),
            replaced=bump(0.05, 17)[:5],
            elsewhere=np.full(9, 0.05),
            levels=np.array([1.0, 5.0]),
            by_level=np.array([0.1, 0.2]),
            argmax=np.array([[15, LAST_SUBJECT]] * 8 + [[40, FURTHER]] * 4),
            several=np.arange(FACTS) > 1,
            later=np.arange(FACTS) < 3,
            sigma=0.1,
            window=10,
        ),
        **changed,
    )


def verdicts(figures: Figures, setting: Setting = SETTING) -> dict[str, str]:
    return {claim.name: claim.verdict for claim in claims(figures, setting)}


def named(figures: Figures, name: str):
    return next(claim for claim in claims(figures, SETTING) if claim.name == name)


def test_a_model_like_the_paper_s_has_the_same_shape_throughout():
    assert set(verdicts(made_up()).values()) == {"same shape"}


def test_noise_that_takes_much_more_away_goes_the_same_direction():
    found = verdicts(made_up(p_clean=np.full(FACTS, 0.6), p_corrupt=np.full(FACTS, 0.1)))
    assert found["total-effect"] == "same direction"


def test_noise_that_takes_nothing_away_is_not_reproduced():
    figures = made_up(p_corrupt=0.27 + 0.01 * np.linspace(-1, 1, FACTS))
    assert verdicts(figures)["total-effect"] == "not reproduced"


def test_an_early_site_no_better_than_another_fact_s_states_is_not_reproduced():
    figures = made_up(mismatched=bump(0.09, 15))
    found = named(figures, "early-site")
    assert found.verdict == "not reproduced"
    assert "above 0.09" in found.reason


def test_a_site_that_one_fact_of_many_has_is_not_reproduced():
    hidden = mapped(subject=bump(0.004, 15))
    hidden[0, 15, LAST_SUBJECT] = 0.5
    found = verdicts(made_up(hidden=hidden))
    assert found["early-site"] == "not reproduced"


def test_a_site_in_the_later_half_is_not_early():
    figures = made_up(hidden=mapped(subject=bump(0.087, 30)))
    assert verdicts(figures)["early-depth"] == "not reproduced"
    figures = made_up(hidden=mapped(subject=bump(0.087, 2)))
    assert verdicts(figures)["early-depth"] == "same direction"  # and not early-middle


def test_attention_that_restores_as_much_as_mlps_is_not_reproduced():
    figures = made_up(attn=mapped(subject=bump(0.07, 15), last=bump(0.08, 32)))
    found = verdicts(figures)
    assert found["mlps-early"] == "not reproduced"
    assert found["attention-late"] == "same direction"  # by a hundredth


def test_a_late_site_in_the_middle_is_not_reproduced():
    attn = mapped(subject=bump(0.016, 15), last=bump(0.08, 20))
    assert verdicts(made_up(attn=attn))["late-depth"] == "not reproduced"


def test_an_early_site_that_needs_attention_is_not_reproduced():
    figures = made_up(severed_mlp=bump(0.085, 15), severed_attn=bump(0.005, 15))
    assert verdicts(figures)["severed"] == "not reproduced"


def test_facts_that_differ_widen_the_interval():
    hidden = mapped(subject=bump(0.087, 15))
    hidden[::2] *= 0.2
    low, high = named(made_up(hidden=hidden), "early-site").ours.interval
    assert high - low > 0.02


def test_a_fault_in_a_run_blocks_every_verdict_and_says_why():
    blocked = Setting("made-up", True, 0, blocked="experiment 1 of 1: contract x failed")
    for claim in claims(made_up(), blocked):
        assert (claim.verdict, claim.reason) == ("not comparable", blocked.blocked)


def test_a_cell_that_was_not_computed_leaves_its_claims_without_figure_and_verdict():
    hidden = mapped(subject=bump(0.087, 15))
    hidden[3, 4, LAST_SUBJECT] = np.nan
    found = named(made_up(hidden=hidden), "early-site")
    assert (found.verdict, found.ours.value, found.ours.interval) == ("not comparable", None, None)
    assert verdicts(made_up(hidden=hidden))["mlps-early"] == "same shape"


def test_depths_of_a_model_of_few_blocks_are_not_comparable():
    cut = {
        name: getattr(made_up(), name)[:, :6]
        for name in ("hidden", "mlp", "attn", "severed_mlp", "severed_attn", "mismatched",
                     "replaced")
    }  # fmt: skip
    found = verdicts(made_up(**cut, argmax=np.zeros((FACTS, 2), int)))
    assert found["early-depth"] == found["late-depth"] == "not comparable"
    assert found["total-effect"] == "same shape"


def test_controls_without_any_fact_are_not_known_and_stop_nothing():
    nothing = np.empty((0, BLOCKS))
    figures = made_up(replaced=nothing, elsewhere=np.empty(0), several=np.zeros(FACTS, bool))
    assert set(verdicts(figures).values()) == {"same shape"}
    assert None in named(figures, "early-site").controls.values()
    assert "subject replaced" not in [curve.title for curve in curves(figures)]


def test_every_claim_says_what_it_measures_by_which_rule_and_against_what():
    check_told(claims(made_up(), SETTING), FACTS)


def test_what_is_quoted_from_memory_says_so():
    provenance = {claim.name: claim.paper.provenance for claim in claims(made_up(), SETTING)}
    assert [name for name, known in provenance.items() if known == "memory"] == ["severed"]


def test_the_controls_tell_the_histogram_of_single_facts_beside_the_means():
    controls = named(made_up(), "early-site").controls
    said = "facts whose largest effect before the last token is at the last subject token, share"
    assert controls[said] == 8 / 12
    assert controls["the same and in the earlier half of the blocks, share"] == 8 / 12


def test_the_curves_have_a_value_a_layer_and_count_every_fact_once():
    drawn = curves(made_up())
    for curve in drawn:
        assert curve.layers == list(range(BLOCKS))
        assert len(curve.values) == BLOCKS
    counts = [curve for curve in drawn if curve.unit == "facts"]
    assert [sum(curve.values) for curve in counts] == [FACTS] * 3
