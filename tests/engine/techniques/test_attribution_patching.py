"""`attribution-patching`: the gradient's estimate is the slope of patching, and is never alone."""

from mlxterp_engine.experiments import AttributionPatching, BadInput, PatchCells
from mlxterp_engine.experiments.patching import SITES
from mlxterp_engine.running import run
from mlxterp_engine.techniques.execute import price
from mlxterp_engine.techniques.patching_agreement import agreement, spearman
from mlxterp_engine.tracing.interventions import at_positions, edit
from mlxterp_engine.tracing.sites import Site

import numpy as np
import pytest
from engine.techniques.naive_patching import Naive

CLEAN, CORRUPT = "The cat sat on the mat", "The bat sat on the mat"
STEP = 2e-2  # of the whole difference: where truncation and rounding meet, for these cells


def request(**fields):
    given = {"clean": CLEAN, "corrupt": CORRUPT, "answer": "s", "wrong": "e", "model": "glass-tiny"}
    return AttributionPatching(**given | {"sites": list(SITES)} | fields)


class Slopes(Naive):
    """Moves an activation a little way towards the clean run's, by whole passes."""

    def slope(self, kind, block, part=None, position=None):
        site = Site(kind, block)
        difference = self.states[0].sites[site] - self.states[1].sites[site]
        if part is not None:
            difference = difference[:, part : part + 1]
        if position is not None:
            difference = difference[..., position : position + 1, :]

        def moved(share):
            def operation(x):
                return x + share * difference

            what = operation if position is None else at_positions([position], operation)
            where = Site(kind, block, None if part is None else (part,))
            run = self.model.run(self.ids[1], [], [edit(where, what)])
            return self.measured(run)

        return (moved(STEP) - moved(-STEP)) / (2 * STEP * (self.clean - self.corrupt))


@pytest.mark.parametrize("metric", ["logit-diff", "prob", "kl"])
def test_an_estimate_is_the_slope_at_the_corrupt_run(tiny, metric):
    found = run(request(metric=metric, answer="h"), tiny, log=False)
    reference = Slopes(
        tiny, CLEAN, CORRUPT, answer="h", wrong="e", metric=metric, direction="denoise"
    )
    cells = [("resid_pre", 2, 1), ("attn_out", 1, 8), ("mlp_out", 0, 1)]
    slopes = [reference.slope(name, block, position=at) for name, block, at in cells]
    heads = [("z", 1, 2), ("q", 2, 3), ("k", 1, 1), ("v", 0, 0), ("pattern", 3, 1)]
    slopes += [reference.slope(f"attn.{name}", block, part=at) for name, block, at in heads]
    estimates = [found.arrays[name][block, at] for name, block, at in cells + heads]
    # A central difference of float32 logits over a fiftieth of the way.
    assert estimates == pytest.approx(slopes, abs=5e-3)


def test_before_the_first_difference_estimates_are_zero(tiny):
    arrays = run(request(), tiny, log=False).arrays
    for name in ("resid_pre", "attn_out", "mlp_out"):
        assert (arrays[name][:, 0] == 0).all()
        assert arrays[name].shape == (4, 9)


def test_exact_values_of_the_largest_cells_stand_beside_the_estimates(tiny):
    asked = request(sites=["attn_out,z"], top=3)
    arrays = run(asked, tiny, log=False).arrays
    reference = Naive(
        tiny, CLEAN, CORRUPT, answer="s", wrong="e", metric="logit-diff", direction="denoise"
    )
    assert len(arrays["exact_effect"]) == 2 * 2 * 3  # sites, largest and drawn, three each
    names = ["attn_out", "z"]
    for i, effect in enumerate(arrays["exact_effect"]):
        name = names[arrays["exact_site"][i]]
        layer, at = int(arrays["exact_layer"][i]), int(arrays["exact_at"][i])
        assert arrays["exact_estimate"][i] == arrays[name][layer, at]
        cell = ("attn_out", layer, None, at) if name == "attn_out" else ("attn.z", layer, at, None)
        assert effect == pytest.approx(reference.effect(*cell), abs=1e-4)
    largest = np.sort(np.abs(arrays["z"]).ravel())[::-1][:3]
    of_z = np.abs(arrays["exact_estimate"][arrays["exact_site"] == 1][:3])
    assert of_z == pytest.approx(largest)


def test_integrated_gradients_of_many_steps_come_closer_at_the_input(tiny):
    """The mean gradient along the line between the embeddings: completeness (Sundararajan et al.
    2017) makes the estimates of the first block's input add up to 1."""
    sums = {
        steps: run(request(sites=["resid_pre"], steps=steps), tiny, log=False)
        .arrays["resid_pre"][0]
        .sum()
        for steps in (1, 4, 16)
    }
    assert abs(sums[16] - 1) < abs(sums[4] - 1) < abs(sums[1] - 1)
    assert sums[16] == pytest.approx(1, abs=0.02)


def test_maps_whose_estimates_disagree_are_counted_and_named(tiny, monkeypatch):
    from mlxterp_engine.experiments import attribution_patching

    found = run(request(sites=["z", "v"]), tiny, log=False)
    assert found.meta.figures["disagreeing_maps"] == 0
    assert found.meta.headline.endswith("estimates near the exact values")
    assert found.strings["gradient"] == "of the corrupt run"
    monkeypatch.setattr(attribution_patching, "DISAGREES", 1.01)  # nothing is as good as that
    found = run(request(sites=["z", "v"]), tiny, log=False)
    assert found.meta.figures["disagreeing_maps"] == 2
    assert "estimates off at z, v: patch there" in found.meta.headline


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1, 2, 3], [10, 20, 90], 1),
        ([1, 2, 3], [3, 2, 1], -1),
        ([1, 2, 2, 3], [1, 2, 2, 3], 1),
        ([1, 2, 3, 4], [2, 1, 4, 3], 0.6),  # 1 - 6 · 4 / (4 · 15)
    ],
)
def test_rank_correlations_that_can_be_checked_by_hand(x, y, expected):
    assert spearman(np.array(x), np.array(y)) == pytest.approx(expected)


def test_agreement_by_hand():
    good = agreement(np.array([1.0, 2.0, 3.0]), np.array([1.1, 1.9, 3.0]))
    assert good.slope == pytest.approx((1.1 + 3.8 + 9) / 14)
    assert good.miss == pytest.approx(0.1 / 3)
    assert not good.disagrees
    one_missed = agreement(np.array([1.0, 2, 3, 4, 5]), np.array([1.0, 2, 3, 4, 12]))
    assert one_missed.rank_correlation == pytest.approx(1)
    assert one_missed.slope == pytest.approx(90 / 55)
    assert one_missed.miss == pytest.approx(7 / 12)
    assert one_missed.disagrees
    assert agreement(np.array([1.0, 2.0]), np.array([3.0, 6.0])).disagrees  # a slope of 3
    assert agreement(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])).disagrees
    assert agreement(np.array([1.0]), np.array([np.nan])).disagrees  # nothing to compare


def test_the_maps_come_as_parts_before_the_exact_cells(tiny):
    parts = []
    run(request(), tiny, parts.append, log=False)
    assert [part.site for part in parts if isinstance(part, PatchCells)] == list(SITES)


def test_bad_requests_are_refused():
    with pytest.raises(BadInput, match="steps is 0"):
        request(steps=0)
    with pytest.raises(BadInput, match="top is 1"):
        request(top=1)


def test_the_price_grows_with_the_steps(tiny):
    one, many = (price(tiny, request(steps=steps)) for steps in (1, 50))
    assert many.passes > one.passes + 20
