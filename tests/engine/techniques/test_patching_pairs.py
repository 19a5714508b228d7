"""Sets of pairs: means and spreads of each pair's own maps."""

import json

from mlxterp_engine.experiments import (
    ActivationPatching,
    AttributionPatching,
    BadInput,
    PatchCells,
    Step,
)
from mlxterp_engine.experiments.result import Contract
from mlxterp_engine.running import run
from mlxterp_engine.techniques.execute import price
from mlxterp_engine.techniques.patching_pairs import summed_up, worst

import numpy as np
import pytest

PAIRS = [
    {"clean": "The cat sat", "corrupt": "The bat sat", "answer": "s", "wrong": "e"},
    {"clean": "The cat ran", "corrupt": "The bat ran", "answer": "s", "wrong": "e"},
    {"clean": "The mat sat", "corrupt": "The cat sat", "answer": "h", "wrong": "o"},
]


@pytest.fixture
def file(tmp_path):
    def written(*lines):
        path = tmp_path / "pairs.jsonl"
        path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))
        return str(path)

    return written


def request(pairs, **fields):
    sites = {"sites": ["resid_pre", "k"]}
    return ActivationPatching(**{"model": "glass-tiny", "pairs": pairs} | sites | fields)


def test_the_maps_of_a_set_are_those_of_its_pairs(tiny, file):
    parts = []
    found = run(request(file(*PAIRS)), tiny, parts.append, log=False)
    alone = [
        run(ActivationPatching(sites=["resid_pre", "k"], **pair), tiny, log=False).arrays
        for pair in PAIRS
    ]
    for name in ("resid_pre", "k", "clean_metric", "corrupt_metric"):
        stacked = np.stack([arrays[name] for arrays in alone])
        assert found.arrays[f"{name}_pairs"] == pytest.approx(stacked, abs=1e-5)
        assert found.arrays[name] == pytest.approx(stacked.mean(axis=0), abs=1e-5)
        assert found.arrays[f"{name}_sd"] == pytest.approx(stacked.std(axis=0, ddof=1), abs=1e-5)
    assert found.strings["pairs"][1] == ["The cat ran", "The bat ran"]
    assert found.meta.contracts["patch_full"].ok
    assert found.meta.headline.startswith("3 pairs, mean logit difference")
    last = [part for part in parts if isinstance(part, PatchCells) and part.site == "k"][-1]
    assert np.array(last.values.tolist()) == pytest.approx(found.arrays["k"], abs=1e-6)
    steps = [part.done / part.total for part in parts if isinstance(part, Step)]
    assert steps == sorted(steps)


def test_a_set_costs_what_its_pairs_cost(tiny, file):
    together = price(tiny, request(file(*PAIRS)))
    alone = price(tiny, request(file(PAIRS[0])))
    assert together.passes == pytest.approx(3 * alone.passes)


def test_means_and_spreads_by_hand():
    maps = {"z": [np.array([[1.0, 4.0]]), np.array([[3.0, np.nan]])]}
    arrays = summed_up(maps, [(2.0, 0.0), (4.0, 1.0)])
    assert arrays["z"][0, 0] == 2
    assert arrays["z_sd"][0, 0] == pytest.approx(2**0.5)
    assert np.isnan(arrays["z"][0, 1])
    assert arrays["clean_metric"] == 3
    assert arrays["clean_metric_pairs"].tolist() == [2, 4]
    assert "z_sd" not in summed_up({"z": maps["z"][:1]}, [(2.0, 0.0)])


def test_the_worst_contract_speaks_for_all():
    good, bad = Contract.of(1e-9, 1e-4), Contract.of(1.0, 1e-4)
    unknown = Contract.of(float("nan"), 1e-4)
    assert worst([{"a": good}, {"a": bad}, {"a": good}]) == {"a": bad}
    assert np.isnan(worst([{"a": bad}, {"a": unknown}, {"a": good}])["a"].error)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "holds no pairs"),
        ([PAIRS[0], "{"], "line 2 of .* is no pair"),
        ([PAIRS[0] | {"clean": 3}], "line 1 of .* is no pair"),
        ([PAIRS[0], {"clean": "a", "corrupt": "b"}], "pair 2 of .*answer is missing"),
        ([PAIRS[0] | {"corrupt": "The bats sat down"}], "pair 1 of .*equally many tokens"),
        (
            [PAIRS[0], {**PAIRS[0], "clean": "The cat sat on", "corrupt": "The bat sat on"}],
            "pair 1 has 5 tokens and pair 2 has 6.*take sites by head",
        ),
        ([PAIRS[0] | {"answer": "zebra!"}], "pair 1 of .*answer 'zebra!' is"),
    ],
)
def test_a_wrong_line_is_named(tiny, file, lines, words):
    with pytest.raises(BadInput, match=words):
        run(request(file(*lines)), tiny, log=False)


def test_a_missing_file_and_a_set_for_attribution_are_refused(tiny, tmp_path):
    with pytest.raises(BadInput, match="can't be read"):
        run(request(str(tmp_path / "none.jsonl")), tiny, log=False)
    with pytest.raises(BadInput, match="attribution-patching takes one pair"):
        AttributionPatching(pairs="ioi")


def test_names_are_single_tokens_of_the_default_model(smol):
    """Of three templates and ten names of one token a sketch found a mean difference of 4.87."""
    asked = ActivationPatching(pairs="ioi", count=3, sites=["k"])
    found = run(asked, smol, log=False)
    assert found.arrays["k_pairs"].shape == (3, 30, 3)
    assert (found.arrays["clean_metric_pairs"] > 0).all()
    assert (found.arrays["corrupt_metric_pairs"] < 0).all()
    assert all(contract.ok for contract in found.meta.contracts.values())
