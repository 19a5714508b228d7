"""A run of the command line and its replay, with true models."""

from __future__ import annotations

import json
import shutil

from mlxterp_tui.__main__ import main

import pytest


@pytest.fixture
def cli(capsys, monkeypatch):
    """(exit status, standard output, standard error) of a command line."""
    monkeypatch.delenv("MLXTERP_NO_LOG", raising=False)

    def run(*words):
        status = main([str(word) for word in words])
        return (status, *capsys.readouterr())

    return run


def test_a_lens_of_the_default_model_replays_without_drift(cli, home_with_model):
    prompt = "The capital of France is"
    said = ("--hypothesis", "Paris, from the last third on", "--target", " Paris")
    status, _, err = cli("run", "logit-lens", "--prompt", prompt, *said)
    assert (status, err.splitlines()[-1]) == (0, "run 1 recorded")
    status, out, err = cli("runs", "replay", 1, "--json")
    replayed = json.loads(out)
    assert (status, replayed["id"], replayed["of"]) == (0, 2, 1)
    assert set(replayed["drift"]) >= {"top_ids", "entropy", "kl", "target_rank"}
    assert set(replayed["drift"].values()) == {0.0}


def test_a_model_beside_the_asker_is_found_again_from_elsewhere_and_known_when_it_changed(
    cli, glass_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path / "home"))
    place = tmp_path / "place"
    shutil.copytree(glass_folder, place / "model")
    monkeypatch.chdir(place)
    words = ("run", "trace", "--prompt", "Alice was", "--model", "./model", "--sites", "logits")
    assert cli(*words)[0] == 0
    monkeypatch.chdir(tmp_path)
    status, out, _ = cli("runs", "replay", 1, "--json")
    assert (status, json.loads(out)["drift"]) == (0, {"token_ids": 0.0, "logits": 0.0})

    weights = place / "model" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-3] ^= 1  # a low bit of one weight
    weights.write_bytes(data)
    status, out, err = cli("runs", "replay", 1, "--json")
    assert (status, out) == (3, "")
    assert err.count(str(place / "model")) == 2
    assert "--any-model" in err
    assert len(json.loads(cli("runs", "list", "--json")[1])) == 2
    status, out, _ = cli("runs", "replay", 1, "--json", "--any-model")
    assert (status, json.loads(out)["of"]) == (0, 1)
