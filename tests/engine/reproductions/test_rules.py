"""From figures to verdicts, by the written rule and by nothing else."""

import math

from mlxterp_engine.bootstrap import Estimate
from mlxterp_engine.reproductions.rules import Rule

import pytest

RULE = Rule(
    direction=(0.5, 1.0), why_direction="late", shape=(0.6, 0.8), why_shape="as theirs"
)  # fmt: skip
BELOW = Rule(
    direction=(-math.inf, 0.0), why_direction="falls", shape=(-1.0, -0.9), why_shape="everywhere"
)


def figure(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, n=8, draws=100)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.65, 0.75, "same shape"),
        (0.55, 0.61, "same shape"),
        (0.8, 0.9, "same shape"),
        (0.81, 0.9, "same direction"),
        (0.51, 0.59, "same direction"),
        (0.5, 0.7, "not reproduced"),
        (0.7, 1.0, "not reproduced"),
        (0.1, 0.2, "not reproduced"),
        (math.nan, math.nan, "not comparable"),
        (0.7, math.inf, "not comparable"),
    ],
)
def test_the_whole_interval_decides_the_direction_and_an_overlap_the_shape(low, high, verdict):
    assert RULE.verdict(figure(low, high)) == verdict


def test_a_range_may_be_open_to_one_side():
    assert BELOW.verdict(figure(-0.95, -0.2)) == "same shape"
    assert BELOW.verdict(figure(-0.5, -0.2)) == "same direction"
    assert BELOW.verdict(figure(-0.5, 0.1)) == "not reproduced"


def test_the_words_are_made_from_the_numbers_that_decide():
    assert "lies above 0.5 and below 1 (late)" in RULE.words
    assert "overlaps 0.6 to 0.8 (as theirs)" in RULE.words
    assert "lies below 0 (falls)" in BELOW.words


def test_the_reason_gives_the_interval_and_the_range_it_met_or_missed():
    assert RULE.reason(figure(0.2, 0.7)) == "[0.2, 0.7] does not lie wholly above 0.5 and below 1"
    assert RULE.reason(figure(0.9, 0.95)).endswith("and off 0.6 to 0.8")
    assert RULE.reason(figure(0.7, 0.75)).endswith("and overlaps 0.6 to 0.8")
    assert "could not be computed" in RULE.reason(figure(math.nan, math.nan))
