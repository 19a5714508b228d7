"""What the patch pane knows of causal tracing, of one fact and of many. See `made_patching`."""

from __future__ import annotations

import math

from mlxterp_tui.panes.patch import best, inspector, text
from mlxterp_tui.panes.patch import cells as patch_cells
from mlxterp_tui.panes.patch.maps import At
from mlxterp_tui.panes.patch.notes import notes
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.scale import scale_of

import made_patching as made
import pytest
from made_lens import floats, ints
from made_patching import cells, matrix, scalar

ONE = made.Started(token_ids=[[1, 2, 3]], tokens=[[*made.CLEAN]])
NOISED = made.PatchEnds(clean_metric=0.5, corrupt_metric=0.1, first_different=1, method="suffix")


def test_traced_maps_are_probabilities_between_noise_and_clean():
    """Before the subject nothing differs from the run with noise, and that is known at once."""
    run = PatchRun(made.traced()).with_parts([ONE, NOISED], made.CARD)
    assert run.names == ["hidden", "mlp", "attn"]
    run = run.with_parts([cells("hidden", [0, 1], [1], [0.3], [0.5])], made.CARD)
    scale = scale_of(run.maps["hidden"], run.ends)
    assert (scale.low_words, scale.high_words) == (".100", ".500")
    assert [scale.level(value) for value in (0.1, 0.3, 0.5)] == pytest.approx([0, 0.5, 1])
    shown = patch_cells.picture(run, "hidden").cells[0]
    assert shown is not None
    assert [cell.text for cell in shown] == [".100", ".300", ""]
    assert text.ends_words(run) == "p .500 clean, .100 with noise"


def test_the_largest_traced_cells_are_those_that_win_most_over_noise():
    run = PatchRun(made.traced()).with_parts(
        [ONE, NOISED, cells("hidden", [0, 1], [1, 2], [0.3, 0.04], [0.5, 0.1])], made.CARD
    )
    found = best.best_cells(run, "hidden")
    assert [one.at for one in found] == [At(1, 1), At(0, 1), At(0, 2)]
    said = [line.plain for line in inspector.lines(run, "hidden", "mean", At(0, 2))]
    assert said == [
        "blocks.0.resid_post@2",
        "position 2 ' sat', hidden state",
        "",
        "p(' a')           0.0400",
        "indirect effect   −0.0600",
    ]


def test_a_window_names_its_blocks_and_its_rule():
    run = PatchRun(made.traced(window=2, window_rule="paper")).with_parts([ONE], made.CARD)
    assert text.heading(run, "mlp") == (
        "mlp · p(' a') · noise 3 σ · 10 draws · windows of 2 blocks, rule paper"
    )
    said = [line.plain for line in inspector.lines(run, "mlp", "mean", At(0, 1))]
    assert said[2] == "given back together: blocks 0 to 1"


def test_draws_have_a_spread_and_a_map_each():
    asks = made.traced(samples=2)
    samples = [0.2, 0.3, 0.1, 0.1, 0.1, 0.1, 0.2, 0.5, 0.1, 0.1, 0.1, 0.1]
    arrays = {"p_clean": scalar(0.5), "p_corrupt": scalar(0.1), "sigma": scalar(0.04)}
    arrays |= {"hidden": matrix((0.2, 0.4, 0.1), (0.1, 0.1, 0.1))}
    arrays |= {"hidden_samples": floats(samples, 2, 2, 3)}
    run = PatchRun(asks).finished(made.result(asks, arrays, tokens=[made.CLEAN]))
    assert run.ends == pytest.approx((0.5, 0.1))
    assert run.spread_at("hidden", At(0, 1)) == pytest.approx(0.1 * math.sqrt(2))  # of .3 and .5
    assert run.map("hidden", 1).value(At(0, 1)) == 0.5  # type: ignore[union-attr]
    assert text.heading(run, "hidden", 1).startswith(
        "draw 2 of 2: hidden · p(' a') · noise 3 σ (σ 0.04)"
    )
    assert text.heading(run, "hidden").startswith("hidden · p(' a')")


@pytest.fixture
def known_facts() -> PatchRun:
    """Two facts, of which the second's subject is one token: it has no middle."""
    asks = made.facts()
    one, other = [0.1, 0.2, 0.3, 0, 0, 0], [0.3, math.nan, 0.3, 0, 0, 0.2]
    nothing = [0.0] * 6
    arrays = {"p_clean": scalar(0.5), "p_corrupt": scalar(0.1)}
    arrays |= {"bucket_tokens": ints([1, 2, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1], 2, 6)}
    arrays |= {"hidden_effect": matrix((0.2, 0.2, 0.3, 0, 0, 0.1), nothing)}
    arrays |= {"hidden_effect_sd": matrix((0.1414, math.nan, 0, 0, 0, 0.1414), nothing)}
    arrays |= {"hidden_effect_low": matrix((0.1, 0.2, 0.3, 0, 0, 0), nothing)}
    arrays |= {"hidden_effect_high": matrix((0.3, 0.2, 0.3, 0, 0, 0.2), nothing)}
    arrays |= {"hidden_effect_facts": floats([*one, *nothing, *other, *nothing], 2, 2, 6)}
    arrays |= {"hidden_argmax_count": ints([0, 0, 2, 0, 0, 0, *[0] * 6], 2, 6)}
    tokens = [["A", " cat"], ["A", " dog"]]
    return PatchRun(asks).finished(made.result(asks, arrays, tokens=tokens))


def test_a_set_of_facts_shows_mean_effects_by_bucket_and_where_each_facts_peak_lies(known_facts):
    assert known_facts.names == ["hidden_effect", "hidden_argmax_count"]
    assert known_facts.maps["hidden_effect"].columns[:3] == (
        "first-subj",
        "mid-subj",
        "last-subj",
    )
    row = patch_cells.picture(known_facts, "hidden_effect").cells[0]
    assert row is not None
    assert [cell.text for cell in row] == ["+.200", "+.200", "+.300", "0", "0", "+.100"]
    counts = patch_cells.picture(known_facts, "hidden_argmax_count").cells[0]
    assert counts is not None
    assert [cell.text for cell in counts] == ["0", "0", "2", "0", "0", "0"]


def test_the_maps_of_facts_have_short_names_where_they_are_listed(known_facts):
    line = text.maps_line(known_facts, "hidden_argmax_count").plain
    assert line.startswith(" hidden  ▸hidden peaks")


def test_a_mean_over_facts_says_its_interval_and_how_many_facts_are_in_it(known_facts):
    said = [line.plain for line in inspector.lines(known_facts, "hidden_effect", "mean", At(0, 1))]
    assert said == [
        "blocks.0.resid_post",
        "middle subject token, hidden state",
        "",
        "indirect effect   +0.2000",
        "95 % interval     +0.2000 … +0.2000",
        "facts             1 of 2 have such tokens, largest here in 0",
    ]


def test_a_fact_without_a_middle_has_nothing_there_and_did_not_fail(known_facts):
    second = known_facts.map("hidden_effect", 1)
    assert second is not None
    assert second.missing == {At(0, 1), At(1, 1)}
    assert second.failed == 0
    spread = known_facts.map("hidden_effect", "sd")
    assert spread is not None
    assert spread.missing == {At(0, 1), At(1, 1)}
    assert text.heading(known_facts, "hidden_effect", 1) == (
        "fact 2 of 2: hidden_effect · p(answer) − p under noise · noise 3 σ · 10 draws"
    )


def test_means_over_facts_come_while_facts_are_traced():
    run = PatchRun(made.facts()).with_parts([made.Started([], [])], made.CARD)
    part = cells("hidden_effect", [0, 1], [0, 2, 5], [0.1, 0.2, 0.3], [0, 0, 0])
    ends = made.PatchEnds(clean_metric=0.5, corrupt_metric=0.1, first_different=0, method="suffix")
    run = run.with_parts([ends, part], made.CARD)
    assert run.names == ["hidden_effect", "mlp_effect", "attn_effect"]
    assert run.maps["hidden_effect"].values[0] == pytest.approx((0.1, None, 0.2, None, None, 0.3))


def test_the_sizes_of_noise_are_a_line():
    arrays = {"p_clean": scalar(0.8), "p_corrupt": scalar(0.1)}
    arrays |= {"noise_level": floats([3, 1]), "p_corrupt_by_level": floats([0.1, 0.4])}
    asks = made.traced(noise_levels=[3, 1])
    run = PatchRun(asks).finished(made.result(asks, arrays, tokens=[made.CLEAN]))
    assert notes(run, "hidden")[0].plain == "p under noise of 1 σ .400 ▅, 3 σ .100 ▂"
