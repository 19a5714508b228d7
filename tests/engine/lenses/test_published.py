"""Lenses of the package tuned-lens: which translator is which, and whose they are."""

import json
import shutil
from pathlib import Path

from mlxterp_engine import InterpretableModel, TunedLens, run
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.lenses import published
from mlxterp_engine.lenses.identity import unembedding_matrix
from mlxterp_engine.lenses.opening import open_lens

import mlx.core as mx
import msgspec
import numpy as np
import pytest

LENSES = Path(__file__).parents[2] / "fixtures" / "published_lenses"


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16", "older"])
def test_translator_i_is_that_of_the_input_of_block_i(name):
    """By hand: row 1 is for the input of block 1, our layer 0; h + W h + b."""
    found = published.read(LENSES / name)
    assert found.config.blocks == 3
    assert list(found.translators.layers) == [-1, 0, 1]
    state = mx.array([[1.0, 0.0, 0.0, 2.0]])
    # weight[i, j] = 4 row + i + j / 4, bias[i] = -row - i / 2
    by_hand = [1 + (4 + 2 * 4.75) - 1, (5 + 2 * 5.75) - 1.5, (6 + 2 * 6.75) - 2]
    by_hand.append(2 + (7 + 2 * 7.75) - 2.5)
    assert found.translators.translate(state, layer=0)[0].tolist() == by_hand


def test_a_lens_that_was_fitted_without_biases_has_none():
    found = published.read(LENSES / "without_bias").translators
    assert not np.array(found.bias).any()
    assert found.weight[2, 1, 0].item() == 9


@pytest.fixture
def lens(tmp_path) -> Path:
    shutil.copytree(LENSES / "older", tmp_path / "lens")
    return tmp_path / "lens"


def configured(lens: Path, **changes: object) -> Path:
    file = lens / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return lens


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lens_type": "mlp"}, "more than one affine map a layer"),
        ({"extra_layers": 1}, "more than one affine map a layer"),
        ({"reuse_unembedding": False}, "more than one affine map a layer"),
        ({"num_layers": 4}, "has no weight of translator 3; the file is not whole"),
        ({"num_layers": None}, "no sensible num_hidden_layers"),
        ({"num_layers": -1}, "no sensible num_hidden_layers"),
        ({"num_layers": 10**9}, "no sensible num_hidden_layers"),
        ({"d_model": 5}, "the weight of translator 0 is [4, 4] and should be [5, 5]"),
        ({"d_model": "wide"}, "config.json is no config of a tuned lens"),
    ],
)
def test_a_config_that_does_not_go_with_its_parameters_is_refused(lens, changes, words):
    with pytest.raises(BadInput) as refusal:
        published.read(configured(lens, **changes))
    assert words in str(refusal.value)


def test_tensors_of_something_else_are_refused(lens, monkeypatch):
    monkeypatch.setattr(published, "read_tensors", lambda *_: {"model.norm.weight": np.ones(4)})
    with pytest.raises(BadInput, match=r"holds no translators \(model.norm.weight\)"):
        published.read(lens)


def test_values_that_are_not_finite_are_refused(lens, monkeypatch):
    found = published.read_tensors(lens / "params.pt", 10**6)
    found["layer_adapters.1.bias"][2] = np.nan
    monkeypatch.setattr(published, "read_tensors", lambda *_: found)
    with pytest.raises(BadInput, match="bias of translator 2 holds values that are not finite"):
        published.read(lens)


@pytest.fixture
def of_tiny(tiny: InterpretableModel, tmp_path, monkeypatch) -> Path:
    """A lens of the tiny model as the package would have written it, all zeros."""
    card = tiny.card
    matrix = unembedding_matrix(tiny.net, tiny.anatomy)
    config = {
        "base_model_name_or_path": "glass",
        "d_model": card.d_model,
        "num_hidden_layers": card.layers,
        "unembed_hash": published.unembedding_hash(matrix),
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "params.pt").write_bytes(b"")
    zeros = {
        f"{row}.weight": np.zeros((card.d_model, card.d_model), np.float32)
        for row in range(card.layers)
    }
    monkeypatch.setattr(published, "read_tensors", lambda *_: zeros)
    return tmp_path


def opened(model: InterpretableModel, lens: Path):
    return open_lens(str(lens), model.card, model.net, model.anatomy)


def test_a_lens_with_the_models_unembedding_opens_and_nothing_stays_unchecked(tiny, of_tiny):
    lens = opened(tiny, of_tiny)
    assert (lens.kind, lens.unchecked) == ("tuned", "")
    found = run(TunedLens(prompt="Alice was", lens=str(of_tiny)), tiny)
    assert found.strings["lens"]["sha256"] == lens.sha256
    assert "unchecked" not in found.strings["lens"]


def test_a_lens_without_a_hash_opens_and_says_what_could_not_be_checked(tiny, of_tiny):
    found = run(TunedLens(prompt="x", lens=str(configured(of_tiny, unembed_hash=None))), tiny)
    assert "it keeps no hash" in found.strings["lens"]["unchecked"]


def test_another_unembedding_is_refused_unless_ours_is_quantised(tiny, of_tiny):
    configured(of_tiny, unembed_hash="f" * 64)
    with pytest.raises(BadInput, match="trained through another unembedding"):
        opened(tiny, of_tiny)
    card = msgspec.structs.replace(tiny.card, quantisation="4-bit")
    lens = open_lens(str(of_tiny), card, tiny.net, tiny.anatomy)
    assert "it is quantised here" in lens.unchecked


def test_a_lens_of_another_size_is_refused(smol, of_tiny):
    with pytest.raises(BadInput, match="is for glass with 4 blocks of width 128, and smollm2"):
        opened(smol, of_tiny)


def test_the_unembedding_is_the_matrix_that_the_normed_state_meets(tiny):
    matrix = unembedding_matrix(tiny.net, tiny.anatomy)
    unit = mx.zeros((1, tiny.card.d_model))
    unit[0, 5] = 1
    assert np.array(tiny.project(unit))[0].tolist() == matrix[:, 5].tolist()
