"""What a model is, read from its headers, and the hash of its weights."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.models import weights_hash
from mlxterp_engine.models.inspect_model import inspect, list_models
from mlxterp_engine.models.weights_hash import weights_sha256

import mlx.nn as nn
import numpy as np
import pytest
from safetensors.numpy import save_file

ARRAYS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(4, np.float16)}


def folder_of(path: Path, **files: dict[str, np.ndarray]) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    for name, arrays in files.items():
        save_file(arrays, path / f"{name.replace('_', '-')}.safetensors")
    return path


@pytest.fixture
def one_file(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "one", model=ARRAYS)


def test_the_hash_runs_over_names_types_shapes_and_bytes_in_order(one_file, tmp_path):
    expected = hashlib.sha256()
    for name, dtype in (("a", "F16"), ("b", "F32")):
        expected.update(json.dumps([name, dtype, list(ARRAYS[name].shape)]).encode())
        expected.update(ARRAYS[name].tobytes())
    assert weights_sha256(one_file, tmp_path) == expected.hexdigest()


def test_how_the_weights_are_spread_over_files_does_not_count(one_file, tmp_path):
    two = folder_of(tmp_path / "two", model_1={"b": ARRAYS["b"]}, model_2={"a": ARRAYS["a"]})
    assert weights_sha256(two, tmp_path) == weights_sha256(one_file, tmp_path)


@pytest.mark.parametrize(
    "other",
    [
        {"b": ARRAYS["b"] + 1e-6, "a": ARRAYS["a"]},
        {"b": ARRAYS["b"].reshape(3, 2), "a": ARRAYS["a"]},
        {"b": ARRAYS["b"].view(np.int32), "a": ARRAYS["a"]},
        {"c": ARRAYS["b"], "a": ARRAYS["a"]},
    ],
)
def test_every_change_of_the_weights_changes_it(one_file, tmp_path, other):
    changed = folder_of(tmp_path / "other", model=other)
    assert weights_sha256(changed, tmp_path) != weights_sha256(one_file, tmp_path)


def test_a_gguf_files_hash_is_the_files(default_model_file, default_model_cache):
    found = weights_sha256(default_model_file, default_model_cache)
    assert found == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def test_a_known_hash_is_remembered_until_the_file_changes(one_file, tmp_path, monkeypatch):
    first = weights_sha256(one_file, tmp_path)
    computed = []
    real = weights_hash._folder_hash
    monkeypatch.setattr(
        weights_hash, "_folder_hash", lambda path: computed.append(path) or real(path)
    )
    assert weights_sha256(one_file, tmp_path) == first
    assert computed == []

    save_file(ARRAYS | {"a": ARRAYS["a"] * 2}, one_file / "model.safetensors")  # as long as before
    os.utime(one_file / "model.safetensors", ns=(1, 1))
    assert weights_sha256(one_file, tmp_path) != first
    assert computed == [one_file]


def test_a_memory_that_is_lost_or_broken_does_no_harm(one_file, tmp_path):
    first = weights_sha256(one_file, tmp_path)
    (tmp_path / "hashes.json").write_text("{ broken")
    assert weights_sha256(one_file, tmp_path) == first
    assert weights_sha256(one_file, Path("/dev/null/nowhere")) == first


@pytest.mark.parametrize("keep", [0, 4, 20, -1])
def test_a_cut_safetensors_file_is_refused(one_file, tmp_path, keep):
    file = one_file / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    for look in (inspect, lambda path: weights_sha256(path, tmp_path)):
        with pytest.raises(BadInput, match="cut off or no safetensors file"):
            look(one_file)


def test_the_default_model_is_described_from_its_header(default_model_file):
    found = inspect(default_model_file)
    assert (found.architecture, found.parameters) == ("llama", 134_515_008)
    assert (found.quantisation, found.weight_bytes) == ("Q4_1", 98_362_432)
    assert found.licence == "apache-2.0"


def test_the_tiny_model_is_described_from_its_header(glass_folder):
    found = inspect(glass_folder)
    assert (found.architecture, found.parameters, found.quantisation) == ("llama", 852_608, "F16")
    assert (found.licence, found.config["num_hidden_layers"]) == ("MIT", 4)


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_packed_weights_are_counted_as_the_numbers_they_hold(tmp_path, bits):
    layer = nn.QuantizedLinear(128, 64, bias=True, group_size=32, bits=bits)
    arrays = {f"model.x.{name}": np.array(v) for name, v in layer.parameters().items()}
    folder = folder_of(tmp_path / "q", model=arrays)
    settings = {"group_size": 32, "bits": bits}
    (folder / "config.json").write_text(json.dumps({"quantization": settings}))

    found = inspect(folder)

    assert found.parameters == 128 * 64 + 64
    assert found.quantisation == f"{bits}-bit"


def test_a_licence_is_read_from_the_model_card(one_file):
    (one_file / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# Model\n")
    assert inspect(one_file).licence == "apache-2.0"


def test_the_catalogue_says_what_is_here(default_model_cache, tmp_path):
    here = {entry.reference: entry for entry in list_models(default_model_cache)}
    assert here["smollm2-135m"].available
    assert here["smollm2-135m"].download_bytes == 92_871_040
    assert here["glass-tiny"].path is not None
    elsewhere = {entry.reference: entry for entry in list_models(tmp_path)}
    assert (elsewhere["smollm2-135m"].available, elsewhere["smollm2-135m"].path) == (False, None)


def test_the_catalogue_tells_the_truth_about_its_models(default_model_cache):
    for entry in list_models(default_model_cache):
        found = inspect(Path(entry.path))
        assert (found.architecture, found.parameters) == (entry.architecture, entry.parameters)
        assert found.licence.lower() == entry.licence.lower()
