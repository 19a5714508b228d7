"""Arrays on the wire: the same numbers on both sides, with numpy on one of them only."""

from mlxterp_engine.experiments import Array
from mlxterp_engine.techniques.npz import to_numpy

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

any_array = st.sampled_from(["float32", "int32", "bool"]).flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)


@given(any_array)
def test_an_array_survives_the_wire(values):
    sent = Array.of(values)
    came = msgspec.msgpack.decode(msgspec.msgpack.encode(sent), type=Array)
    assert came == sent
    assert np.array_equal(to_numpy(came), values, equal_nan=True)
    if not np.isnan(values).any():
        assert came.tolist() == values.tolist()


def test_a_cell_can_be_read_without_numpy():
    values = Array.of(np.arange(6, dtype=np.int32).reshape(2, 3)).values
    assert values[1, 2] == 5


def test_a_transposed_array_is_sent_in_its_own_order():
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert Array.of(turned).tolist() == turned.tolist()


def test_bytes_that_do_not_fit_the_shape_are_refused():
    with pytest.raises(ValueError, match=r"float32\[2\] holds 4 bytes; it should hold 8"):
        Array("float32", (2,), memoryview(bytes(4)))


def test_other_dtypes_are_refused_and_not_cut():
    with pytest.raises(ValueError, match="float64"):
        Array.of(np.zeros(2))
