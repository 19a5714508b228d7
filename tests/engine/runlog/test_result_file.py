"""A file is what was written, whole, or it is refused."""

import os

from mlxterp_engine.experiments import Array
from mlxterp_engine.runlog import result_file

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file

ARRAYS = {
    "entropy": Array.of(np.array([[1.5, np.nan, -0.0]], dtype=np.float32)),
    "top_ids": Array.of(np.array([7, -1], dtype=np.int32)),
    "kept": Array.of(np.array([True, False, True])),
    "total": Array.of(np.float32(2.5)),
    "none": Array.of(np.zeros((0, 3), dtype=np.float32)),
}
TEXTS = {"__meta__": b"\x81\xa1a\x01", "__strings__": b"\x80"}


@pytest.fixture
def path(tmp_path):
    result_file.write(tmp_path / "1.safetensors", ARRAYS, TEXTS)
    return tmp_path / "1.safetensors"


def contents(path):
    read = result_file.read(path)
    return read.arrays, {name: bytes(text) for name, text in read.texts.items()}


def test_it_comes_back_as_it_was(path):
    assert contents(path) == (ARRAYS, TEXTS)


arrays = hnp.arrays(
    st.sampled_from([np.float32, np.int32, np.bool_]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.text(min_size=1, max_size=8), arrays, max_size=4), st.binary(max_size=40))
def test_any_arrays_under_any_names_come_back(tmp_path_factory, made, text):
    path = tmp_path_factory.mktemp("any") / "1.safetensors"
    named = {f"a.{name}": Array.of(values) for name, values in made.items()}
    result_file.write(path, named, {"__meta__": text})
    assert contents(path) == (named, {"__meta__": text})


def test_the_safetensors_library_reads_the_same(path):
    loaded = load_file(path)
    for name, array in ARRAYS.items():
        assert loaded[name].shape == array.shape
        assert loaded[name].tobytes() == bytes(array.data)
    assert loaded["__meta__"].tobytes() == TEXTS["__meta__"]


def test_the_digest_tells_names_dtypes_shapes_and_bytes_apart():
    of = result_file.digest
    ones = Array.of(np.ones((2, 3), dtype=np.int32))
    others = [
        {"b": ones},
        {"a": Array.of(np.ones((3, 2), dtype=np.int32))},
        {"a": Array("float32", ones.shape, ones.data)},
        {"a": Array.of(np.zeros((2, 3), dtype=np.int32))},
        {"a": ones, "b": ones},
    ]
    assert len({of({"a": ones}), *map(of, others)}) == 6
    assert of({"a": ones, "b": others[1]["a"]}) == of({"b": others[1]["a"], "a": ones})


def test_no_changed_bit_goes_unnoticed(path):
    """Each byte of the file in turn: refused, or (the header's spare digest) of no effect."""
    whole = path.read_bytes()
    unnoticed = 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            assert contents(path) == (ARRAYS, TEXTS)
            unnoticed += 1
        except result_file.Damaged:
            pass
    assert unnoticed <= 64 + len("arrays")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_refused(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(result_file.Damaged):
        result_file.read(path)


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 100, b"PK\x03\x04" + bytes(100)])
def test_a_foreign_file_is_refused(path, data):
    path.write_bytes(data)
    with pytest.raises(result_file.Damaged):
        result_file.read(path)


def test_a_write_that_fails_leaves_what_was_there_and_nothing_beside_it(path, monkeypatch):
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        result_file.write(path, {}, TEXTS)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
