"""Operations on arrays small enough to check by hand."""

from dataclasses import replace

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
        (iv.clamp(max_val=2), [[0, 1], [2, 2], [2, 2]]),
        (iv.compose(iv.scale(2), iv.add_vector(mx.array([1.0]))), [[1, 3], [5, 7], [9, 11]]),
        (iv.compose().add(iv.scale(2)).add(iv.scale(3)).build(), [[0, 6], [12, 18], [24, 30]]),
        (iv.noise(0.0), [[0, 1], [2, 3], [4, 5]]),
        (iv.project_out(mx.array([3.0, 0.0])), [[0, 1], [0, 3], [0, 5]]),
        (iv.set_along(mx.array([0.0, 0.5]), 7), [[0, 7], [2, 7], [4, 7]]),
        (iv.clamp_along(mx.array([0.0, -2.0]), max_val=-3), [[0, 3], [2, 3], [4, 5]]),
        (iv.clamp_along(mx.array([1.0, 0.0]), 1, 3), [[1, 1], [2, 3], [3, 5]]),
    ],
)
def test_an_operation_on_the_whole_site(operation, expected):
    assert iv.edit(RESID, operation).apply(X)[0].tolist() == expected


def test_positions_narrow_an_edit_and_leave_the_original_alone():
    edited = iv.edit(RESID, iv.at_positions([0, -1], iv.zero_out)).apply(X)
    assert edited[0].tolist() == [[0, 0], [2, 3], [0, 0]]
    assert X[0].tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("places", "touched"),
    [
        ([0, -1], [0, 2]),
        ([2, 2, -1], [2]),
        (slice(0, 2), [0, 1]),
        (slice(-2, None), [1, 2]),
        (slice(1, 99), [1, 2]),
        ("prompt", [0, 1, 2]),
    ],
)
def test_places_are_numbers_slices_and_words(places, touched):
    edited = iv.edit(RESID, iv.at_positions(places, iv.replace_with(-1.0))).apply(X)
    assert [row for row in range(3) if edited[0, row, 0].item() == -1] == touched


def test_heads_narrow_an_edit():
    x = mx.ones((1, 3, 2, 2))  # [batch, head, pos, d]
    edited = iv.edit(Site("attn.z", 0, (1,)), iv.at_positions([1], iv.scale(5))).apply(x)
    assert edited[0, :, :, 0].tolist() == [[1, 1], [1, 5], [1, 1]]
    edited = iv.edit(Site("attn.z", 0, (2, 0)), iv.at_positions([0, 1], iv.zero_out)).apply(x)
    assert edited[0, :, :, 1].tolist() == [[0, 0], [1, 1], [0, 0]]
    edited = iv.edit(Site("attn.z", 0, (0, 2)), iv.scale(3)).apply(x)
    assert edited[0, :, :, 1].tolist() == [[3, 3], [1, 1], [3, 3]]


def test_neurons_narrow_an_edit():
    x = mx.ones((1, 3, 4))  # [batch, pos, neuron]
    edited = iv.edit(Site("mlp.post", 0, (3, 1)), iv.add_vector(mx.array([1.0, 2.0]))).apply(x)
    assert edited[0].tolist() == [[1, 3, 1, 2]] * 3
    edited = iv.edit(Site("mlp.post", 0, (3,)), iv.at_positions([-1], iv.zero_out)).apply(x)
    assert edited[0].tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]]


def test_after_project_out_nothing_is_left_along_the_direction():
    x = mx.random.normal((1, 5, 64), key=mx.random.key(0))
    direction = mx.random.normal((64,), key=mx.random.key(1)) * 1e-30
    left = (iv.project_out(direction)(x) * (direction * 1e30)).sum(axis=-1)
    assert mx.abs(left).max().item() < 1e-5  # float32: 64 products of size 1


@pytest.mark.parametrize("dtype", [mx.bfloat16, mx.float16])
def test_a_direction_in_16_bits_stays_16_bits_and_is_computed_in_32(dtype):
    x = mx.random.normal((1, 3, 512), key=mx.random.key(0)).astype(dtype)
    direction = mx.random.normal((512,), key=mx.random.key(1))
    edited = iv.edit(RESID, iv.set_along(direction, 2.0)).apply(x)
    expected = iv.set_along(direction, 2.0)(x.astype(mx.float32)).astype(dtype)
    assert edited.dtype == dtype
    assert mx.array_equal(edited, expected)


def test_edits_can_be_differentiated():
    # Of 3x without its part along (1, 0), summed: 3 for the second entry, 0 for the first.
    chain = iv.compose(iv.scale(3), iv.project_out(mx.array([2.0, 0.0])))
    for what in (chain, iv.at_positions([0, 1, 2], chain)):
        gradient = mx.grad(lambda x, what=what: iv.edit(RESID, what).apply(x).sum())(X)
        assert gradient[0].tolist() == [[0, 3]] * 3


def test_noise_is_the_same_draw_for_the_same_seed_and_has_its_size():
    x = mx.zeros((1, 100, 100))
    first, again, other = (iv.noise(3.0, seed)(x) for seed in (1, 1, 2))
    assert mx.array_equal(first, again)
    assert not mx.array_equal(first, other)
    assert mx.std(first).item() == pytest.approx(3.0, rel=0.05)  # 10 000 draws: 1 % is 1.4 sd
    assert abs(mx.mean(first[:, :50] * first[:, 50:]).item()) < 9 * 0.05  # 5000 products: 3.5 sd


@pytest.mark.parametrize("shape", [(1, 6, 4), (1, 3, 6, 4)])
def test_noise_at_a_position_does_not_depend_on_what_else_is_in_the_call(shape):
    site = Site("attn.z", 0) if len(shape) == 4 else RESID
    what = iv.compose(iv.noise(1.0, 5), iv.scale(2))
    whole = iv.edit(site, what).apply(mx.zeros(shape))
    tail = iv.edit(site, what).apply(mx.zeros((*shape[:-2], 2, 4)), first=4)
    some = iv.edit(site, iv.at_positions([4, 5], what)).apply(mx.zeros(shape))
    rows = iv.edit(site, what).apply(mx.zeros((2, *shape[1:])))
    assert mx.array_equal(tail, whole[..., 4:, :])
    assert mx.array_equal(some[..., 4:, :], whole[..., 4:, :])
    assert mx.array_equal(rows[1:], whole)


def test_a_part_of_a_call_takes_the_positions_that_fall_into_it():
    what = iv.edit(RESID, iv.at_positions([1, slice(4, None)], iv.zero_out)).resolved(4, 6)
    assert what.apply(X, first=3, partial=True)[0].tolist() == [[0, 1], [0, 0], [0, 0]]
    assert what.apply(X, first=0, partial=True)[0].tolist() == [[0, 1], [0, 0], [4, 5]]
    assert [what.reaches(first, 1) for first in range(6)] == [
        False,
        True,
        *[False] * 2,
        *[True] * 2,
    ]


def test_resolved_positions_no_longer_depend_on_where_the_call_ends():
    def at(what):
        edit = iv.edit(RESID, iv.at_positions(what, iv.zero_out)).resolved(prompt=4, read=6)
        return [first for first in range(6) if edit.reaches(first, 1)]

    assert at(-1) == [3]
    assert at("prompt") == [0, 1, 2, 3]
    assert at("new") == [4, 5]
    assert at(slice(-2, None)) == [2, 3, 4, 5]
    assert at(slice(None, -3)) == [0]
    assert at(5) == [5]


@pytest.mark.parametrize(
    ("places", "words"),
    [
        (6, "position 6 is outside what this run reads"),
        (-5, "position -5 is outside"),
        (slice(2, 2), "position 2:2 is outside"),
    ],
)
def test_positions_that_a_generation_never_reads_are_refused(places, words):
    what = iv.edit(RESID, iv.at_positions(places, iv.zero_out))
    with pytest.raises(BadInput) as refusal:
        what.resolved(prompt=4, read=6)
    assert words in str(refusal.value)
    assert "blocks.0.resid_post" in str(refusal.value)


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (iv.add_vector(mx.zeros(3)), "add_vector got an array of (3,)"),
        (lambda x: x[:, :1], "an operation keeps the shape"),
        (iv.at_positions([3], iv.zero_out), "positions go from 0 to 2"),
        (iv.at_positions([0, -4], iv.zero_out), "position -4 is outside the prompt"),
        (iv.at_positions(slice(3, 5), iv.zero_out), "position 3:5 is outside the prompt"),
        (iv.at_positions("new", iv.zero_out), "no new token is read in this run"),
        (iv.project_out(mx.ones(3)), "a direction of 3 numbers"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(operation, words):
    with pytest.raises(BadInput) as refusal:
        iv.edit(RESID, operation).apply(X)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: iv.clamp(), "clamp has neither bound"),
        (lambda: iv.compose()(mx.ones(2)), "would change nothing"),
        (lambda: iv.clamp(2, 1), "clamp from 2 to 1 is empty"),
        (lambda: iv.clamp_along(mx.ones(2)), "clamp_along has neither bound"),
        (lambda: iv.clamp_along(mx.ones(2), 2, 1), "clamp_along from 2 to 1 is empty"),
        (lambda: iv.project_out(mx.zeros(2)), "without a length (its largest entry is 0.0)"),
        (lambda: iv.set_along(mx.array([1.0, float("nan")]), 0), "entry is nan"),
        (lambda: iv.project_out(mx.ones((2, 2))), "one direction [d]"),
        (lambda: iv.noise(float("nan")), "std is nan"),
        (lambda: iv.noise(1.0, -1), "seed is -1"),
        (lambda: iv.at_positions("last", iv.zero_out), "'last' mean nothing"),
        (lambda: iv.at_positions([], iv.zero_out), "no positions"),
        (lambda: iv.at_positions(slice(0, 4, 2), iv.zero_out), "0:4 skip some"),
    ],
)
def test_an_operation_without_sense_is_refused_when_it_is_made(make, words):
    with pytest.raises(BadInput) as refusal:
        make()
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("site", "shape"),
    [
        (RESID, (1, 3, 2)),
        (Site("attn.z", 0), (1, 2, 3, 2)),
        (Site("attn.pattern", 0), (1, 2, 3, 3)),
    ],
)
def test_a_row_of_a_padded_batch_is_edited_as_if_it_ran_alone(site, shape):
    x = mx.random.normal((2, *shape[1:]), key=mx.random.key(0))
    mixing = iv.at_positions([0, -1], lambda x: x - x.mean(axis=-2, keepdims=True))
    alone = iv.edit(site, mixing)
    both = replace(alone, lengths=(3, 2)).apply(x)
    own = iv.own_tokens(site, 1, 2)
    assert mx.array_equal(both[:1], alone.apply(x[:1]))
    assert mx.array_equal(both[own], alone.apply(x[own]))
    assert mx.array_equal(both[1:, ..., 2:, :], x[1:, ..., 2:, :])
