"""`run generate` and `run attention` as their users meet them."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

PROMPT = "Alice was beginning to get"
PATIENCE = 240.0


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Folders of our own; files named without a folder lie in them."""
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def run(*words):
    """(exit status, standard output, last line of standard error)"""
    command = [sys.executable, "-m", "mlxterp_tui", "run", *words, "--model", "glass-tiny"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stdout, done.stderr.splitlines()[-1]


def test_a_generation_goes_to_json_and_to_a_file_alike(tmp_path):
    np.savez("v.npz", vector=np.arange(128))
    steered = "blocks.1.resid_post=add:v.npz*0.05@new"
    status, out, _ = run(
        *("generate", "--prompt", PROMPT, "--max-tokens", "6", "--temperature", "0.8"),
        *("--top-p", "0.9", "--seed", "3", "--intervention", steered, "--json", "--out", "g.npz"),
    )
    assert status == 0
    printed = json.loads(out)
    with np.load("g.npz") as file:
        assert file["token_ids"].tolist() == printed["token_ids"]
        assert (file["token_ids"].dtype, file["logprobs"].dtype) == (np.int32, np.float32)
        meta = json.loads(str(file["meta"]))
    assert meta["text"] == printed["meta"]["text"] == "".join(printed["tokens"])
    assert meta["experiment"]["intervention"] == [steered]
    assert meta["contracts"]["cache_equals_full"]["ok"]


def test_patterns_of_the_layers_asked_for_go_to_a_file():
    status, _, told = run("attention", "--prompt", PROMPT, "--layers", "3,1", "--out", "a.npz")
    assert (status, "a.npz" in told) == (0, True)
    with np.load("a.npz") as file:
        assert file["layers"].tolist() == [3, 1]
        assert np.allclose(file["pattern"].sum(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("generate", "--max-tokens", "0"), "max_tokens is 0; give a whole number from 1"),
        (("generate", "--max-tokens", "500"), "reads at most 128 in all; lower max_tokens"),
        (("attention", "--layers", "9"), "has no block 9: blocks go from 0 to 3"),
    ],
)
def test_bad_values_are_told_in_a_sentence_and_nothing_is_written(tmp_path, words, sentence):
    status, out, told = run(*words, "--prompt", PROMPT, "--out", "bad.npz")
    assert (status, out) == (2, "")
    assert sentence in told
    assert not (tmp_path / "bad.npz").exists()
