"""`activation-patching`: the fast sweep is the naive one, and its contract keeps what it says."""

from mlxterp_engine.experiments import ActivationPatching, BadInput, PatchCells, PatchEnds, Started
from mlxterp_engine.experiments.patching import SITES
from mlxterp_engine.running import run
from mlxterp_engine.techniques import patching
from mlxterp_engine.techniques.execute import execute, price

import numpy as np
import pytest
from engine.techniques.naive_patching import Naive

CLEAN, CORRUPT = "The cat sat on the mat", "The dog sat on the mat"
ONE_OTHER = "The bat sat on the mat"
# Of the distance between the ends: batches of other shapes sum in another order.
CLOSE = 1e-4


def request(**fields):
    given = {"clean": CLEAN, "corrupt": CORRUPT, "answer": "s", "wrong": "e", "model": "glass-tiny"}
    return ActivationPatching(**given | {"sites": list(SITES)} | fields)


def naive(model, asked):
    return Naive(
        model,
        asked.clean,
        asked.corrupt,
        answer=asked.answer,
        wrong=asked.wrong,
        metric=asked.metric,
        direction=asked.direction,
    )


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("logit-diff", "denoise"),
        ("logit-diff", "noise"),
        ("prob", "denoise"),
        ("prob", "noise"),
        ("kl", "denoise"),
        ("kl", "noise"),
    ],
)
def test_every_cell_is_that_of_a_whole_pass_of_its_own(tiny, metric, direction):
    asked = request(metric=metric, direction=direction, answer="o" if metric == "prob" else "s")
    reference = naive(tiny, asked)
    found = run(asked, tiny, log=False)
    assert found.arrays["clean_metric"] == pytest.approx(reference.clean, abs=1e-5)
    assert found.arrays["corrupt_metric"] == pytest.approx(reference.corrupt, abs=1e-5)
    for name in SITES:
        expected = reference.map(name)
        assert found.arrays[name].shape == expected.shape
        assert np.abs(found.arrays[name] - expected).max() < CLOSE, name


@pytest.mark.parametrize("method", ["suffix", "restart", "full"])
def test_each_method_gives_the_same_maps(tiny, monkeypatch, method):
    from mlxterp_engine.tracing.resume_proof import Resumption

    asked = request(by_position=True, layers=[1, 3])
    expected = run(asked, tiny, log=False).arrays
    monkeypatch.setitem(vars(tiny), "resumption", Resumption(method, 0.0))
    found = run(asked, tiny, log=False)
    assert found.strings["method"] == method
    for name in (*SITES, "z_pos"):
        assert np.abs(found.arrays[name] - expected[name]).max() < CLOSE, name


def test_a_head_by_position_is_one_destinations_z(tiny):
    asked = request(sites=["z"], by_position=True, layers=[2, 0])
    found = run(asked, tiny, log=False)
    assert found.arrays["z_pos_layers"].tolist() == [2, 0]
    reference = naive(tiny, asked)
    pos = len(reference.ids[0])
    assert found.arrays["z_pos"].shape == (2, pos, 4)
    for row, block in enumerate([2, 0]):
        for position in (3, pos - 1):
            for head in range(4):
                expected = reference.effect("attn.z", block, head, position)
                assert found.arrays["z_pos"][row, position, head] == pytest.approx(
                    expected, abs=CLOSE
                )


def test_each_neuron_of_a_cell_is_that_of_a_whole_pass_of_its_own(tiny):
    asked = request(sites=[], neurons="blocks.2@-2")
    found = run(asked, tiny, log=False)
    reference = naive(tiny, asked)
    position = len(reference.ids[0]) - 2
    assert found.arrays["neurons_at"].tolist() == [2, position]
    assert found.arrays["neurons"].shape == (tiny.sites.neurons_of(2),)
    for neuron in (0, 7, len(found.arrays["neurons"]) - 1):
        expected = reference.effect_of_neuron(2, neuron, position)
        assert found.arrays["neurons"][neuron] == pytest.approx(expected, abs=CLOSE)
    together = reference.effect("mlp.post", 2, position=position)
    assert found.arrays["neurons_together"] == pytest.approx(together, abs=CLOSE)
    assert found.meta.figures["neurons_together"] == pytest.approx(together, abs=CLOSE)
    assert found.meta.headline.partition("most: ")[2].startswith("neuron ")


def test_all_neurons_of_a_cell_are_what_its_mlp_gives_out(tiny):
    arrays = run(request(sites=["mlp_out"], neurons="1@5"), tiny, log=False).arrays
    assert arrays["neurons_together"] == pytest.approx(arrays["mlp_out"][1, 5], abs=CLOSE)


@pytest.mark.parametrize(
    ("neurons", "words"),
    [
        ("blocks.9@5", "has no block 9"),
        ("blocks.1@0", r"position 0; the prompts have \d+ tokens and differ from 1 on"),
        ("blocks.1@99", "position 99"),
    ],
)
def test_neurons_that_there_are_not_are_refused(tiny, neurons, words):
    with pytest.raises(BadInput, match=words):
        run(request(neurons=neurons), tiny, log=False)
    with pytest.raises(BadInput, match=words):
        price(tiny, request(neurons=neurons))


def test_a_group_of_query_heads_shares_one_cell_of_k_and_of_v(tiny):
    """Query head h reads key-value head h // 2: four query heads, two cells."""
    found = run(request(sites=["k,v"]), tiny, log=False)
    assert found.arrays["k"].shape == found.arrays["v"].shape == (4, 2)


def test_one_differing_embedding_is_the_whole_difference(tiny):
    arrays = run(request(corrupt=ONE_OTHER, sites=["resid_pre"]), tiny, log=False).arrays
    differ = arrays["clean_ids"] != arrays["corrupt_ids"]
    assert differ.sum() == 1
    assert arrays["resid_pre"][0, differ] == pytest.approx(1, abs=CLOSE)
    assert np.abs(arrays["resid_pre"][0, ~differ]).max() < CLOSE


def test_the_default_model_answers_ioi_and_its_sweep_is_the_naive_one(smol):
    """The yardstick of a sketch on this very pair: logit differences 6.11 and -5.49."""
    clean = "When Mary and John went to the store, John gave a drink to"
    asked = ActivationPatching(
        clean=clean,
        corrupt=clean.replace(", John", ", Mary"),
        answer=" Mary",
        wrong=" John",
        sites=["resid_pre,z,k"],
    )
    found = run(asked, smol, log=False)
    assert found.arrays["clean_metric"] == pytest.approx(6.11, abs=0.02)
    assert found.arrays["corrupt_metric"] == pytest.approx(-5.49, abs=0.02)
    assert found.arrays["resid_pre"].shape == (30, 14)
    assert found.arrays["z"].shape == (30, 9)
    assert found.arrays["k"].shape == (30, 3)
    assert all(contract.ok for contract in found.meta.contracts.values())
    reference = naive(smol, asked)
    for block, position in ((3, 9), (17, 9), (25, 13)):
        expected = reference.effect("resid_pre", block, position=position)
        assert found.arrays["resid_pre"][block, position] == pytest.approx(expected, abs=CLOSE)
    for kind, head in (("z", 8), ("k", 1)):
        expected = reference.effect(f"attn.{kind}", 17, head)
        assert found.arrays[kind][17, head] == pytest.approx(expected, abs=CLOSE)


def test_the_contracts_are_kept_and_the_ends_come_first(tiny):
    parts = []
    found = run(request(), tiny, parts.append, log=False)
    contracts = found.meta.contracts
    for name in ("patch_changes", "patch_full", "resume_equals_full"):
        assert contracts[name].ok, name
    told = [part for part in parts if isinstance(part, PatchEnds | PatchCells | Started)]
    assert isinstance(told[0], Started)
    assert isinstance(told[1], PatchEnds)
    assert told[1].clean_metric == pytest.approx(float(found.arrays["clean_metric"]))
    assert told[1].first_different == 1


def test_the_parts_hold_every_live_cell_once(tiny):
    parts = []
    found = run(request(by_position=True), tiny, parts.append, log=False)
    for name in (*SITES, "z_pos"):
        filled = np.full(found.arrays[name].shape, np.nan, np.float32)
        for part in parts:
            if isinstance(part, PatchCells) and part.site == name:
                values = np.array(part.values.tolist(), np.float32)
                at = np.ix_(part.layers, part.at)
                assert np.isnan(filled[at]).any()
                filled[at] = values
        live = ~np.isnan(filled)
        assert (filled[live] == found.arrays[name][live]).all()
        assert (found.arrays[name][~live] == 0).all()


def test_a_run_that_is_cancelled_has_told_its_first_column(tiny):
    steps = execute(tiny, request(sites=["resid_pre"]))
    parts = [next(steps) for _ in range(4)]
    steps.close()
    (column,) = [part for part in parts if isinstance(part, PatchCells)]
    last = len(tiny.encode(CLEAN)) - 1
    assert (column.layers, column.at) == ([0, 1, 2, 3], [last])


def test_a_patched_run_that_is_not_the_full_one_fails_its_contract(tiny, monkeypatch):
    own = patching.Session.normalised
    monkeypatch.setattr(patching.Session, "normalised", lambda s, raw: own(s, raw) + 0.01)
    assert not run(request(), tiny, log=False).meta.contracts["resume_equals_full"].ok


def test_a_patch_that_writes_nothing_fails_its_contracts(tiny, monkeypatch):
    from mlxterp_engine.tracing import resume

    monkeypatch.setattr(resume, "row_edits", lambda *args: [])
    contracts = run(request(), tiny, log=False).meta.contracts
    assert contracts["patch_changes"].error == 1  # of all cells that differ
    assert not contracts["patch_full"].ok


def test_metrics_that_are_not_finite_are_nan_and_counted(tiny, monkeypatch):
    own = patching.Session.normalised

    def broken(session, raw):
        raw = np.array(raw)
        raw[0] = np.inf
        return own(session, raw)

    monkeypatch.setattr(patching.Session, "normalised", broken)
    found = run(request(sites=["attn_out"]), tiny, log=False)
    assert found.meta.failed_cells == int(np.isnan(found.arrays["attn_out"]).sum()) > 0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"corrupt": "The dogs sat on the mat there"}, "choose words that are equally many tokens"),
        ({"corrupt": CLEAN}, "clean and corrupt are the same prompt"),
        ({"answer": "zebra!"}, "answer 'zebra!' is"),
        ({"metric": "prob", "answer": "<pad>"}, "too little to divide by"),
    ],
)
def test_what_cannot_be_patched_is_refused_with_the_way_out(tiny, fields, words):
    with pytest.raises(BadInput, match=words):
        run(request(**fields), tiny, log=False)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"wrong": None}, "wrong is missing"),
        ({"clean": None}, "clean is missing"),
        ({"wrong": "s"}, "they have to differ"),
        ({"sites": ["resid_post"]}, "sites is 'resid_post'; give one of"),
        ({"sites": ["z,z"]}, "each once"),
        ({"metric": "accuracy"}, "metric is 'accuracy'"),
        ({"direction": "both"}, "direction is 'both'"),
        ({"layers": [1]}, "give by_position too"),
        ({"pairs": "ioi"}, "the pairs bring their own"),
        ({"neurons": "12"}, "give a block and a position"),
        ({"sites": []}, "name one at least"),
    ],
)
def test_bad_requests_are_refused_where_they_are_made(fields, words):
    with pytest.raises(BadInput, match=words):
        request(**fields)


def test_the_ends_are_in_the_words_of_a_refusal(tiny):
    with pytest.raises(BadInput, match=r"is -?\d.* in the clean run and -?\d.* in the corrupt"):
        run(request(metric="prob", answer="<pad>"), tiny, log=False)


def test_the_price_counts_the_two_runs_and_the_sweep(tiny):
    small, large = (price(tiny, request(sites=[sites])) for sites in ("k", ",".join(SITES)))
    assert 2 < small.passes < large.passes
    assert small.bytes < large.bytes


def test_heads_by_position_are_told_by_the_numbers_of_their_blocks(tiny):
    asked = request(sites=["z"], by_position=True, layers=[3, 1])
    parts, result = all_of(tiny, asked)
    told = [part for part in parts if isinstance(part, PatchCells) and part.site == "z_pos"]
    assert {block for part in told for block in part.layers} == {3, 1}
    for part in told:
        values = np.array(part.values.tolist())
        for i, block in enumerate(part.layers):
            row = result.arrays["z_pos_layers"].tolist().index(block)
            whole = np.array(result.arrays["z_pos"].tolist())
            assert (values[i] == whole[row][part.at]).all()


def all_of(model, asked):
    """Every part, and the result."""
    steps, parts = execute(model, asked), []
    while True:
        try:
            parts.append(next(steps))
        except StopIteration as end:
            return parts, end.value


@pytest.mark.parametrize("name", ["z", "k"])
def test_what_is_computed_together_is_equal_work(smol, name):
    """So that none takes long: a head of block 0 runs through 30 blocks, one of block 29 through
    one. The sum is that of all heads, 465 blocks for each."""
    from mlxterp_engine.techniques.patching_cells import Asked, in_turns

    last, at_once = 13, 256
    groups = list(in_turns(smol.sites, Asked((name,)), range(9, last + 1), last, at_once))
    work = [sum(30 - place.cell.block for place in group) for group in groups]
    heads = smol.sites.heads_of(f"attn.{name}", 0)
    assert sum(work) == 465 * heads
    assert sum(map(len, groups)) == 30 * heads
    assert max(work) <= at_once // (last + 1 - 9) * 30 / 2 + 30  # and a cell
    assert max(work) - min(work) <= 2 * 30


def test_the_first_patching_of_a_model_is_dearer_by_the_trial(tiny, monkeypatch):
    known = price(tiny, request())
    monkeypatch.delitem(vars(tiny), "resumption", raising=False)
    assert price(tiny, request()).seconds > known.seconds
    assert "resumption" not in vars(tiny)  # a price runs nothing
