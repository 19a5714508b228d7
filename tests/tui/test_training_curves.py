"""What a training's parts come to: curves, the table, the warnings; numbers checked by hand."""

from __future__ import annotations

import math

from mlxterp_engine.experiments import Started
from mlxterp_tui.panes.training import chart as training_chart
from mlxterp_tui.panes.training import text as training_text
from mlxterp_tui.panes.training.curves import Curves, layer_name, spread
from mlxterp_tui.widgets.chart_sheet import text_of

import pytest
import scripted_training as script


def curves_of(parts) -> Curves:
    curves = Curves()
    curves.take(parts)
    return curves


def plain(content) -> str:
    return content.plain


def two_evaluations(train: list[float], held_out: list[float]) -> Curves:
    """One layer is looked at, the second; the others stay as they are.

    train: the losses of steps 1 to 4. held_out: the means after steps 2 and 4.
    """

    def with_second(values: list[float], second: float) -> list[float]:
        return [values[0], second, *values[2:]]

    base = script.LEAST
    parts = [script.evaluation(0, base)]
    for number, loss in enumerate(train, 1):
        parts.append(script.step(number, loss=script.floats(with_second(base, loss))))
        if number % 2 == 0:
            mean = held_out[number // 2 - 1]
            parts.append(script.evaluation(number, with_second(base, mean)))
    return curves_of(parts)


def test_steps_and_evaluations_become_one_line_each_for_every_layer():
    curves = curves_of(script.parts(20))
    assert [step for step, _ in curves.train_of(2)] == list(range(1, 21))
    assert [step for step, _ in curves.held_out_of(2)] == [0, 10, 20]
    # Half of the way from 18 to 2.5 after ten steps, and 0.25 nats above training text.
    assert curves.held_out_of(2)[1][1] == 2.5 + 15.5 / 2 + 0.25


def test_other_parts_tell_nothing():
    curves = Curves()
    assert not curves.take([Started([], [])])
    assert not curves.layers


def test_the_ratio_is_what_the_lens_has_left_of_the_logit_lens_s_kl():
    curves = curves_of([script.evaluation(10, [6.5, 7, 9, 8.5, 3, 0.25])])
    assert [curves.ratio(layer) for layer in range(6)] == [0.5] * 6
    assert not curves.worse


def test_before_the_first_evaluation_nothing_is_known_of_held_out_text():
    curves = curves_of([script.step(1)])
    assert math.isnan(curves.held_out_now(0))
    assert math.isnan(curves.ratio(0))
    assert not curves.worse
    assert not training_text.verdicts(curves)


def test_a_layer_that_is_no_better_than_the_logit_lens_is_named():
    curves = curves_of([script.evaluation(10, [13.0, 7, 9, 8.5, 3, 0.6])])
    assert curves.worse == [0, 5]
    (said,) = training_text.verdicts(curves)
    assert said[0] == "held out no better than the logit lens at layers embed, 4"


@pytest.mark.parametrize(
    ("train", "held_out", "warned"),
    [
        ([4, 4, 2, 2], [2.9, 3.1], True),  # held-out rises, training falls
        ([4, 4, 2, 2], [3.1, 2.9], False),  # both fall
        ([2, 2, 4, 4], [2.9, 3.1], False),  # both rise: that is no over-fitting
        ([4, 4, 2, 2], [2.9, 2.92], False),  # less than 1 % is noise
    ],
)
def test_over_fitting_is_held_out_rising_while_training_falls(train, held_out, warned):
    curves = two_evaluations(train, held_out)
    assert curves.over_fitted == ([1] if warned else [])
    said = [text for text, _ in training_text.verdicts(curves)]
    assert any("over-fitting at layer 0" in text for text in said) == warned


def test_the_means_between_evaluations_are_compared_and_not_single_steps():
    """The last step's loss is high by chance; over the steps before each mean it fell."""
    assert two_evaluations([4, 4, 1, 4.1], [2.9, 3.1]).over_fitted == [1]


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ([3], "layer 2"),
        ([0, 1, 2], "layers embed–1"),
        ([1, 2, 5], "layers 0–1, 4"),
        (range(6), "all 6 layers"),
    ],
)
def test_layers_are_named_in_runs(chosen, words):
    assert training_text.places(curves_of(script.parts(1)), list(chosen)) == words


def test_tokens_are_a_share_of_the_paper_s_budget():
    """250 steps of 2^18 tokens: 65 536 000."""
    assert training_text.of_the_paper(655_360) == "655 360 tokens, 1 % of the paper's"


def test_what_is_known_of_a_step_is_said_in_full_where_there_is_room():
    said = training_text.facts(curves_of(script.parts(30)), "running", kept="run 4")
    text = plain(training_text.in_lines(said, 200, 3))
    for words in (
        "● running", "step 30 of 40", "75%", "2 s left", "7 680 tokens", "1 024 tokens/s",
        "epoch 1", "checkpoint of step 30", "learning rate 0.025", "gradient norm 3.5, clipped",
        "run 4",
    ):  # fmt: skip
        assert words in text


def test_a_gradient_below_the_clip_is_said_not_to_be_clipped():
    assert training_text.gradient(script.step(1, gradient_norm=0.5))[0] == (
        "gradient norm 0.5, not clipped"
    )


@pytest.mark.parametrize("width", [30, 58, 76, 116])
def test_no_line_is_wider_than_its_room(width):
    curves = curves_of(script.parts(30))
    said = training_text.facts(curves, "failed", "loss is NaN at step 31: " + "long " * 40)
    for line in plain(training_text.in_lines(said, width, 3)).splitlines():
        assert len(line) <= width
    assert len(training_text.table_heading(width)) <= width


def test_the_table_s_columns_stand_under_their_names():
    curves = curves_of(script.parts(40))
    heading = training_text.table_heading(58)
    line = "".join(text for text, _ in training_text.table_line(curves, 2, 58))
    for name, value in (("layer", "1"), ("logit", "18.00"), ("unigram", "5.75"),
                        ("held out", "3.72")):  # fmt: skip
        end = heading.index(name) + len(name)
        assert line[:end].endswith(value)
    assert "20.7%" in line  # 3.72 of 18


def test_unknown_numbers_are_dots_and_never_zeros():
    line = "".join(text for text, _ in training_text.table_line(curves_of([script.step(1)]), 2, 58))
    assert line.split() == ["1", "·", "·", "18.00", "·"]


def test_a_copy_has_every_layer_with_all_digits():
    rows = training_text.table_tsv(curves_of(script.parts(40))).splitlines()
    assert rows[0].split("\t")[0] == "layer"
    assert [row.split("\t")[0] for row in rows[1:]] == ["-1", "0", "1", "2", "3", "4"]


def test_five_layers_stand_for_the_depth():
    assert spread(31) == [0, 8, 15, 22, 30]
    assert spread(3) == [0, 1, 2]
    assert spread(0) == []
    assert layer_name(-1) == "embed"


def test_every_view_draws_what_is_known_and_says_when_there_is_nothing():
    for curves, words in ((Curves(), training_chart.EMPTY), (curves_of(script.parts(20)), "log")):
        for view in training_chart.VIEWS:
            drawn = "\n".join(text_of(view.chart(curves, 2, True), 60, 14))
            assert words in drawn


def test_the_view_of_a_layer_has_training_and_held_out_and_the_logit_lens():
    chart = training_chart.of_layer(curves_of(script.parts(20)), 2, log=False)
    assert [line.name for line in chart.series] == ["training", "held out", "logit lens"]
    assert list(chart.series[2].ys) == [18.0, 18.0]
    assert "block 1" in chart.y.title


def test_the_view_over_the_depth_compares_with_logit_lens_and_unigram():
    curves = curves_of(script.parts(20))
    chart = training_chart.over_depth(curves, 2, log=True)
    assert [line.name for line in chart.series] == ["lens", "logit lens", "unigram"]
    assert list(chart.series[0].xs) == script.LAYERS
    assert chart.cursor == 1
