"""What the patch pane knows of estimates beside exact values, and of sets of pairs. See
`made_patching`."""

from __future__ import annotations

from mlxterp_engine.experiments import Step
from mlxterp_tui.panes.patch import best, inspector, text
from mlxterp_tui.panes.patch import cells as patch_cells
from mlxterp_tui.panes.patch.maps import At
from mlxterp_tui.panes.patch.notes import notes
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.scale import scale_of

import made_patching as made
import pytest
from made_lens import floats
from made_patching import asked, cells, estimated, matrix

# Attribution patching: estimates beside the truth


@pytest.fixture
def attributed() -> PatchRun:
    """z: estimates 0.8 and 0.5, patched 0.7 and −0.1; the others were not. k: not at all."""
    asks = estimated(sites=["z", "k"], top=2)
    arrays = made.ENDS_OF_RESULT | {
        "z": matrix((0.8, 0.5, 0.125, 0), (0, 0, 0, 0)),
        "k": matrix((0.2, 0), (0, 0)),
    }
    arrays |= made.exact((0, 0, 0, 0.8, 0.7), (0, 0, 1, 0.5, -0.1))
    figures = {"z_rank_correlation": 0.25, "z_slope": 0.57}
    return PatchRun(asks).finished(made.result(asks, arrays, figures=figures))


def test_estimates_stand_beside_the_exact_values_of_the_best_cells(attributed):
    table = best.table(attributed, best.best_cells(attributed, "z")).plain.splitlines()
    assert table == [
        " 3 largest  estimate   patched",
        " head 0.0    +0.8000   +0.7000",
        " head 0.1    +0.5000   −0.1000",
        " head 0.2    +0.1250         –",
    ]


def test_where_estimates_and_truth_disagree_that_is_said(attributed):
    assert best.trust_line(attributed, "z").plain == (
        "the estimates disagree, take activation patching here; "
        "2 cells patched too: rank correlation 0.25, slope 0.57, largest miss 0.86"
    )
    assert best.trust_line(attributed, "k").plain == ""


def test_the_raw_metric_is_of_the_patched_value_and_never_of_an_estimate(attributed):
    said = [line.plain for line in inspector.lines(attributed, "z", "mean", At(0, 0))]
    assert said[3:] == [
        "effect, estimated +0.8000",
        "effect, patched   +0.7000",
        "logit difference  3.00",
        "corrupt … clean   −4.00 … 6.00",
    ]
    said = [line.plain for line in inspector.lines(attributed, "z", "mean", At(1, 0))]
    assert said[3:] == ["effect, estimated +0.0000", "effect, patched   not computed"]


def test_of_a_pair_the_exact_values_are_its_own():
    asks = estimated(sites=["z"], clean=None, corrupt=None, answer=None, wrong=None, pairs="ioi")
    one, other = (0.8, 0, 0, 0, 0, 0, 0, 0), (0.4, 0, 0, 0, 0, 0, 0, 0)
    arrays = made.ENDS_OF_RESULT | {
        "z": matrix((0.6, 0, 0, 0), (0, 0, 0, 0)),
        "z_pairs": floats([*one, *other], 2, 2, 4),
        "exact_effect_pairs": matrix((0.75,), (0.25,)),
    }
    arrays |= made.exact((0, 0, 0, 0.6, 0.5))
    run = PatchRun(asks).finished(made.result(asks, arrays, tokens=()))
    found = [best.best_cells(run, "z", of)[0] for of in ("mean", 0, 1)]
    assert [one.value for one in found] == pytest.approx([0.6, 0.8, 0.4])
    assert [one.exact.effect for one in found if one.exact] == [0.5, 0.75, 0.25]


# Sets of pairs


@pytest.fixture
def pairs() -> PatchRun:
    """Two pairs; z of head 0.0 is 0.2 and 0.6."""
    asks = asked(clean=None, corrupt=None, answer=None, wrong=None, pairs="ioi", sites=["z"])
    one, other = (0.2, 0, 0, 0, 0, 0, 0, 1), (0.6, 0, 0, 0, 0, 0, 0, 1)
    arrays = made.ENDS_OF_RESULT | {
        "clean_metric_pairs": floats([8, 4]),
        "corrupt_metric_pairs": floats([-2, -6]),
        "z": matrix((0.4, 0, 0, 0), (0, 0, 0, 1)),
        "z_sd": matrix((0.2828, 0, 0, 0), (0, 0, 0, 0)),
        "z_pairs": floats([*one, *other], 2, 2, 4),
    }
    return PatchRun(asks).finished(made.result(asks, arrays, tokens=()))


def test_a_set_shows_its_mean_its_spread_and_each_pair(pairs):
    assert pairs.members("z") == 2
    values = [pairs.map("z", of).value(At(0, 0)) for of in ("mean", "sd", 0, 1)]  # type: ignore[union-attr]
    assert values == pytest.approx([0.4, 0.2828, 0.2, 0.6])
    assert pairs.map("z", 2) is None
    headings = [text.heading(pairs, "z", of) for of in ("mean", "sd", 1)]
    assert headings == [
        "mean of 2 pairs of z · denoise · logit difference answer − wrong",
        "sd over 2 pairs of z · denoise · logit difference answer − wrong",
        "pair 2 of 2: z · denoise · logit difference answer − wrong",
    ]


def test_before_the_end_it_is_said_how_many_pairs_the_mean_is_of(pairs):
    parts = [made.STARTED, cells("z", (0,), (0,), (0.5,)), Step(1.5, 3, "pairs")]
    run = PatchRun(pairs.request).with_parts(parts, made.CARD)
    assert text.heading(run, "z").startswith("mean of 1 of 3 pairs of z · ")
    run = run.with_parts([cells("z", (0,), (0,), (0.25,))], made.CARD).ended("cancelled")
    assert text.heading(run, "z").startswith("mean of 2 of 3 pairs of z · ")


def test_a_spread_has_no_sign_and_begins_at_zero(pairs):
    scale = scale_of(pairs.map("z", "sd"), pairs.ends)
    assert (scale.low_words, scale.high_words, scale.diverging) == ("0", "0.3", False)
    assert patch_cells.picture(pairs, "z", "sd").cells[0][0].text == ".28"  # type: ignore[index]
    said = [line.plain for line in inspector.lines(pairs, "z", "mean", At(0, 0))]
    assert said[-1] == "sd, 2 pairs       0.2828"
    table = best.table(pairs, best.best_cells(pairs, "z", "sd")).plain.splitlines()
    assert table[1].split() == ["head", "0.0", "0.2828"]


def test_a_pair_has_ends_of_its_own_and_a_mean_of_shares_has_no_metric(pairs):
    assert text.ends_words(pairs, 0) == "0 = corrupt −2.00, 1 = clean 8.00"
    said = [line.plain for line in inspector.lines(pairs, "z", 1, At(0, 0))]
    assert said[3:] == [
        "effect            +0.6000",
        "logit difference  0.00",  # 0.6 of the way from −6 to 4
        "corrupt … clean   −6.00 … 4.00",
    ]
    assert pairs.raw(0.4) is None
    assert text.table(pairs, "z").splitlines()[5].endswith("\t0.4\t")


def test_means_by_position_come_before_their_columns_are_known():
    """A set has no tokens of its own: its columns are numbered."""
    asks = asked(clean=None, corrupt=None, answer=None, wrong=None, pairs="ioi", sites=["mlp_out"])
    started = made.Started(token_ids=[], tokens=[])
    run = PatchRun(asks).with_parts([started], made.CARD)
    assert run.names == []
    run = run.with_parts([cells("mlp_out", [0, 1], [0, 1], [0.1, 0.2], [0.3, 0.4])], made.CARD)
    assert run.maps["mlp_out"].columns == ("0", "1")


def test_the_pair_that_is_shown_is_named(pairs):
    texts = {"pairs": [["a cat", "a dog"], ["a cow", "a sow"]]}
    run = PatchRun(pairs.request).finished(
        made.result(pairs.request, pairs.result.arrays, tokens=(), strings=texts)
    )
    assert [line.plain for line in notes(run, "z", 1)] == ["clean   'a cow'", "corrupt 'a sow'"]
    assert notes(run, "z", "mean") == []
