"""How far one result lies from another, by hand-checked numbers."""

import math

from mlxterp_engine.experiments import Array, Contract
from mlxterp_engine.runlog import compare as module
from mlxterp_engine.runlog.compare import compare

import msgspec
import numpy as np
import pytest
from logged import request, result

INF, NAN = float("inf"), float("nan")


def made(**arrays):
    values = {name: Array.of(np.array(value)) for name, value in arrays.items()}
    return msgspec.structs.replace(result(request()), arrays=values)


def f32(*values):
    return np.array(values, dtype=np.float32)


def i32(*values):
    return np.array(values, dtype=np.int32)


def test_a_result_is_the_same_as_itself_with_its_nans_and_infinities():
    one = made(kl=f32(1, NAN, INF, -INF), ids=i32(1, 2), kept=np.array([True]))
    comparison = compare(one, one)
    assert comparison.drift == {"kl": 0.0, "ids": 0.0, "kept": 0.0}
    assert comparison.same
    assert comparison.fields == comparison.unlike == {}


@pytest.mark.parametrize(
    ("first", "second", "drift", "difference"),
    [
        (f32(1, 2), f32(1.5, 1.75), 0.5, [0.5, -0.25]),
        (f32(1, NAN), f32(0, NAN), 1.0, [-1.0, 0.0]),
        (i32(-3, 4), i32(5, 4), 8.0, [8.0, 0.0]),
        (i32(2**31 - 1), i32(-(2**31)), 2.0**32 - 1, [-(2.0**32)]),
        (np.array([True, False]), np.array([True, True]), 1.0, [0.0, 1.0]),
        (f32(INF), f32(-INF), INF, [-INF]),
        (f32(), f32(), 0.0, []),
    ],
)
def test_drift_is_the_largest_difference_and_the_second_less_the_first_is_kept(
    first, second, drift, difference
):
    comparison = compare(made(kl=first), made(kl=second))
    assert comparison.drift == {"kl": drift}
    assert comparison.differences["kl"].tolist() == difference
    assert comparison.same is (drift == 0)


def test_a_nan_in_one_of_the_two_is_no_drift_that_can_be_named():
    comparison = compare(made(kl=f32(1, NAN, NAN)), made(kl=f32(1, 2, NAN)))
    assert math.isnan(comparison.drift["kl"])
    assert comparison.unlike == {"kl": "1 cell is NaN in one of the two"}
    assert not comparison.same
    assert math.isnan(comparison.differences["kl"].tolist()[1])


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ({"a": f32(1)}, {}, "only the first has it"),
        ({}, {"a": f32(1)}, "only the second has it"),
        ({"a": f32(1, 2)}, {"a": f32(1)}, "the shapes differ: 2 and 1"),
        ({"a": np.zeros((2, 3), np.int32)}, {"a": i32(1)}, "the shapes differ: 2×3 and 1"),
        ({"a": f32(1)}, {"a": i32(1)}, "the dtypes differ: float32 and int32"),
    ],
)
def test_arrays_that_can_not_be_subtracted_are_named_with_the_reason(first, second, why):
    comparison = compare(made(b=f32(1), **first), made(b=f32(1), **second))
    assert comparison.unlike == {"a": why}
    assert math.isnan(comparison.drift["a"])
    assert comparison.drift["b"] == 0.0
    assert list(comparison.differences) == ["b"]
    assert not comparison.same


def test_what_else_differs_is_told_field_by_field_and_times_are_not():
    one = result(request("a", seed=1), headline="x", elapsed_s=1.0, load_s=2.0)
    contracts = {"lens_last_row": Contract(0.5, 1.0, True)}
    other = result(request("b", seed=1), headline="y", elapsed_s=3.0, contracts=contracts)
    other = msgspec.structs.replace(other, strings={"top_tokens": [" Rome"]})
    assert compare(one, other).fields == {
        "experiment.prompt": ("a", "b"),
        "headline": ("x", "y"),
        "strings.top_tokens": ("[' Paris']", "[' Rome']"),
        "contracts.lens_last_row.error": ("—", "0.5"),
        "contracts.lens_last_row.tolerance": ("—", "1.0"),
        "contracts.lens_last_row.ok": ("—", "True"),
    }


def test_differences_too_large_to_send_are_named_and_their_drift_stays(monkeypatch):
    monkeypatch.setattr(module, "LARGEST_DIFFERENCES", 12)
    large, small = f32(1, 2, 3, 4), f32(1, 2, 3)
    comparison = compare(made(large=large, small=small), made(large=large + 1, small=small + 2))
    assert comparison.drift == {"large": 1.0, "small": 2.0}
    assert comparison.left_out == ("large",)
    assert list(comparison.differences) == ["small"]
