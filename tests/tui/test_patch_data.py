"""What the patch pane knows of a run, by parts made by hand. See `made_patching`."""

from __future__ import annotations

import math

from mlxterp_engine.experiments import BadInput, PatchCells
from mlxterp_engine.techniques.execute import execute
from mlxterp_tui.exports.naming import unrecorded
from mlxterp_tui.logbook import Stored
from mlxterp_tui.panes.patch import best, inspector, text
from mlxterp_tui.panes.patch import cells as patch_cells
from mlxterp_tui.panes.patch.maps import At
from mlxterp_tui.panes.patch.notes import notes
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.scale import in_cell, rounded_up, scale_of
from mlxterp_tui.panes.patch.stored import stored_run
from mlxterp_tui.widgets.cell_painter import BLANK, UNKNOWN, Cell

import made_patching as made
import msgspec
import pytest
from made_lens import floats
from made_patching import asked, begun, cells, matrix, scalar

# How it fills in


def test_maps_have_their_shapes_as_soon_as_the_prompts_are_read():
    run = PatchRun(asked(sites=["resid_pre", "z", "k"])).with_parts([made.STARTED], made.CARD)
    assert {name: (found.rows, found.columns) for name, found in run.maps.items()} == {
        "resid_pre": (("0", "1"), ("The", " cat", " sat")),
        "z": (("0", "1"), ("h0", "h1", "h2", "h3")),
        "k": (("0", "1"), ("kv0:h0–1", "kv1:h2–3")),
    }
    assert (run.known, run.total) == (0, 6 + 8 + 4)


def test_before_the_first_difference_nothing_moves_and_that_is_known_with_the_ends():
    run = begun()
    assert run.maps["resid_pre"].values == ((0.0, None, None),) * 2
    assert run.maps["z"].known == 0


def test_cells_come_in_rectangles_in_any_order():
    run = begun().with_parts(
        [
            cells("resid_pre", [0, 1], [2], [0.5], [0.25]),
            cells("z", [1], [0, 3], [0.125, -0.5]),
        ],
        made.CARD,
    )
    assert run.maps["resid_pre"].values == ((0.0, None, 0.5), (0.0, None, 0.25))
    assert run.maps["z"].values == ((None,) * 4, (0.125, None, None, -0.5))
    assert text.filled(run.maps["resid_pre"]) == "3 × 2, 66 % known"


def test_heads_by_position_are_a_map_for_each_block():
    asks = asked(sites=["z"], by_position=True, layers=[1])
    part = PatchCells(
        site="z_pos", layers=[1], at=[2], values=floats([0.1, 0.2, 0.3, 0.4], 1, 1, 4)
    )
    run = begun(asks).with_parts([part], made.CARD)
    found = run.maps["z_pos[1]"]
    assert run.names == ["z", "z_pos[1]"]
    assert found.rows == ("h0", "h1", "h2", "h3")
    assert [row[2] for row in found.values] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert [row[:2] for row in found.values] == [(0.0, None)] * 4
    address = inspector.lines(run, "z_pos[1]", "mean", At(3, 2))[0].plain
    assert address == "blocks.1.attn.z[3]@2"


def test_neurons_of_a_place_are_rows_of_twelve():
    """Sixteen neurons: a whole row, and four in the next."""
    asks = asked(sites=[], neurons="blocks.1@-2")
    part = PatchCells(site="neurons", layers=[1], at=[0, 13], values=matrix((0.25, -0.5)))
    run = begun(asks).with_parts([part], made.CARD)
    found = run.maps["neurons"]
    assert found.rows == ("0", "12")
    assert (found.value(At(0, 0)), found.value(At(1, 1))) == (0.25, -0.5)
    assert (found.total, found.known, len(found.missing)) == (16, 2, 8)
    said = [line.plain for line in inspector.lines(run, "neurons", "mean", At(1, 1))]
    assert said[:2] == [
        "blocks.1.mlp.post[13]@1",
        "neuron 13 of block 1, position 1 ' cat' (clean) / ' dog' (corrupt)",
    ]
    assert best.table(run, best.best_cells(run, "neurons")).plain.splitlines()[1:] == [
        " neuron 13   −0.5000", " neuron 0    +0.2500"
    ]  # fmt: skip


def test_neurons_are_said_together_too():
    asks = asked(sites=[], neurons="blocks.1@1")
    arrays = made.ENDS_OF_RESULT | {"neurons": floats([0.0] * 16), "neurons_together": scalar(0.75)}
    run = PatchRun(asks).finished(made.result(asks, arrays))
    assert run.maps["neurons"].known == 16
    assert notes(run, "neurons")[0].plain == "all neurons together: +0.7500"


def test_the_result_takes_the_place_of_what_was_told():
    asks = asked(sites=["resid_pre"])
    arrays = made.ENDS_OF_RESULT | {"resid_pre": matrix((0, 0.5, 1), (0, 0.25, math.nan))}
    run = PatchRun(asks).finished(made.result(asks, arrays))
    assert run.ends == (6.0, -4.0)
    assert run.maps["resid_pre"].columns == made.CLEAN
    assert (run.known, run.total, run.failed) == (6, 6, 1)
    assert text.filled(run.maps["resid_pre"]) == "3 × 2, 1 failed (×)"


def test_what_was_known_stays_when_a_run_is_stopped():
    run = begun().with_parts([cells("k", [0], [0], [0.5])], made.CARD).ended("cancelled", "kept")
    assert run.maps["k"].value(At(0, 0)) == 0.5
    assert not run.running
    said = inspector.line(run, "k", "mean", At(1, 1)).plain
    assert said.startswith("blocks.1.attn.k[1] · not computed · key-value head 1")


# What a cell looks like


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.583, "+.58"), (-0.126, "−.13"), (0.0, "0"), (0.001, ".00"), (1.0, "+1.0"),
     (-0.996, "−1.0"), (9.96, "+10"), (-123.4, "−123")],
)  # fmt: skip
def test_an_effect_is_a_sign_and_two_digits(value, shown):
    assert in_cell(value, "effect") == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.4123, ".412"), (0.99991, "1.00"), (0.9991, ".999"), (0.0003, "3e-4"), (0.0, "0")],
)
def test_a_probability_has_three_digits(value, shown):
    assert in_cell(value, "probability") == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0871, "+.087"), (-0.0004, ".000"), (0.0, "0"), (1.0, "+1.000")]
)
def test_what_is_won_over_noise_has_a_sign_and_three_digits(value, shown):
    assert in_cell(value, "gain") == shown


@pytest.mark.parametrize(
    ("value", "most"), [(0.58, 0.6), (1.0, 1.0), (1.04, 1.2), (0.013, 0.015), (7.2, 8.0), (0, 1)]
)
def test_a_scale_goes_to_the_next_round_number(value, most):
    assert rounded_up(value) == most


def test_effects_have_their_zero_in_the_middle_and_one_scale_for_all_cells():
    run = begun().with_parts([cells("resid_pre", [0, 1], [1, 2], [0.5, -1], [0, 1])], made.CARD)
    scale = scale_of(run.maps["resid_pre"], run.ends)
    assert (scale.low_words, scale.high_words, scale.diverging) == ("−1", "+1", True)
    shown = patch_cells.picture(run, "resid_pre")
    assert shown.cells == [
        [Cell("0", 0.5, 0), Cell("+.50", 0.75, 0.5), Cell("−1.0", 0.0, 1)],
        [Cell("0", 0.5, 0), Cell("0", 0.5, 0), Cell("+1.0", 1.0, 1)],
    ]
    legend = patch_cells.legend(run, "resid_pre", "resid_pre")
    assert (legend.low, legend.high, legend.centred) == ("−1", "+1", True)


def test_effects_that_are_all_small_do_not_glow():
    run = begun().with_parts([cells("z", [0], [0, 1], [0.004, -0.02])], made.CARD)
    scale = scale_of(run.maps["z"])
    assert (scale.low, scale.high) == (-0.1, 0.1)
    assert scale.size(-0.02) == pytest.approx(0.2)


def test_unknown_failed_and_not_there_look_different():
    nan = math.nan
    arrays = made.ENDS_OF_RESULT | {"z": matrix((0.5, nan, 0, 0), (nan, nan, nan, nan))}
    asks, strings = asked(sites=["z"]), {"missing": {"z": [[1, at] for at in range(4)]}}
    run = PatchRun(asks).finished(made.result(asks, arrays, strings=strings))
    first, second = patch_cells.picture(run, "z").cells
    assert first is not None
    assert math.isnan(first[1].level or 0)
    assert second == [BLANK] * 4
    assert patch_cells.picture(begun(asks), "z").cells[0] == [UNKNOWN] * 4
    assert (run.failed, run.known, run.total) == (1, 4, 4)
    assert inspector.lines(run, "z", "mean", At(1, 0))[-1].plain == "the model has no such place"


def test_a_key_value_head_is_as_wide_as_the_query_heads_that_read_it():
    run = begun()
    assert [patch_cells.span(run, name) for name in ("resid_pre", "z", "k")] == [1, 1, 2]
    said = [line.plain for line in inspector.lines(run, "k", "mean", At(1, 1))]
    assert said[0] == "blocks.1.attn.k[1]"
    assert said[1].startswith("key-value head 1, read by query heads 2–3")


def test_where_the_tokens_differ_is_marked_over_maps_by_position():
    run = begun()
    assert patch_cells.column_marks(run, "resid_pre") == {1: "≠"}
    assert patch_cells.column_marks(run, "z") == {}


# What is said of it


def test_the_heading_says_site_way_and_metric_and_both_ends_are_beside_the_range():
    run = begun().with_parts([cells("resid_pre", [0], [1], [-0.25])], made.CARD)
    assert text.heading(run, "resid_pre") == "resid_pre · denoise · logit difference ' a' − ' b'"
    line = text.maps_line(run, "resid_pre").plain
    assert line.startswith("▸resid_pre   z   k")
    assert "0 = corrupt −4.00, 1 = clean 6.00 · range −0.25 … +0.00 · 3 × 2, 50 % known" in line


def test_noising_turns_the_scale_around():
    run = begun(asked(direction="noise"))
    assert text.ends_words(run) == "0 = clean 6.00, 1 = corrupt −4.00"
    assert run.raw(0.25) == 3.5  # a quarter of the way from 6 to −4


@pytest.mark.parametrize(
    ("metric", "words"),
    [("prob", "probability of ' a'"), ("kl", "KL(clean ‖ run), nats")],
)
def test_each_metric_is_named_exactly(metric, words):
    assert text.measured(begun(asked(metric=metric))) == words


def test_the_inspector_says_the_cell_in_words_and_numbers():
    run = begun().with_parts([cells("resid_pre", [1], [1], [0.58])], made.CARD)
    said = [line.plain for line in inspector.lines(run, "resid_pre", "mean", At(1, 1))]
    assert said == [
        "blocks.1.resid_pre@1",
        "position 1 ' cat' (clean) / ' dog' (corrupt), residual stream before the block",
        "",
        "effect            +0.5800",
        "logit difference  1.80",
        "corrupt … clean   −4.00 … 6.00",
    ]
    assert inspector.line(run, "resid_pre", "mean", At(1, 1)).plain == (
        "blocks.1.resid_pre@1 · effect: +0.5800 · logit difference: 1.80 · position 1 ' cat' "
        "(clean) / ' dog' (corrupt), residual stream before the block"
    )
    assert inspector.lines(run, "z", "mean", At(0, 0))[-1].plain == "not computed yet"


def test_the_best_cells_are_the_largest_by_their_size():
    run = begun().with_parts(
        [cells("resid_pre", [0, 1], [1, 2], [0.5, -0.75], [0.1, 0]), cells("z", [1], [2], [0.6])],
        made.CARD,
    )
    found = best.best_cells(run, "resid_pre")
    assert [(one.at, one.value) for one in found] == [
        (At(0, 2), -0.75), (At(0, 1), 0.5), (At(1, 1), pytest.approx(0.1)),
    ]  # fmt: skip
    table = best.table(run, found, At(0, 1), "resid_pre").plain.splitlines()
    assert table == [
        " 3 largest",
        " block 0 at 2 ' sat'   −0.7500",
        "▸block 0 at 1 ' cat'   +0.5000",
        " block 1 at 1 ' cat'   +0.1000",
    ]


def test_a_run_of_nothing_has_nothing_to_write():
    with pytest.raises(BadInput, match="no map to write"):
        text.table(PatchRun(), "resid_pre")


def test_the_map_is_written_a_line_a_cell_with_the_metric_itself():
    run = begun().with_parts([cells("z", [1], [2], [0.6])], made.CARD)
    assert text.table(run, "z").splitlines() == [
        "map\tblock\tsite\tcolumn\tlabel\tvalue\traw",
        'z\t1\tblocks.1.attn.z[2]\t2\t"h2"\t0.6\t2',
    ]
    assert text.table(run, "z", separator=",").splitlines()[1] == (
        'z,1,blocks.1.attn.z[2],2,"""h2""",0.6,2'
    )


def test_of_prompts_of_unequal_lengths_each_position_has_its_partner():
    """The big cat sat, the dog sat: big is in the clean prompt alone, cat is where dog is."""
    asks = asked(align="spans", sites=["resid_pre"])
    tokens = [["The", " big", " cat", " sat"], ["The", " dog", " sat"]]
    run = PatchRun(asks).with_parts([made.Started([[], []], tokens)], made.CARD)
    assert [run.partner(position) for position in range(4)] == [0, None, 1, 2]
    assert run.differing == (1, 2)
    assert run.maps["resid_pre"].missing == {At(0, 1), At(1, 1)}
    said = [inspector.lines(run, "resid_pre", "mean", At(0, at))[1].plain for at in range(4)]
    assert [words.partition(",")[0] for words in said] == [
        "position 0 'The'",
        "position 1 ' big' (clean alone)",
        "position 2 ' cat' (clean) / ' dog' at 1 (corrupt)",
        "position 3 ' sat' (corrupt at 2)",
    ]


# What else is said


def test_failed_cells_are_counted_over_all_maps():
    run = begun().with_parts([cells("z", [0], [0], [math.nan])], made.CARD)
    assert [line.plain for line in notes(run, "resid_pre")] == ["1 of 18 cells failed (×)"]


def test_cells_of_a_stopped_run_are_said_to_be_there_already():
    run = begun().with_parts([msgspec.structs.replace(made.ENDS, resumed=7)], made.CARD)
    assert [line.plain for line in notes(run, "z")] == [
        "7 cells were there already, from a run that was stopped"
    ]


# Out of the log


def record_of(result, **changes):
    return msgspec.structs.replace(unrecorded(result, created=0.0), id=7, **changes)


def test_a_run_of_the_log_is_as_it_was():
    asks = asked(sites=["k"])
    result = made.result(asks, made.ENDS_OF_RESULT | {"k": matrix((0.5, 0), (0, 0.25))})
    run = stored_run(Stored(record_of(result), result))
    assert (run.state, run.recorded_as) == ("done", 7)
    assert run.maps == PatchRun(asks).finished(result).maps


def test_of_a_stopped_run_the_cells_that_it_had_are_shown():
    asks = asked(sites=["z"])
    record = record_of(made.result(asks, {}), state="cancelled")
    parts = [made.STARTED, made.ENDS, cells("z", [1], [2], [0.25])]
    run = stored_run(Stored(record, None, parts))
    assert run.state == "cancelled"
    assert run.maps["z"].value(At(1, 2)) == 0.25
    assert run.known == 1


def test_a_run_that_computed_nothing_is_refused_with_the_way_to_what_is_known():
    record = record_of(made.result(asked(), {}), state="failed")
    with pytest.raises(BadInput, match="run 7 failed before anything was computed"):
        stored_run(Stored(record, None, ()))


# On a real model


def test_parts_and_result_of_a_real_run_come_to_the_same_maps(tiny):
    asks = asked(
        model="glass-tiny", clean="The cat sat on the mat", corrupt="The dog sat on the mat",
        answer="s", wrong="e", sites=["resid_pre", "mlp_out", "z", "q", "k", "v", "pattern"],
        by_position=True, layers=[3, 1], neurons="2@-1",
    )  # fmt: skip
    steps, run = execute(tiny, asks), PatchRun(asks)
    while True:
        try:
            run = run.with_parts([next(steps)], tiny.card)
        except StopIteration as end:
            whole = run.finished(end.value)
            break
    assert run.names == whole.names
    assert run.names[-3:] == ["z_pos[3]", "z_pos[1]", "neurons"]
    assert (run.known, run.total) == (whole.known, whole.total)
    assert {name: found.values for name, found in run.maps.items()} == {
        name: found.values for name, found in whole.maps.items()
    }
    assert run.ends == pytest.approx(whole.ends)
