"""`path-patching`: the fast sweep is the definition's two passes, and nothing else is heard."""

import json

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments import (
    ActivationPatching,
    BadInput,
    PatchCells,
    PatchEnds,
    PathPatching,
    Started,
)
from mlxterp_engine.running import run
from mlxterp_engine.techniques.doctor import _shape, _weights
from mlxterp_engine.techniques.execute import execute, price
from mlxterp_engine.techniques.patching_cells import places_of
from mlxterp_engine.techniques.path_patching_price import HEADS, in_turns, work_of
from mlxterp_engine.tracing import paths
from mlxterp_engine.tracing.paths import Paths
from mlxterp_engine.tracing.sites import Site

import numpy as np
import pytest
from engine.techniques.naive_patching import Naive, metric_of
from engine.techniques.naive_path_patching import sent

CLEAN, CORRUPT = "The cat sat on the mat", "The dog sat on the mat"
# Of the distance between the ends: batches of other shapes sum in another order.
CLOSE = 1e-4
MANY = ["blocks.1.attn.v[0,1]", "blocks.3.attn.q[2],blocks.3.attn.k[1]"]


def request(**fields):
    answer = "o" if fields.get("metric") == "prob" else "s"  # 12 % and 17 %
    given = {"clean": CLEAN, "corrupt": CORRUPT, "answer": answer, "wrong": "e"}
    return PathPatching(**given | {"model": "glass-tiny"} | fields)


def naive_map(model, asked):
    """[layer, head], of two whole passes for each sender."""
    ends = Naive(
        model,
        asked.clean,
        asked.corrupt,
        answer=asked.answer,
        wrong=asked.wrong,
        metric=asked.metric,
        direction=asked.direction,
    )
    addresses = [model.sites.parse(a) for a in asked.addresses if a != "final"]
    receivers = [Site(s.kind, s.block, (head,)) for s in addresses for head in s.part]
    unpatched, source = ends.states[ends.target].sites, ends.states[1 - ends.target].sites
    effect = np.zeros((model.card.layers, model.card.heads))
    for sender in np.ndindex(effect.shape):
        logits = sent(
            model.net,
            model.anatomy,
            model.sites,
            ends.ids[ends.target],
            unpatched,
            source,
            sender,
            receivers,
            mlps=asked.freeze == "heads+mlps",
        )
        answers = (ends.answer, ends.wrong, ends.clean_logits)
        raw = metric_of(as_numpy(logits), asked.metric, *answers)
        effect[sender] = (raw - ends.unpatched) / (ends.source - ends.unpatched)
    return effect


@pytest.mark.parametrize(
    ("receivers", "freeze", "direction", "metric"),
    [
        (["final"], "heads", "denoise", "logit-diff"),
        (["final"], "heads+mlps", "noise", "kl"),
        (["blocks.3.attn.q[1]"], "heads", "noise", "logit-diff"),
        (["blocks.2.attn.k[1]"], "heads+mlps", "denoise", "prob"),
        (["blocks.2.attn.v[0]"], "heads", "denoise", "kl"),
        (MANY, "heads", "denoise", "logit-diff"),
        (MANY, "heads+mlps", "noise", "prob"),
    ],
)
def test_every_sender_is_that_of_two_whole_passes(tiny, receivers, freeze, direction, metric):
    asked = request(receivers=receivers, freeze=freeze, direction=direction, metric=metric)
    found = run(asked, tiny, log=False)
    expected = naive_map(tiny, asked)
    assert found.arrays["effect"].shape == expected.shape
    assert np.abs(found.arrays["effect"] - expected).max() < CLOSE
    assert np.abs(expected).max() > 10 * CLOSE  # something is heard
    assert all(contract.ok for contract in found.meta.contracts.values())


@pytest.mark.parametrize("method", ["restart", "full"])
@pytest.mark.parametrize("receivers", [["final"], MANY])
def test_each_method_gives_the_same_map(tiny, monkeypatch, method, receivers):
    from mlxterp_engine.tracing.resume_proof import Resumption

    expected = run(request(receivers=receivers), tiny, log=False).arrays["effect"]
    monkeypatch.setitem(vars(tiny), "resumption", Resumption(method, 0.0))
    found = run(request(receivers=receivers), tiny, log=False)
    assert found.strings["method"] == method
    assert np.abs(found.arrays["effect"] - expected).max() < CLOSE


def test_who_stands_at_or_behind_every_receiver_is_not_heard(tiny):
    effect = run(request(receivers=["blocks.2.attn.q[0]"]), tiny, log=False).arrays["effect"]
    assert (effect[2:] == 0).all()
    assert (effect[:2] != 0).all()


def test_the_last_blocks_heads_reach_the_end_as_if_they_were_patched(tiny):
    """No head stands behind them that could be kept still: activation patching's own row."""
    fields = {name: getattr(request(), name) for name in ("clean", "corrupt", "answer", "wrong")}
    swept = run(ActivationPatching(sites=["z"], model="glass-tiny", **fields), tiny, log=False)
    effect = run(request(), tiny, log=False).arrays["effect"]
    assert effect[-1] == pytest.approx(swept.arrays["z"][-1], abs=CLOSE)
    assert np.abs(effect[0] - swept.arrays["z"][0]).max() > 100 * CLOSE


def test_with_all_kept_a_head_reaches_the_end_by_its_output_matrix_alone(tiny):
    """m(norm(end + Δz W_O)), by hand: the norm of the end is taken anew."""
    ends = Naive(tiny, CLEAN, CORRUPT, answer="o", metric="prob", direction="denoise")
    unpatched, source = (ends.states[i].sites for i in (1, 0))
    weights, shape = _weights(tiny.net), _shape(tiny.net)
    end = as_numpy(unpatched[Site("resid_post", 3)])[0, -1]
    effect = run(request(freeze="heads+mlps", metric="prob"), tiny, log=False).arrays["effect"]
    for block, head in np.ndindex(effect.shape):
        z = Site("attn.z", block)
        moved = as_numpy(source[z] - unpatched[z])[0, head, -1]
        output = weights[f"model.layers.{block}.self_attn.o_proj.weight"]
        state = end + output[:, head * len(moved) : (head + 1) * len(moved)] @ moved
        normed = state / np.sqrt((state * state).mean() + shape.epsilon)
        logits = weights["model.embed_tokens.weight"] @ (normed * weights["model.norm.weight"])
        raw = metric_of(logits, "prob", ends.answer, ends.wrong, ends.clean_logits)
        expected = (raw - ends.unpatched) / (ends.source - ends.unpatched)
        assert effect[block, head] == pytest.approx(expected, abs=CLOSE)


def test_a_receiver_of_k_or_v_is_a_key_value_head(tiny):
    """Two groups for four query heads: the third is refused, with the range."""
    with pytest.raises(BadInput, match=r"attn\.k has heads 0 to 1"):
        run(request(receivers=["blocks.2.attn.k[2]"]), tiny, log=False)
    run(request(receivers=["blocks.2.attn.k[1]"]), tiny, log=False)


def test_the_parts_hold_every_sender_that_is_heard_once(tiny):
    parts = []
    found = run(request(receivers=["blocks.2.attn.q[0]"]), tiny, parts.append, log=False)
    told = [part for part in parts if isinstance(part, PatchEnds | PatchCells | Started)]
    assert isinstance(told[0], Started)
    assert isinstance(told[1], PatchEnds)
    filled = np.full((4, 4), np.nan, np.float32)
    for part in told[2:]:
        assert part.site == "effect"
        at = np.ix_(part.layers, part.at)
        assert np.isnan(filled[at]).all()
        filled[at] = np.array(part.values.tolist(), np.float32)
    assert (filled[:2] == found.arrays["effect"][:2]).all()
    assert np.isnan(filled[2:]).all()


def test_a_run_that_is_cancelled_has_told_some_senders(tiny):
    steps = execute(tiny, request())
    parts = [next(steps) for _ in range(4)]
    steps.close()
    assert isinstance(parts[-1], PatchCells)


def test_nothing_sent_changes_nothing_and_that_is_a_contract(tiny, monkeypatch):
    assert run(request(), tiny, log=False).meta.contracts["freeze_identity"].ok
    own = paths._writing

    def louder(site, runs, placed):
        write = own(site, runs, placed)
        return lambda x: write(x) * 1.01

    monkeypatch.setattr(paths, "_writing", louder)
    assert not run(request(), tiny, log=False).meta.contracts["freeze_identity"].ok


def test_senders_that_send_nothing_fail_their_contract(tiny, monkeypatch):
    monkeypatch.setattr(paths, "_arriving", lambda *args: [])
    found = run(request(receivers=["blocks.3.attn.q[1]"]), tiny, log=False)
    assert np.abs(found.arrays["effect"]).max() < CLOSE
    own = paths._writing
    monkeypatch.setattr(paths, "_writing", lambda site, runs, placed: own(site, runs, ()))
    assert run(request(), tiny, log=False).meta.contracts["patch_changes"].error == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"receivers": ["blocks.4.attn.q[0]"]}, "no block 4: blocks go from 0 to 3"),
        ({"receivers": ["blocks.3.attn.q[4]"]}, "attn.q has heads 0 to 3"),
        ({"receivers": ["blocks.3.attn.q[]"]}, "no list of whole numbers"),
        ({"receivers": ["blocks.3.attn.q[0]", "blocks.3.attn.q[1,0]"]}, "twice; name each once"),
        ({"receivers": ["blocks.0.attn.v[0]"]}, "no head stands before block 0"),
        ({"corrupt": "The dogs sat on the mat there"}, "equally many tokens"),
        ({"answer": "zebra!"}, "answer 'zebra!' is"),
    ],
)
def test_what_this_model_has_not_is_refused_in_words(tiny, fields, words):
    with pytest.raises(BadInput) as refusal:
        run(request(**fields), tiny, log=False)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"receivers": []}, "receivers is empty; give final, or heads"),
        ({"receivers": ["blocks.3.attn.z[0]"]}, "receivers has 'blocks.3.attn.z[0]'; give final"),
        ({"receivers": ["blocks.3.attn.q"]}, "query, key or value of heads"),
        ({"receivers": ["logits"]}, "receivers has 'logits'"),
        ({"receivers": ["final", "blocks.3.attn.q[0]"]}, "final in a run of its own"),
        ({"receivers": ["final,final"]}, "name each once"),
        ({"freeze": "mlps"}, "freeze is 'mlps'; give one of heads, heads+mlps"),
        ({"direction": "both"}, "direction is 'both'"),
        ({"wrong": None}, "wrong is missing"),
    ],
)
def test_bad_requests_are_refused_where_they_are_made(fields, words):
    with pytest.raises(BadInput) as refusal:
        request(**fields)
    assert words in str(refusal.value)


def test_receivers_may_be_joined_by_commas_but_for_those_in_brackets():
    assert request(receivers=MANY).addresses == [
        "blocks.1.attn.v[0,1]",
        "blocks.3.attn.q[2]",
        "blocks.3.attn.k[1]",
    ]


def test_the_map_of_a_set_is_that_of_its_pairs(tiny, tmp_path):
    pairs = [
        {"clean": "The cat sat", "corrupt": "The bat sat", "answer": "s", "wrong": "e"},
        {"clean": "The mat sat on it", "corrupt": "The cat sat on it", "answer": "h", "wrong": "o"},
    ]
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(map(json.dumps, pairs)))
    set_of_two = PathPatching(pairs=str(file), receivers=MANY, model="glass-tiny")
    parts = []
    found = run(set_of_two, tiny, parts.append, log=False)
    alone = [run(request(receivers=MANY, **pair), tiny, log=False) for pair in pairs]
    stacked = np.stack([one.arrays["effect"] for one in alone])
    assert found.arrays["effect_pairs"] == pytest.approx(stacked, abs=1e-5)
    assert found.arrays["effect"] == pytest.approx(stacked.mean(axis=0), abs=1e-5)
    assert found.arrays["effect_sd"] == pytest.approx(stacked.std(axis=0, ddof=1), abs=1e-5)
    assert found.meta.headline.startswith("2 pairs, mean logit difference")
    last = [part for part in parts if isinstance(part, PatchCells)][-1]
    assert np.array(last.values.tolist()) == pytest.approx(found.arrays["effect"], abs=1e-6)
    assert price(tiny, set_of_two).passes > price(tiny, request(receivers=MANY)).passes


def test_the_price_knows_how_far_a_sender_has_to_go(tiny):
    one, two = (price(tiny, request(receivers=[r])) for r in ("final", "blocks.3.attn.q[0]"))
    kept = price(tiny, request(freeze="heads+mlps"))
    assert 2 < kept.passes <= one.passes < two.passes


def test_senders_that_run_together_are_as_much_work_as_others(smol):
    """The first block's heads go through 30 blocks, the last one's through one."""
    far = Paths((), ())
    live = places_of(smol.sites, "z", (), HEADS)
    groups = in_turns(smol, far, live, count=2, tokens_at_once=256)
    assert sorted(p.index for group in groups for p in group) == [p.index for p in live]
    work = [sum(work_of(far, p.cell.block, 30, "suffix") for p in group) for group in groups]
    assert len(groups) == 2  # 0.85 · 9 heads · (30 + 29 + … + 1) / 30 = 119 passes, 64 at most
    assert work == pytest.approx([118.6 / 2] * 2, abs=1)
    assert max(p.cell.block for p in groups[0]) == min(p.cell.block for p in groups[1])


def test_who_moves_names_is_found_on_the_default_model(smol):
    """The yardstick: head 23.3 writes most of the answer into the final state by itself."""
    story = "When Mary and John went to the store, {} gave a drink to"
    asked = PathPatching(
        clean=story.format("John"), corrupt=story.format("Mary"), answer=" Mary", wrong=" John"
    )
    found = run(asked, smol, log=False)
    effect = found.arrays["effect"]
    assert effect.shape == (30, 9)
    assert np.unravel_index(effect.argmax(), effect.shape) == (23, 3)
    assert effect[23, 3] == pytest.approx(0.687, abs=0.01)
    assert all(contract.ok for contract in found.meta.contracts.values())
    assert "head 23.3 to final" in found.meta.headline
