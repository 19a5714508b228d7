"""Lenses and patchscopes in Python give what the experiments of the same names give."""

from pathlib import Path

from mlxterp_engine import InterpretableModel, Patchscope, TunedLens, run
from mlxterp_engine.experiments import BadInput

import mlx.core as mx
import numpy as np
import pytest
from engine.lenses.made import written

TEXT = "Alice was beginning"


@pytest.fixture
def folder(tiny: InterpretableModel, tmp_path: Path) -> Path:
    written(tmp_path / "lens", tiny)
    return tmp_path / "lens"


def test_the_tuned_lens_predicts_as_the_experiment(tiny, folder):
    rows = tiny.tuned_lens(TEXT, tiny.load_tuned_lens(folder), top_k=3)
    arrays = run(TunedLens(prompt=TEXT, lens=str(folder), top_k=3), tiny).arrays
    assert list(rows) == [0, 1, 2, 3]
    for layer, row in rows.items():
        ids = [[token for token, _, _ in best] for best in row]
        assert ids == arrays["top_ids"][layer + 1].tolist()
        assert row[0][0][2] == tiny.token_to_str(ids[0][0])


def test_a_lens_may_be_named_and_one_position_of_some_layers_asked_for(tiny, folder, capsys):
    whole = tiny.tuned_lens(TEXT, folder, top_k=2)
    last = tiny.tuned_lens(TEXT, str(folder), 2, layers=[3, 0], position=-1, plot=True)
    assert list(last) == [3, 0]
    for layer, row in last.items():
        assert [ids(best) for best in row] == [ids(whole[layer][-1])]
    assert "top token" in capsys.readouterr().out


def ids(best: list) -> list[int]:
    return [token for token, _, _ in best]


def test_a_lens_is_called_with_a_state_and_its_layer(tiny, folder):
    lens = tiny.load_tuned_lens(folder)
    state = tiny.trace(TEXT).activations["blocks.1.resid_post"]
    assert mx.array_equal(lens(state, 1), lens.translators.translate(state, 1))
    assert mx.array_equal(lens(state, 3), state)  # the last block's is the end itself
    for layer in (-2, 4):
        with pytest.raises(BadInput, match=f"layer {layer} is none of this lens's"):
            lens(state, layer)


def test_what_is_no_lens_of_this_model_is_refused(tiny, smol, folder):
    with pytest.raises(BadInput, match="fitted to glass-tiny"):
        smol.load_tuned_lens(folder)
    with pytest.raises(BadInput, match="there is no lens 'nobodys'"):
        tiny.tuned_lens(TEXT, "nobodys")
    with pytest.raises(BadInput, match="layer 4 was asked for"):
        tiny.tuned_lens(TEXT, folder, layers=[4])


def test_a_patchscope_writes_as_the_experiment(tiny):
    asked = {"site": "blocks.2.resid_post", "position": 1, "target_layer": 0, "max_tokens": 5}
    written_on = tiny.patchscope(TEXT, target_prompt="tea -> tea\nx", **asked)
    found = run(Patchscope(prompt=TEXT, target_prompt="tea -> tea\nx", **asked), tiny)
    assert written_on.text == found.meta.text
    assert np.array(written_on.token_ids).tolist() == found.arrays["token_ids"].tolist()


def test_a_patchscope_refuses_what_the_experiment_refuses(tiny):
    with pytest.raises(BadInput, match="position 9 is outside the prompt"):
        tiny.patchscope(TEXT, "embed", position=9)
    with pytest.raises(BadInput, match="no block 7"):
        tiny.patchscope(TEXT, "blocks.1.resid_post", target_layer=7)
