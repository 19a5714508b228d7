"""A lens of zeros is the logit lens to the bit; another is its two lines written out."""

from pathlib import Path

from mlxterp_engine import InterpretableModel, LogitLens, TunedLens, run
from mlxterp_engine.experiments import BadInput
from mlxterp_engine.lenses import folder, shelf
from mlxterp_engine.lenses.translators import Translators
from mlxterp_engine.techniques import logit_lens
from mlxterp_engine.techniques.execute import execute, price

import mlx.core as mx
import msgspec
import numpy as np
import pytest
from engine.lenses.made import description, of, random_translators, written

PROMPT = "The capital of France is"


def same(found, expected) -> bool:
    return {name: a.tobytes() for name, a in found.items()} == {
        name: a.tobytes() for name, a in expected.items()
    }


@pytest.mark.parametrize("name", ["tiny", "smol"])
def test_the_lens_before_its_first_step_is_the_logit_lens_to_the_bit(name, request, tmp_path):
    model = request.getfixturevalue(name)
    card = model.card
    written(tmp_path / "zero", model, Translators.zero(card.layers, card.d_model))
    tuned = run(TunedLens(prompt=PROMPT, lens=str(tmp_path / "zero"), target=" the"), model)
    assert same(tuned.arrays, run(LogitLens(prompt=PROMPT, target=" the"), model).arrays)
    assert tuned.strings["sites"][-1] == f"blocks.{card.layers - 1}.resid_post"


@pytest.fixture
def lens(tiny: InterpretableModel, tmp_path: Path) -> str:
    """A random lens of the tiny model."""
    written(tmp_path / "random", tiny)
    return str(tmp_path / "random")


@pytest.mark.parametrize("budget", [1, 4 * 1024 * 13, logit_lens.CHUNK_BYTES])
def test_every_row_is_its_own_map_and_the_last_has_none(tiny, lens, monkeypatch, budget):
    monkeypatch.setattr(logit_lens, "CHUNK_BYTES", budget)  # rows cut anywhere, or not at all
    found = run(TunedLens(prompt=PROMPT, lens=lens), tiny)
    _, translators = folder.read(Path(lens))
    weight, bias = np.array(translators.weight), np.array(translators.bias)
    activations = tiny.trace(PROMPT).activations
    for row, site in enumerate(found.strings["sites"]):
        state = np.array(activations[site][0])
        if row < len(weight):
            state = state + state @ weight[row].T + bias[row]
        probs = np.array(mx.softmax(tiny.unembed(mx.array(state)), axis=-1))
        assert found.arrays["top_probs"][row, :, 0] == pytest.approx(probs.max(-1), abs=1e-5)
    assert found.arrays["kl"][-1].tolist() == [0.0] * len(found.arrays["token_ids"])
    assert found.meta.contracts["lens_last_row"].ok


def test_the_result_says_which_lens_it_was(tiny, lens):
    found = run(TunedLens(prompt=PROMPT, lens=lens), tiny)
    said = found.strings["lens"]
    assert (said["name"], said["kind"]) == ("random", "ridge")
    assert len(said["sha256"]) == 64
    assert found.meta.headline.startswith("random: ")


def test_edits_come_before_the_lens_as_before_the_logit_lens(tiny, tmp_path):
    card = tiny.card
    written(tmp_path / "zero", tiny, Translators.zero(card.layers, card.d_model))
    edits = {
        "intervention": ["blocks.1.mlp_out=zero"],
        "patch": ["embed@2"],
        "patch_prompt": "tea tea",
    }
    tuned = run(TunedLens(prompt=PROMPT, lens=str(tmp_path / "zero"), **edits), tiny)
    plain = run(LogitLens(prompt=PROMPT, **edits), tiny)
    assert same(tuned.arrays, plain.arrays)
    assert tuned.meta.contracts["patch_changes"].ok


def test_a_lens_on_the_shelf_is_found_by_its_name(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path))
    written(shelf.lenses_folder() / "mine", tiny)
    assert run(TunedLens(prompt=PROMPT, lens="mine"), tiny).strings["lens"]["name"] == "mine"


def test_a_lens_that_was_written_anew_is_read_anew(tiny, lens):
    before = run(TunedLens(prompt=PROMPT, lens=lens), tiny)
    written(Path(lens), tiny, random_translators(4, 128, seed=7))
    after = run(TunedLens(prompt=PROMPT, lens=lens), tiny)
    assert not same(before.arrays, after.arrays)
    assert before.strings["lens"]["sha256"] != after.strings["lens"]["sha256"]


@pytest.mark.parametrize("state", ["resid_pre", "resid_mid"])
def test_states_that_it_was_not_fitted_to_are_refused(tiny, lens, state):
    with pytest.raises(BadInput, match=f"state is {state} and a tuned lens translates"):
        run(TunedLens(prompt=PROMPT, lens=lens, state=state), tiny)


def test_another_models_lens_is_refused_before_the_run_is_said_to_have_begun(tiny, tmp_path):
    other = msgspec.structs.replace(of(tiny), reference="other", sha256="d" * 64)
    folder.write(tmp_path / "theirs", random_translators(4, 128), description(other))
    with pytest.raises(BadInput, match="lens theirs was fitted to other"):
        next(execute(tiny, TunedLens(prompt=PROMPT, lens=str(tmp_path / "theirs"))))
    with pytest.raises(BadInput, match="there is no lens 'nobodys'"):
        next(execute(tiny, TunedLens(prompt=PROMPT, lens="nobodys")))


def test_the_price_counts_the_translators(tiny, lens):
    plain = price(tiny, LogitLens(prompt=PROMPT))
    tuned = price(tiny, TunedLens(prompt=PROMPT, lens=lens))
    assert plain.passes < tuned.passes < plain.passes + 1
    assert tuned.bytes - plain.bytes == 2 * 4 * 4 * 128 * 128
