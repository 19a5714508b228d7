"""The logit lens's claims on made-up models whose verdicts can be told by eye."""

from __future__ import annotations

from mlxterp_engine.reproductions.claiming import Setting
from mlxterp_engine.reproductions.logit_lens_claims import claims, curves
from mlxterp_engine.reproductions.logit_lens_figures import (
    Figures,
    depth_of_agreement,
    echoing_share,
    falling,
    median_bias,
)

import numpy as np
import pytest
from engine.reproductions.told_claims import check_told

BLOCKS, TEXTS = 32, 8
SETTING = Setting(model="made-up", tied=True, seed=0)


def rows(*values: float) -> np.ndarray:
    return np.array([values])


class TestStatistics:
    """Rows: the embeddings, then the blocks, the last of them the model's own prediction."""

    @pytest.mark.parametrize(
        ("agreement", "depth"),
        [
            ((0, 0, 0, 0.6, 1), 3 / 4),
            ((0, 0.9, 0.9, 0.9, 1), 1 / 4),
            ((0, 0.9, 0.4, 0.6, 1), 3 / 4),  # it has to stay above
            ((0, 0, 0, 0.5, 1), 1),  # one half is not more than half
            ((0.9, 0, 0, 0, 1), 1),  # the embeddings are no block
        ],
    )
    def test_the_depth_is_that_of_the_first_block_from_which_most_positions_agree(
        self, agreement, depth
    ):
        assert depth_of_agreement(rows(*agreement)) == pytest.approx([depth])

    def test_draws_are_judged_one_by_one(self):
        both = np.concatenate([rows(0, 0, 0, 0.6, 1), rows(0, 0.9, 0.9, 0.9, 1)])
        assert depth_of_agreement(both) == pytest.approx([3 / 4, 1 / 4])

    def test_kl_that_falls_everywhere_has_rank_correlation_minus_one(self):
        assert falling(rows(9, 7, 3, 1, 0)) == pytest.approx([-1])
        assert falling(rows(1, 3, 7, 9, 0)) == pytest.approx([1])  # the last row is left out

    def test_the_rank_correlation_is_spearman_s(self):
        # Ranks 0 2 1 3 against 0 1 2 3: 1 - 6 × 2 / (4 × 15) = 0.8.
        assert falling(rows(1, 7, 3, 9, 0)) == pytest.approx([0.8])

    def test_a_block_echoes_when_most_of_its_top_tokens_were_just_read(self):
        assert echoing_share(rows(1, 0.9, 0.5, 0.6, 0.9)) == pytest.approx([2 / 3])

    def test_the_bias_in_most_layers_is_the_median_before_the_last(self):
        assert median_bias(rows(9, 4, 5, 0)) == pytest.approx([5])


def made_up(**curves: np.ndarray) -> Figures:
    """A model as the papers describe theirs: readable from two thirds on, biased, echoing."""
    depth = np.linspace(0, 1, BLOCKS + 1)
    smooth = {
        "kl": 10 * (1 - depth),
        "agreement": np.where(depth < 0.64, 0.1, 0.9),
        "echo": np.where(depth < 0.6, 0.8, 0.1),
        "chance": np.full(BLOCKS + 1, 0.02),
        "mismatched": 5 + 10 * (1 - depth),
    }
    bias = np.where(depth < 0.99, 4.5, 0.0)
    smooth["agreement"][-1] = 1
    per_text = {name: np.tile(values, (TEXTS, 1)) for name, values in (smooth | curves).items()}
    return Figures(
        tokens=np.full(TEXTS, 31.0),
        unigram_kl=np.full(TEXTS, 3.0),
        bias=bias,
        bias_drawn=np.tile(bias, (20, 1)),
        floor=0.5,
        facts_from=np.array([0.5, 0.7, 0.9]),
        last_row=0.0,
        **per_text,
    )


def verdicts(figures: Figures, setting: Setting = SETTING) -> dict[str, str]:
    return {claim.name: claim.verdict for claim in claims(figures, setting)}


def test_a_model_like_the_papers_has_the_same_shape_throughout():
    assert set(verdicts(made_up()).values()) == {"same shape"}


def test_a_lens_that_never_agrees_before_the_last_block_is_not_reproduced():
    agreement = np.full(BLOCKS + 1, 0.2)
    agreement[-1] = 1
    found = claims(made_up(agreement=agreement), SETTING)[0]
    assert (found.verdict, found.ours.value) == ("not reproduced", 1.0)


def test_a_lens_that_reads_well_from_the_first_third_on_is_not_reproduced():
    agreement = np.where(np.linspace(0, 1, BLOCKS + 1) < 0.3, 0.1, 0.9)
    assert verdicts(made_up(agreement=agreement))["forms-late"] == "not reproduced"


def test_a_lens_that_reads_well_only_near_the_end_goes_the_same_direction():
    agreement = np.where(np.linspace(0, 1, BLOCKS + 1) < 0.9, 0.1, 0.9)
    assert verdicts(made_up(agreement=agreement))["forms-late"] == "same direction"


def test_kl_that_rises_is_not_reproduced_and_the_rows_are_named():
    kl = np.linspace(1, 9, BLOCKS + 1)
    kl[-1] = 0
    (found,) = [claim for claim in claims(made_up(kl=kl), SETTING) if claim.name == "converges"]
    assert found.verdict == "not reproduced"
    assert found.controls["rows where KL rises"] == f"blocks 0-{BLOCKS - 2}"
    assert found.controls["rows better than the unigram, before the last"] == (
        "embeddings, blocks 0-6"
    )


def test_a_bias_of_sampling_alone_is_not_reproduced():
    figures = made_up()
    small = figures.bias / 10
    figures = Figures(**(vars(figures) | {"bias": small, "bias_drawn": np.tile(small, (20, 1))}))
    assert verdicts(figures)["bias"] == "not reproduced"


def test_a_bias_far_from_the_paper_s_goes_the_same_direction():
    figures = made_up()
    large = figures.bias * 5
    figures = Figures(**(vars(figures) | {"bias": large, "bias_drawn": np.tile(large, (20, 1))}))
    assert verdicts(figures)["bias"] == "same direction"


def test_no_echo_is_not_reproduced():
    assert verdicts(made_up(echo=np.full(BLOCKS + 1, 0.05)))["input-echo"] == "not reproduced"


def test_a_fault_in_a_run_blocks_every_verdict_and_says_why():
    blocked = Setting("made-up", True, 0, blocked="experiment 2 of 9: contract x failed")
    for claim in claims(made_up(), blocked):
        assert (claim.verdict, claim.reason) == ("not comparable", blocked.blocked)


def test_a_cell_that_was_not_computed_leaves_its_claim_without_figure_and_verdict():
    figures = made_up()
    figures.kl[3, 4] = np.nan
    (found,) = [claim for claim in claims(figures, SETTING) if claim.name == "converges"]
    assert (found.verdict, found.ours.value, found.ours.interval) == ("not comparable", None, None)


def test_texts_that_differ_widen_the_interval():
    agreement = np.where(np.linspace(0, 1, BLOCKS + 1) < 0.64, 0.1, 0.9)
    figures = made_up(agreement=agreement)
    figures.agreement[: TEXTS // 2, 20:28] = 0.0  # half of the texts form later
    low, high = claims(figures, SETTING)[0].ours.interval
    assert high - low > 0.1


def test_every_claim_says_what_it_measures_by_which_rule_and_against_what():
    check_told(claims(made_up(), SETTING), TEXTS)


def test_what_is_quoted_from_memory_says_so():
    provenance = {claim.name: claim.paper.provenance for claim in claims(made_up(), SETTING)}
    assert [name for name, known in provenance.items() if known == "memory"] == ["converges"]


def test_the_curves_have_a_value_a_layer():
    for curve in curves(made_up()):
        assert curve.layers == list(range(-1, BLOCKS))
        assert len(curve.values) == BLOCKS + 1
