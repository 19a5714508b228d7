"""Interventions in words mean the operation and the places that they name."""

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.tracing.sites import BlockSites, SiteTable
from mlxterp_engine.tracing.spoken import parse_edit

import mlx.core as mx
import numpy as np
import pytest

TABLE = SiteTable("toy", [BlockSites(heads=2, kv_heads=1, neurons=8)] * 2, {})
X = mx.arange(6, dtype=mx.float32).reshape(1, 3, 2)  # [[0, 1], [2, 3], [4, 5]]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Files named without a folder lie here: v = (0, 2), and one with a plus and an @."""
    monkeypatch.chdir(tmp_path)
    for name in ("v.npz", "my+zero@v.npz"):
        np.savez(name, vector=np.array([0.0, 2.0]))
    np.savez("other.npz", direction=np.ones(2))
    np.savez("nan.npz", vector=np.array([0.0, np.nan]))
    np.savez("null.npz", vector=np.zeros(2))
    np.save("single.npy", np.ones(2))
    (tmp_path / "text.npz").write_text("no zip")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "v.npz").read_bytes()[:40])


def edited(words):
    return parse_edit(f"blocks.0.resid_post={words}", TABLE).apply(X)[0].tolist()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("zero", [[0, 0], [0, 0], [0, 0]]),
        ("scale:1e+1", [[0, 10], [20, 30], [40, 50]]),
        ("scale:2+zero", [[0, 0], [0, 0], [0, 0]]),
        ("zero + add:v.npz", [[0, 2]] * 3),
        ("add:v.npz*-0.5", [[0, 0], [2, 2], [4, 4]]),
        ("add:my+zero@v.npz*2+scale:2@-1", [[0, 1], [2, 3], [8, 18]]),
        ("replace:v.npz@prompt", [[0, 2]] * 3),
        ("replace:-1@0,-1", [[-1, -1], [2, 3], [-1, -1]]),
        ("zero@0:2", [[0, 0], [0, 0], [4, 5]]),
        ("zero@-2:", [[0, 1], [0, 0], [0, 0]]),
        ("zero@:1,2", [[0, 0], [2, 3], [0, 0]]),
        ("clamp:1:4", [[1, 1], [2, 3], [4, 4]]),
        ("clamp::2", [[0, 1], [2, 2], [2, 2]]),
        ("project:v.npz", [[0, 0], [2, 0], [4, 0]]),
        ("set-along:v.npz:-3", [[0, -3], [2, -3], [4, -3]]),
        ("clamp-along:v.npz:2:4", [[0, 2], [2, 3], [4, 4]]),
        ("clamp-along:v.npz:2:+set-along:v.npz:1@1", [[0, 1], [2, 1], [4, 5]]),
        ("noise:0:3", [[0, 1], [2, 3], [4, 5]]),
    ],
)
def test_words_do_what_they_say(words, expected):
    assert edited(words) == expected


@pytest.mark.parametrize("seed", ["", ":7"])
def test_noise_in_words_is_noise_with_that_seed(seed):
    drawn = mx.array(edited(f"noise:2{seed}")) - X[0]
    assert not mx.array_equal(drawn, mx.array(edited("noise:2:8")) - X[0])
    assert edited(f"noise:2{seed}") == edited(f"noise:2{seed or ':0'}")


def test_parts_and_positions_come_through():
    edit = parse_edit("blocks.1.mlp.post[5,-1]=scale:3@new,2", TABLE)
    assert edit.site.part == (5, 7)
    assert edit.positions == ("new", 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("blocks.0.mlp_out", "is not SITE=OPERATION"),
        ("blocks.0.mlp_out=", "is not SITE=OPERATION"),
        ("blocks.0.mlp_out=double", "operation 'double'"),
        ("blocks.0.mlp_out=zero+double", "operation 'zero+double'"),
        ("blocks.0.mlp_out=zero:1", "zero in"),
        ("blocks.0.mlp_out=scale:big", "'big'"),
        ("blocks.0.mlp_out=scale:", "'' in"),
        ("blocks.0.mlp_out=scale:inf", "not finite"),
        ("blocks.0.mlp_out=noise:1:1.5", "seed '1.5'"),
        ("blocks.0.mlp_out=clamp:1", "bounds '1'"),
        ("blocks.0.mlp_out=clamp::", "neither bound"),
        ("blocks.0.mlp_out=clamp-along:v.npz", "FILE.npz:LEAST:MOST"),
        ("blocks.0.mlp_out=clamp-along:v.npz:2:1", "from 2.0 to 1.0 is empty"),
        ("blocks.0.mlp_out=set-along:v.npz", "is not FILE.npz:VALUE"),
        ("blocks.0.mlp_out=project:null.npz", "without a length"),
        ("blocks.0.mlp_out=add:other.npz", "holds direction; an array 'vector'"),
        ("blocks.0.mlp_out=add:nan.npz", "not finite"),
        ("blocks.0.mlp_out=add:none.npz", "none.npz"),
        ("blocks.0.mlp_out=add:text.npz", "is no .npz file"),
        ("blocks.0.mlp_out=add:cut.npz", "is no .npz file"),
        ("blocks.0.mlp_out=add:single.npy", "is no .npz file"),
        ("blocks.0.mlp_out=zero@first", "positions 'first'"),
        ("blocks.0.mlp_out=zero@0:x", "positions '0:x'"),
        ("blocks.0.mlp_out=zero@", "positions ''"),
        ("blocks.2.mlp_out=zero", "blocks go from 0 to 1"),
    ],
)
def test_a_wrong_intervention_is_refused_in_words(text, words):
    with pytest.raises(BadInput) as refusal:
        parse_edit(text, TABLE)
    assert words in str(refusal.value)
