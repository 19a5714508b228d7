"""The optimisers against the published package's, whose numbers torch computed."""

from mlxterp_engine.lenses import optimizers

import mlx.core as mx
import numpy as np
import pytest
from engine.lenses.recipe_of_the_package import GRADIENTS, START, STEPS, trained

# After each of three steps, from recipe_of_the_package.py.
OF_THE_PACKAGE = {
    "sgd": {
        "a": [
            [0.4025082290172577, -0.8699476718902588, 1.9833872318267822],
            [0.3734823763370514, -0.8354085683822632, 1.9822144508361816],
            [0.3735044300556183, -0.8320344090461731, 1.974323034286499],
        ],
        "b": [
            [0.2174869179725647, -0.06493117660284042, -0.6849263310432434],
            [0.20821881294250488, -0.09604374319314957, -0.6726782917976379],
            [0.15286046266555786, -0.08144973963499069, -0.6848375201225281],
        ],
    },
    "adam": {
        "a": [
            [0.49900001287460327, -0.9990000128746033, 1.9989999532699585],
            [0.498543381690979, -0.9985672831535339, 1.9987258911132812],
            [0.4984569847583771, -0.9984668493270874, 1.998496413230896],
        ],
        "b": [
            [0.24899999797344208, -0.0009999999310821295, -0.7490000128746033],
            [0.24855279922485352, -0.0015680964570492506, -0.7486284971237183],
            [0.2483086884021759, -0.0015533618861809373, -0.7486605644226074],
        ],
    },
}
ULPS = {"rtol": 0, "atol": 3e-7}  # of numbers of about 1, three steps of float32

optimiser = pytest.mark.parametrize("name", ["sgd", "adam"])


def steps_of(name, used=None, first=0, parameters=None):
    """Each parameter after each step, by ours."""
    used = used or optimizers.optimizer(name)
    parameters = parameters or {n: mx.array(v) for n, v in START.items()}
    for step, gradients in list(enumerate(GRADIENTS))[first:]:
        clipped, _ = optimizers.clipped({n: mx.array(v) for n, v in gradients.items()})
        used.learning_rate = optimizers.rate(name, step, STEPS)
        parameters = used.apply_gradients(clipped, parameters)
        yield used, parameters


@optimiser
def test_three_steps_are_those_of_the_published_package(name):
    for step, (_, parameters) in enumerate(steps_of(name)):
        for which, path in OF_THE_PACKAGE[name].items():
            np.testing.assert_allclose(np.array(parameters[which]), path[step], **ULPS)


@pytest.mark.oracle
@optimiser
def test_torch_still_gives_these_numbers(name):
    pytest.importorskip("torch")
    for which, path in trained(name).items():
        np.testing.assert_allclose(path, OF_THE_PACKAGE[name][which], **ULPS)


def test_the_clip_is_over_all_parameters_at_once():
    clipped, norm = optimizers.clipped({"a": mx.array([3.0, 0.0]), "b": mx.array([0.0, -4.0])})
    assert float(np.array(norm)) == 5
    np.testing.assert_allclose(np.array(clipped["a"]), [0.6, 0], rtol=1e-6)
    np.testing.assert_allclose(np.array(clipped["b"]), [0, -0.8], rtol=1e-6)


def test_a_small_gradient_is_not_clipped():
    clipped, _ = optimizers.clipped({"a": mx.array([0.5])})
    assert clipped["a"].item() == 0.5


def test_the_rate_falls_from_what_momentum_leaves_of_1_to_0():
    rates = [optimizers.rate("sgd", step, 4) for step in range(4)]
    assert rates == pytest.approx([0.1, 0.075, 0.05, 0.025])


def test_adam_warms_up_over_a_fifth_of_the_steps_and_a_thousand_at_most():
    rates = [optimizers.rate("adam", step, 10) for step in range(10)]
    assert rates[:3] == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3])
    assert rates[-1] == pytest.approx(1e-3 / 8)
    assert optimizers.rate("adam", 1000, 100_000) == pytest.approx(1e-3)


@optimiser
def test_an_optimiser_that_is_restored_goes_on_bit_for_bit(name):
    unbroken = [p for _, p in steps_of(name)][-1]
    used, parameters = next(steps_of(name))
    state = {n: mx.array(np.array(a)) for n, a in optimizers.state_of(used).items()}
    *_, (_, again) = steps_of(name, optimizers.restored(name, state), 1, parameters)
    for which, expected in unbroken.items():
        assert np.array_equal(np.array(again[which]), np.array(expected))
