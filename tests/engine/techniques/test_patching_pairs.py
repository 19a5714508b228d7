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
from mlxterp_engine.techniques.patching_pairs import read_pairs, summed_up, worst

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
        (["[" * 100_000], "line 1 of .* is no pair"),
        (['{"clean": ' + "9" * 5_000 + "}"], "line 1 of .* is no pair"),
        ([PAIRS[0] | {"answer": "zebra!"}], "pair 1 of .*answer 'zebra!' is"),
    ],
)
def test_a_wrong_line_is_named(tiny, file, lines, words):
    with pytest.raises(BadInput, match=words):
        run(request(file(*lines)), tiny, log=False)


@pytest.mark.parametrize("path", ["none.jsonl", "~nobody-of-that-name/pairs.jsonl"])
def test_a_missing_file_is_refused(tiny, tmp_path, path):
    with pytest.raises(BadInput, match="can't be read"):
        run(request(str(tmp_path / path) if path[0] != "~" else path), tiny, log=False)


def test_only_a_newline_ends_a_pair(tmp_path):
    """JSON may hold the line separators of other alphabets as they are."""
    pair = PAIRS[0] | {"clean": "The cat\u2028sat\x85"}
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(pair, ensure_ascii=False) + "\r\n", encoding="utf-8", newline="")
    assert [found.clean for found in read_pairs(path)] == [pair["clean"]]


def estimate(**fields):
    sites = {"sites": ["attn_out", "k"], "top": 3, "model": "glass-tiny"}
    return AttributionPatching(**sites | fields)


def test_estimates_of_a_set_are_means_and_the_same_cells_are_patched_in_every_pair(tiny, file):
    """Beside activation patching, which knows every cell."""
    parts = []
    found = run(estimate(pairs=file(*PAIRS)), tiny, parts.append, log=False).arrays
    alone = [run(estimate(**pair), tiny, log=False).arrays for pair in PAIRS]
    patched = run(request(file(*PAIRS), sites=["attn_out", "k"]), tiny, log=False).arrays
    for name in ("attn_out", "k"):
        stacked = np.stack([arrays[name] for arrays in alone])
        assert found[f"{name}_pairs"] == pytest.approx(stacked, abs=1e-5)
        assert found[name] == pytest.approx(stacked.mean(axis=0), abs=1e-5)
    cells = zip(found["exact_site"], found["exact_layer"], found["exact_at"], strict=True)
    for number, (site, layer, at) in enumerate(cells):
        name = ("attn_out", "k")[site]
        assert found["exact_estimate"][number] == found[name][layer, at]
        expected = patched[f"{name}_pairs"][:, layer, at]
        # Of the distance between the ends: batches of other shapes sum in another order.
        assert found["exact_effect_pairs"][:, number] == pytest.approx(expected, abs=1e-4)
        assert found["exact_effect"][number] == pytest.approx(expected.mean(), abs=1e-4)
    largest = np.unravel_index(np.abs(found["attn_out"]).argmax(), found["attn_out"].shape)
    assert (found["exact_layer"][0], found["exact_at"][0]) == largest
    steps = [part.done / part.total for part in parts if isinstance(part, Step)]
    assert steps == sorted(steps)


def test_a_set_of_one_is_its_pair(tiny, file):
    found = run(estimate(pairs=file(PAIRS[0])), tiny, log=False)
    alone = run(estimate(**PAIRS[0]), tiny, log=False)
    for name in ("attn_out", "k", "exact_layer", "exact_at", "exact_estimate", "exact_effect"):
        assert found.arrays[name] == pytest.approx(alone.arrays[name], abs=1e-6), name
    assert found.meta.contracts["patch_full"].ok
    assert found.meta.headline == f"1 pairs, mean {alone.meta.headline}"


def test_estimates_of_a_set_cost_more_than_those_of_a_pair_and_want_pairs_alike(tiny, file):
    assert (
        price(tiny, estimate(pairs=file(*PAIRS))).passes > price(tiny, estimate(**PAIRS[0])).passes
    )
    longer = {**PAIRS[0], "clean": "The cat sat on", "corrupt": "The bat sat on"}
    with pytest.raises(BadInput, match="pair 1 has 5 tokens and pair 2 has 6"):
        run(estimate(pairs=file(PAIRS[0], longer)), tiny, log=False)


def test_names_are_single_tokens_of_the_default_model(smol):
    """Of three templates and ten names of one token a sketch found a mean difference of 4.87."""
    asked = ActivationPatching(pairs="ioi", count=3, sites=["k"])
    found = run(asked, smol, log=False)
    assert found.arrays["k_pairs"].shape == (3, 30, 3)
    assert (found.arrays["clean_metric_pairs"] > 0).all()
    assert (found.arrays["corrupt_metric_pairs"] < 0).all()
    assert all(contract.ok for contract in found.meta.contracts.values())
