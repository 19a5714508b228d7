"""Operations on arrays small enough to check by hand."""

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.tracing import interventions as iv
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import pytest

RESID = Site("resid_post", 0)
X = mx.arange(6, dtype=mx.float32).reshape(1, 3, 2)  # [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (iv.zero_out, [[0, 0], [0, 0], [0, 0]]),
        (iv.scale(2), [[0, 2], [4, 6], [8, 10]]),
        (iv.add_vector(mx.array([10.0, 20.0])), [[10, 21], [12, 23], [14, 25]]),
        (iv.replace_with(mx.array([7.0, 8.0])), [[7, 8], [7, 8], [7, 8]]),
        (iv.replace_with(1.5), [[1.5, 1.5]] * 3),
        (iv.clamp(1, 4), [[1, 1], [2, 3], [4, 4]]),
        (iv.clamp(most=2), [[0, 1], [2, 2], [2, 2]]),
        (iv.compose(iv.scale(2), iv.add_vector(mx.array([1.0]))), [[1, 3], [5, 7], [9, 11]]),
        (iv.noise(0.0), [[0, 1], [2, 3], [4, 5]]),
    ],
)
def test_an_operation_on_the_whole_site(operation, expected):
    assert iv.edit(RESID, operation).apply(X)[0].tolist() == expected


def test_positions_narrow_an_edit_and_leave_the_original_alone():
    edited = iv.edit(RESID, iv.at_positions([0, -1], iv.zero_out)).apply(X)
    assert edited[0].tolist() == [[0, 0], [2, 3], [0, 0]]
    assert X[0].tolist() == [[0, 1], [2, 3], [4, 5]]


def test_a_head_narrows_an_edit():
    x = mx.ones((1, 3, 2, 2))  # [batch, head, pos, d]
    edited = iv.edit(Site("attn.z", 0, 1), iv.at_positions([1], iv.scale(5))).apply(x)
    assert edited[0, :, :, 0].tolist() == [[1, 1], [1, 5], [1, 1]]


def test_noise_is_the_same_draw_for_the_same_seed_and_has_its_size():
    x = mx.zeros((1, 100, 100))
    first, again, other = (iv.noise(3.0, seed)(x) for seed in (1, 1, 2))
    assert mx.array_equal(first, again)
    assert not mx.array_equal(first, other)
    assert mx.std(first).item() == pytest.approx(3.0, rel=0.05)  # 10 000 draws: 1 % is 1.4 sd


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (iv.add_vector(mx.zeros(3)), "add_vector got an array of (3,)"),
        (lambda x: x[:, :1], "an operation keeps the shape"),
        (iv.at_positions([3], iv.zero_out), "positions go from 0 to 2"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(operation, words):
    with pytest.raises(BadInput) as refusal:
        iv.edit(RESID, operation).apply(X)
    assert words in str(refusal.value)


def test_clamp_without_sense_is_refused():
    with pytest.raises(BadInput, match="neither bound"):
        iv.clamp()
    with pytest.raises(BadInput, match="empty"):
        iv.clamp(2, 1)
