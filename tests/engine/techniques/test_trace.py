"""`trace`: the arrays under their sites' names, edited in words."""

from mlxterp_engine import Trace, run
from mlxterp_engine.experiments import BadInput
from mlxterp_engine.techniques import trace

import numpy as np
import pytest

TEXT = "Alice was beginning"


def test_arrays_carry_their_sites_names_without_a_batch_axis(tiny):
    found = run(Trace(prompt=TEXT, sites=["blocks.0.attn.*", "logits"]), tiny)
    pos = len(tiny.encode(TEXT))
    shapes = {name: array.shape for name, array in found.arrays.items()}
    assert shapes == {
        "token_ids": (pos,),
        "blocks.0.attn.q": (4, pos, 32),
        "blocks.0.attn.k": (2, pos, 32),
        "blocks.0.attn.v": (2, pos, 32),
        "blocks.0.attn.pattern": (4, pos, pos),
        "blocks.0.attn.z": (4, pos, 32),
        "logits": (pos, 1024),
    }
    assert found.meta.contracts["trace_identity"].error == 0


def test_interventions_in_words_do_what_they_say(tiny, tmp_path):
    vector = np.arange(128, dtype=np.float32)
    np.savez(tmp_path / "v.npz", vector=vector)
    sites = ["blocks.1.mlp_out", "blocks.2.resid_post", "blocks.0.attn.z"]
    clean = run(Trace(prompt=TEXT, sites=sites), tiny).arrays
    edited = run(
        Trace(
            prompt=TEXT,
            sites=[*sites],
            intervention=[
                "blocks.0.attn.z[2]=zero",
                "blocks.1.mlp_out=replace:0.5@-1",
                f"blocks.2.resid_post=scale:0+add:{tmp_path / 'v.npz'}*2.0",
            ],
        ),
        tiny,
    ).arrays
    assert (edited["blocks.0.attn.z"][2] == 0).all()
    assert (edited["blocks.0.attn.z"][1] == clean["blocks.0.attn.z"][1]).all()
    assert (edited["blocks.1.mlp_out"][-1] == 0.5).all()
    assert (edited["blocks.2.resid_post"] == 2 * vector).all()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("blocks.0.mlp_out", "is not SITE=OPERATION"),
        ("blocks.0.mlp_out=double", "operation 'double'"),
        ("blocks.0.mlp_out=scale:big", "'big'"),
        ("blocks.0.mlp_out=scale:nan", "not finite"),
        ("blocks.0.mlp_out=add:missing.npz", "missing.npz"),
        ("blocks.0.mlp_out=zero@first", "positions 'first'"),
        ("blocks.0.mlp_out=zero@99", "outside the prompt"),
        ("blocks.9.mlp_out=zero", "blocks go from 0 to 3"),
    ],
)
def test_a_wrong_intervention_is_refused_in_words(tiny, spec, words):
    with pytest.raises(BadInput) as refusal:
        run(Trace(prompt=TEXT, sites=["embed"], intervention=[spec]), tiny)
    assert words in str(refusal.value)


def test_the_price_counts_the_bytes_that_are_recorded(tiny):
    from mlxterp_engine.techniques.execute import price

    pos = len(tiny.encode(TEXT))
    # 4 bytes, three copies at the peak
    assert price(tiny, Trace(prompt=TEXT, sites=["embed"])).bytes == 3 * 4 * pos * 128


def test_a_result_too_large_to_hand_over_is_refused_before_it_is_computed(tiny, monkeypatch):
    monkeypatch.setattr(trace, "LARGEST", 1000)
    with pytest.raises(BadInput, match="record fewer sites"):
        run(Trace(prompt=TEXT, sites=["embed"]), tiny)
