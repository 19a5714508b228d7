"""The tiny model that comes along is glassllm's, to the last digit that float32 keeps."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from mlxterp_engine.models.catalogue import CATALOGUE, LAST_RESORT
from mlxterp_engine.models.fetch import fetch
from mlxterp_engine.models.tokenizer_folder import tokens_of_folder

import mlx.core as mx
import numpy as np
import pytest

ORACLE = np.load(Path(__file__).parents[2] / "fixtures" / "glass_oracle.npz")


def logits(folder: Path, ids: list[int]) -> np.ndarray:
    from mlx_lm.utils import load_model

    model, _ = load_model(folder)
    model.set_dtype(mx.float32)
    return np.array(model(mx.array([ids]))[0])


@pytest.mark.parametrize("case", range(4))
def test_logits_are_glassllms_own(glass_folder, case):
    expected = ORACLE[f"logits_{case}"]  # the last three positions
    found = logits(glass_folder, ORACLE[f"ids_{case}"].tolist())[-3:]
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("case", range(len(ORACLE["texts"])))
def test_ids_are_glassllms_own(glass_folder, case):
    text = str(ORACLE["texts"][case])
    assert tokens_of_folder(glass_folder).encode(text) == ORACLE[f"ids_{case}"].tolist()


@pytest.mark.skipif(not importlib.util.find_spec("glassllm"), reason="glassllm is not installed")
def test_glassllm_itself_agrees(glass_folder):
    from glassllm import load_pretrained

    model, own = load_pretrained("en")
    ids = own.encode("“Who are you?” said the Caterpillar.")
    assert tokens_of_folder(glass_folder).encode("“Who are you?” said the Caterpillar.") == ids
    expected = model.forward(ids).data[0]
    assert np.abs(logits(glass_folder, ids) - expected).max() < 1e-5 * np.abs(expected).max()


def test_mlx_lm_loads_the_folder_as_it_is(glass_folder):
    from mlx_lm import load

    model, tokenizer = load(str(glass_folder))[:2]
    assert tokenizer.encode("Alice was") == ORACLE["ids_0"].tolist()[:2]
    assert model.args.num_hidden_layers == 4


def test_it_has_no_bos_and_shows_its_text(glass_folder):
    tokens = tokens_of_folder(glass_folder)
    assert (tokens.bos_id, tokens.adds_bos) == (None, False)
    text = "The Queen\nsaid: off with his head"
    assert "".join(tokens.strings(tokens.encode(text))) == text


def test_it_comes_along_with_its_licence_and_is_small(glass_folder):
    assert "MIT License" in (glass_folder / "LICENSE").read_text()
    assert sum(file.stat().st_size for file in glass_folder.iterdir()) < 2_000_000
    assert os.path.samefile(glass_folder, CATALOGUE[LAST_RESORT].folder)


def test_it_needs_no_fetching(tmp_path):
    steps = fetch(LAST_RESORT, tmp_path)
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value.provenance == "comes with mlxterp-tui"
    assert list(tmp_path.iterdir()) == []
