"""A result as a .npz file."""

from __future__ import annotations

import io
import time

from mlxterp_engine.runlog.npz import npz_bytes
from mlxterp_engine.techniques.npz import read_npz, write_npz

import logged
import numpy as np
import pytest


@pytest.fixture
def result():
    return logged.result(logged.request(), 1.5, float("nan"), headline="' Paris' `|`\n")


def test_it_holds_the_arrays_and_the_meta(result, tmp_path):
    (tmp_path / "a.npz").write_bytes(npz_bytes(result))
    meta, arrays = read_npz(tmp_path / "a.npz")
    assert meta == result.meta
    assert set(arrays) == set(result.arrays)
    assert np.array_equal(arrays["entropy"], np.array([1.5, np.nan], np.float32), equal_nan=True)
    with np.load(io.BytesIO(npz_bytes(result)), allow_pickle=False) as file:
        assert file["meta"].shape == ()


def test_whoever_writes_it_and_whenever_the_bytes_are_the_same(result, tmp_path, monkeypatch):
    write_npz(result, tmp_path / "a.npz")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert npz_bytes(result) == (tmp_path / "a.npz").read_bytes()
