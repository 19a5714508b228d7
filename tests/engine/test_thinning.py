"""Of what may be thinned: the first, the newest, an even rest; of all else everything."""

import random
from itertools import pairwise

from mlxterp_engine.experiments import Array, Step
from mlxterp_engine.experiments.train_lens import LensEvaluation, LensStep
from mlxterp_engine.thinning import Thinned, kind_of

import numpy as np
import pytest


def after(count, most=4, kind="step"):
    row = Thinned(most)
    for number in range(count):
        row.append(number, kind)
    return row.items


@pytest.mark.parametrize(
    ("count", "kept"),
    [
        (0, []),
        (1, [0]),
        (4, [0, 1, 2, 3]),
        (5, [0, 2, 4]),
        (6, [0, 2, 4, 5]),
        (7, [0, 2, 4, 6]),
        (8, [0, 4, 7]),
        (9, [0, 4, 8]),
        (12, [0, 4, 8, 11]),
        (14, [0, 8, 13]),
        (1000, [0, 512, 999]),
    ],
)
def test_the_first_the_newest_and_every_2_to_the_nth_between_them_stay(count, kept):
    assert after(count) == kept


@pytest.mark.parametrize("count", [2000, 2001, 9999, 10_000, 123_456])
def test_of_very_many_a_thousand_to_two_thousand_stay_evenly_spaced(count):
    kept = after(count, most=2000)
    gaps = {later - earlier for earlier, later in pairwise(kept[:-1])}
    assert 1000 <= len(kept) <= 2000
    assert (kept[0], kept[-1]) == (0, count - 1)
    assert len(gaps) == 1
    assert kept[-1] - kept[-2] <= gaps.pop()


def test_what_may_not_be_thinned_stays_and_keeps_its_place_among_the_rest():
    row = Thinned(4)
    for number in range(100):
        row.append(number, None if number % 10 == 5 else "step")
    assert [number for number in row.items if number % 10 == 5] == list(range(5, 100, 10))
    assert row.items == sorted(row.items)


def test_each_kind_is_thinned_for_itself():
    row = Thinned(4)
    for number in range(14):
        row.append(number, number % 2)
    assert row.items == [0, 1, 4, 5, 8, 9, 12, 13]


def test_what_goes_is_told():
    row = Thinned(4)
    assert [row.append(number, "step") for number in range(8)] == [
        [], [], [], [], [1, 3], [], [5], [2, 6],
    ]  # fmt: skip


def test_a_number_leads_to_the_thing_or_to_the_next_one_that_is_still_there():
    row, draw = Thinned(8), random.Random(0)
    for number in range(500):
        row.append(number, draw.choice([None, "a", "b"]))
        wanted = draw.randrange(number + 2)
        left = [item for item in row.items if item >= wanted]
        assert row.items[row.place(wanted) :] == left


def test_a_training_tells_what_may_be_thinned_and_others_do_not():
    step = LensStep(
        step=1, steps=2, layers=[0], loss=Array.of(np.float32([1.0])), gradient_norm=1.0, clip=1.0,
        learning_rate=0.1, tokens=1, tokens_per_second=1.0, seconds_left=1.0,
    )  # fmt: skip
    assert kind_of(step) is LensStep
    assert LensEvaluation.thins
    assert kind_of(Step(0, 1, "")) is None
