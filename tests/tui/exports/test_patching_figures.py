"""Patching runs as text and as a picture, of maps made by hand. See `made_patching`."""

import math
from xml.etree import ElementTree

from mlxterp_engine.experiments import CausalTracing
from mlxterp_tui.exports.axes import axes_of
from mlxterp_tui.exports.figure import figure
from mlxterp_tui.exports.patching_figure import patching_summary
from mlxterp_tui.exports.patching_panels import panels, patching_table, run_of
from mlxterp_tui.exports.patching_picture import patching_svg
from mlxterp_tui.exports.picture import Size, svg
from mlxterp_tui.panes.patch.sites import shown

import made as made_results
import made_patching as made
import pytest
from made_lens import floats
from made_patching import matrix, scalar

TRACED = CausalTracing(prompt="The cat sat", subject="cat", answer=" a", samples=2)


def swept():
    """resid_pre: one cell failed; k: effects of thousandths."""
    asks = made.asked(sites=["resid_pre", "k"])
    maps = {
        "resid_pre": matrix((0, 0.5, 1), (0, -0.25, math.nan)),
        "k": matrix((0.001, -0.02), (0, 0.004)),
    }
    return made.result(asks, made.ENDS_OF_RESULT | maps)


def traced():
    ends = {"p_clean": scalar(0.5), "p_corrupt": scalar(0.125), "sigma": scalar(0.25)}
    hidden = matrix((0.125, 0.25, 0.125), (0.125, 0.125, 0.5))
    flat = matrix((0.125, 0.125, 0.125), (0.125, 0.125, 0.1))
    draws = [0.125, 0.2, 0.125, 0.125, 0.125, 0.5], [0.125, 0.3, 0.125, 0.125, 0.125, 0.5]
    samples = floats([*draws[0], *draws[1]], 2, 2, 3)
    maps = {"hidden": hidden, "mlp": flat, "attn": flat, "hidden_samples": samples}
    return made.result(TRACED, ends | maps, [made.CLEAN])


def test_the_largest_neurons_are_told_by_their_numbers():
    asks = made.asked(sites=[], neurons="1@-1")
    arrays = {"neurons": floats([0.0, -0.5, 0.25], 3), "neurons_together": scalar(-0.25)}
    lines = patching_summary(made.result(asks, made.ENDS_OF_RESULT | arrays)).splitlines()
    assert lines[-3:] == [
        "map      block  at                     effect",
        "neurons      1  neuron 1 at 2 ' sat'  −0.5000",
        "neurons      1  neuron 2 at 2 ' sat'  +0.2500",
    ]


def test_a_sweep_is_what_was_asked_both_ends_the_largest_cells_and_its_maps():
    assert figure(swept()).splitlines() == [
        "denoise · logit difference ' a' − ' b'",
        "0 = corrupt −4.00, 1 = clean 6.00",
        "1: ' cat' against ' dog'",
        "",
        "map        block  at         effect",
        "resid_pre      0  2 ' sat'  +1.0000",
        "resid_pre      0  1 ' cat'  +0.5000",
        "resid_pre      1  1 ' cat'  −0.2500",
        "k              0  group 1   −0.0200",
        "k              1  group 1   +0.0040",
        "k              0  group 0   +0.0010",
        "",
        f"resid_pre: {shown('resid_pre').words} (before position 1 nothing differs)",
        "       1     2",
        "block  ·cat  ·sat",
        "   1   −.25  ×",
        "   0   +.50  +1.0",
        "",
        f"k · 10⁻³: {shown('k').words}",
        "block  kv0:h0–1 kv1:h2–3",
        "   1   ·        +4.0",
        "   0   +1.0     −20",
    ]


def test_a_trace_is_told_in_probabilities_with_their_spread_over_draws():
    lines = figure(traced()).splitlines()
    assert set(lines[0].split(" · ")) == {"noise 3 σ (σ 0.25)", "2 draws", "p(' a')"}
    assert lines[1] == "p .500 clean, .125 with noise"
    assert "hidden      1  2 ' sat'     0.5000  0.0000" in lines
    assert "hidden      0  1 ' cat'     0.2500  0.0707" in lines  # 0.2 and 0.3: 0.1 / √2
    heading = f"hidden: {shown('hidden').words} (before position 1 nothing differs)"
    assert lines[lines.index(heading) + 1 :][:4] == [
        "       1     2",
        "block  ·cat  ·sat",
        "   1   .125  .500",
        "   0   .250  .125",
    ]


def test_an_estimate_stands_beside_the_exact_value_and_how_far_it_holds():
    asks = made.estimated(sites=["k"])
    arrays = made.ENDS_OF_RESULT | {"k": matrix((0.5, 0.25), (0.1, 0))}
    arrays |= made.exact((0, 0, 0, 0.5, 0.4), (0, 0, 1, 0.25, 0.2))
    figures = {"k_rank_correlation": 1.0, "k_slope": 0.8}
    lines = patching_summary(made.result(asks, arrays, figures=figures)).splitlines()
    trust = "rank correlation 1.00, slope 0.80, largest miss 0.25"
    assert f"k: 2 cells patched too: {trust}" in lines
    assert "map  block  at       estimate  patched" in lines
    assert "k        0  group 0   +0.5000  +0.4000" in lines
    assert "k        1  group 0   +0.1000" in lines


def test_the_mean_of_a_set_is_told_with_its_spread():
    asks = made.asked(clean=None, corrupt=None, answer=None, wrong=None, pairs="ioi", sites=["k"])
    pairs = floats([0.2, 0.0, 0.0, 0.0, 0.4, 0.0, 0.0, 0.0], 2, 2, 2)
    arrays = {"k": matrix((0.3, 0), (0, 0)), "k_sd": matrix((0.125, 0), (0, 0)), "k_pairs": pairs}
    lines = figure(made.result(asks, made.ENDS_OF_RESULT | arrays, [])).splitlines()
    assert lines[0].startswith("mean of 2 pairs · denoise")
    assert "k        0  group 0  +0.3000  0.1250" in lines


def test_prompts_of_other_lengths_are_set_beside_one_another_by_stretches():
    """As `align spans` patches them; ' big' stands in one of them alone."""
    asks = made.asked(sites=["k"])
    arrays = made.ENDS_OF_RESULT | {"k": matrix((0.5, 0.25), (0.1, 0))}
    tokens = [["The", " big", " cat", " sat"], ["The", " dog", " sat"]]
    assert "1: ' big cat' against ' dog'" in figure(made.result(asks, arrays, tokens)).splitlines()
    tokens = [["The", " cat", " sat"], ["The", " big", " cat", " sat"]]
    assert "1: nothing against ' big'" in figure(made.result(asks, arrays, tokens)).splitlines()


def test_tokens_that_fill_a_prompt_up_are_told():
    asks = made.asked(sites=["k"], pad=" the")
    arrays = made.ENDS_OF_RESULT | {"k": matrix((0.5, 0.25), (0.1, 0))}
    found = made.result(asks, arrays, strings={"padded": {"corrupt": [1, 2]}})
    assert "filled up: corrupt at 1, 2" in figure(found).splitlines()


def test_a_wide_map_is_cut_into_panels():
    run = run_of(swept())
    (whole,) = panels(run, run.maps["resid_pre"], 100)
    assert list(whole.columns) == [1, 2]
    assert [list(panel.columns) for panel in panels(run, run.maps["resid_pre"], 12)] == [[1], [2]]


def test_a_table_has_a_line_for_each_known_cell_of_every_map():
    lines = [line.split("\t") for line in patching_table(swept()).splitlines()]
    assert lines[0][:3] == ["map", "block", "site"]
    assert len(lines) == 1 + 5 + 4  # one of resid_pre's six failed
    assert lines[-1] == ["k", "0", "blocks.0.attn.k[1]", "1", '"kv1:h2–3"', "-0.02", "-4.2"]


@pytest.mark.parametrize(
    ("experiment", "name", "axes"),
    [
        ("path-patching", "effect", ("layer", "head")),
        ("path-patching", "effect_pairs", ("pair", "layer", "head")),
        ("path-patching", "effect_sd", ("layer", "head")),
        ("attribution-patching", "exact_effect_pairs", ("pair", "exact")),
        ("attribution-patching", "exact_effect_sd", ("exact",)),
        ("attribution-patching", "k_pairs", ("pair", "layer", "kv_head")),
        ("causal-tracing", "hidden_samples", ("sample", "layer", "position")),
        ("causal-tracing", "hidden_effect_facts", ("fact", "layer", "bucket")),
    ],
)
def test_the_axes_of_sets_are_named(experiment, name, axes):
    array = floats([0.0], *[1] * len(axes))
    assert axes_of(experiment, name, array) == axes


def backgrounds(drawing):
    """The colours of the rectangles behind the text."""
    rectangles = ElementTree.fromstring(drawing).iter("{http://www.w3.org/2000/svg}rect")
    return {rectangle.get("fill") for rectangle in rectangles}


def words(drawing):
    return " ".join(ElementTree.fromstring(drawing).itertext()).replace("\u00a0", " ")


def test_a_picture_has_every_map_its_scale_and_what_was_checked():
    drawing = patching_svg(swept(), 120, "a run")
    seen = words(drawing)
    for text in ("resid_pre", "k · 10⁻³", "+1.0", "×", "kv1:h2–3", "0 = corrupt −4.00"):
        assert text in seen, text
    run = run_of(swept())
    (effects,), (thousandths,) = (panels(run, run.maps[name], 100) for name in ("resid_pre", "k"))
    assert {*effects.ends, *thousandths.ends} <= set(seen.split())
    assert float(thousandths.ends[1]) == pytest.approx(1000 * thousandths.scale.high)
    assert patching_svg(swept(), 120, "a run") == drawing


def test_effects_are_coloured_around_0_and_probabilities_from_noise_to_clean():
    """The ends of the colours for differences, and of the sequential ones."""
    effects, probabilities = (
        backgrounds(patching_svg(found, 120, "")) for found in (swept(), traced())
    )
    assert {"#8cc8ff", "#ffa891"} <= effects
    assert not {"#8cc8ff", "#ffa891"} & probabilities
    assert {"#05060a", "#fcffa4"} <= probabilities


def test_a_run_of_the_log_is_drawn_with_all_its_maps():
    seen = words(svg(made_results.stored(swept(), id=7), Size(60, 10)))
    assert "Run 7, activation-patching" in seen
    assert "resid_pre" in seen
    assert "k · 10⁻³" in seen


def test_a_headline_longer_than_the_picture_is_cut():
    long = patching_svg(swept(), 60, "Run 7, activation-patching: " + "most " * 20)
    assert "Run 7, activation-patching: most most most m…" in words(long)
