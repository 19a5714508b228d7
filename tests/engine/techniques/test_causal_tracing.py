"""`causal-tracing`: the resumed batches are whole passes one by one, and the contract's arrays."""

import json

from mlxterp_engine.experiments import BadInput, CausalTracing, PatchCells, PatchEnds
from mlxterp_engine.experiments.causal_tracing import default_window, window_blocks
from mlxterp_engine.running import run
from mlxterp_engine.techniques.causal_tracing_noise import embeddings
from mlxterp_engine.techniques.causal_tracing_subject import subject_span
from mlxterp_engine.techniques.execute import execute, price
from mlxterp_engine.tracing import resume
from mlxterp_engine.tracing.resume_proof import Resumption

import numpy as np
import pytest
from engine.techniques.naive_tracing import NaiveTracing, window

PROMPT, SUBJECT = "One day the cat sat", "the cat"
MAPS = ("hidden", "mlp", "attn")
# Of a probability, absolute: float32, and batches of other shapes sum in another order.
CLOSE = 1e-5


def request(**fields):
    given = {"prompt": PROMPT, "subject": SUBJECT, "model": "glass-tiny", "samples": 2}
    return CausalTracing(**given | fields)


@pytest.fixture
def noise(tiny):
    """Two draws for each token of the subject, as a file would hold them."""
    start, end = subject_span(tiny.tokens, PROMPT, SUBJECT)
    draws = np.random.default_rng(5).normal(0, 0.4, (2, end - start, tiny.card.d_model))
    return draws.astype(np.float32)


@pytest.fixture
def noise_file(noise, tmp_path):
    np.savez(tmp_path / "noise.npz", noise=noise)
    return str(tmp_path / "noise.npz")


@pytest.fixture
def naive(tiny, noise):
    start, _ = subject_span(tiny.tokens, PROMPT, SUBJECT)
    return NaiveTracing(tiny, PROMPT, start, noise)


@pytest.mark.parametrize(("size", "rule"), [(2, "code"), (2, "paper"), (3, "code")])
def test_every_cell_is_that_of_a_whole_pass_of_its_own(tiny, noise_file, naive, size, rule):
    asked = request(noise_file=noise_file, window=size, window_rule=rule)
    found = run(asked, tiny, log=False).arrays
    assert found["p_clean"] == pytest.approx(naive.p_clean, abs=CLOSE)
    assert np.abs(found["p_corrupt_samples"] - naive.p_corrupt).max() < CLOSE
    expected = {"hidden": naive.map(naive.hidden)}
    for kind in ("mlp", "attn"):
        expected[kind] = naive.map(
            lambda s, b, p, kind=kind: naive.windowed(kind, s, b, p, size, rule)
        )
    for name, values in expected.items():
        assert found[f"{name}_samples"].shape == values.shape
        assert np.abs(found[f"{name}_samples"] - values).max() < CLOSE, name
        assert np.abs(found[name] - values.mean(axis=0)).max() < CLOSE, name


@pytest.mark.parametrize("sever", ["mlp", "attn"])
def test_severed_states_are_those_of_whole_passes_with_the_later_outputs_held(
    tiny, noise_file, naive, sever
):
    found = run(request(noise_file=noise_file, sever=sever), tiny, log=False).arrays
    expected = naive.map(lambda s, b, p: naive.hidden(s, b, p, sever))
    assert np.abs(found["hidden_severed_samples"] - expected).max() < CLOSE
    assert np.abs(found["hidden_severed"] - found["hidden"]).max() > 100 * CLOSE
    last = found["hidden_severed"][-1]  # behind the last block nothing is left to sever
    assert np.abs(last - found["hidden"][-1]).max() < CLOSE


@pytest.mark.parametrize("method", ["restart", "full"])
def test_each_method_gives_the_same_maps(tiny, monkeypatch, method):
    expected = run(request(sever="mlp"), tiny, log=False).arrays
    monkeypatch.setitem(vars(tiny), "resumption", Resumption(method, 0.0))
    found = run(request(sever="mlp"), tiny, log=False)
    assert found.strings["method"] == method
    for name in (*MAPS, "hidden_severed"):
        assert np.abs(found.arrays[name] - expected[name]).max() < CLOSE, name


def test_the_ends_of_the_map_are_known_without_computing(tiny):
    """Given back the last state of all, the clean run answers; before the subject nothing moved."""
    found = run(request(), tiny, log=False).arrays
    assert np.abs(found["hidden_samples"][:, -1, -1] - found["p_clean"]).max() < CLOSE
    first = int(found["subject_span"][0])
    for name in MAPS:
        before = found[f"{name}_samples"][:, :, :first]
        assert (before == found["p_corrupt_samples"][:, None, None]).all()
        assert not np.isnan(found[name]).any()
    earlier = found["hidden_samples"][:, -1, :-1]  # other tokens of the last block: never read
    assert np.abs(earlier - found["p_corrupt_samples"][:, None]).max() < CLOSE


def test_a_window_over_all_blocks_is_cut_at_both_ends(tiny):
    found = run(request(window=100), tiny, log=False).arrays
    assert found["windows"].tolist() == [[0, 4]] * 4
    for name in ("mlp", "attn"):
        assert np.abs(found[name] - found[name][:1]).max() < CLOSE


@pytest.mark.parametrize("rule", ["code", "paper"])
@pytest.mark.parametrize("size", range(1, 13))
def test_windows_are_those_of_the_rule(size, rule):
    for blocks in (1, 4, 12, 30):
        for block in range(blocks):
            found = window_blocks(block, blocks, size, rule)
            assert list(found) == list(window(block, blocks, size, rule))
            assert block in found


def test_ten_blocks_are_those_of_the_code_and_of_the_paper():
    assert list(window_blocks(20, 48, 10, "code")) == list(range(15, 25))
    assert list(window_blocks(20, 48, 10, "paper")) == list(range(16, 26))


@pytest.mark.parametrize(("blocks", "size"), [(48, 10), (30, 6), (12, 2), (4, 1), (1, 1)])
def test_the_window_is_as_much_of_the_depth_as_ten_of_48(blocks, size):
    assert default_window(blocks) == size


def test_sigma_is_of_all_entries_of_the_embedding(tiny):
    table = np.array(tiny.net.model.embed_tokens.weight)
    whole = run(request(), tiny, log=False)
    assert whole.arrays["sigma"] == pytest.approx(table.std(), rel=1e-5)
    own = run(request(sigma_from="subjects"), tiny, log=False)
    start, end = own.arrays["subject_span"]
    ids = own.arrays["token_ids"][start:end]
    assert own.arrays["sigma"] == pytest.approx(table[ids].std(), rel=1e-5)
    assert (embeddings(tiny, ids.tolist()) == table[ids]).all()


def test_the_same_seed_draws_the_same_noise_and_another_another(tiny):
    first, again, other = (
        run(request(seed=seed), tiny, log=False).arrays["p_corrupt_samples"] for seed in (3, 3, 4)
    )
    assert (first == again).all()
    assert (first != other).all()


def test_other_noises_are_the_same_draws_at_another_scale(tiny):
    found = run(request(noise_levels=[0.001, 3.0, 6.0]), tiny, log=False).arrays
    assert found["noise_level"].tolist() == pytest.approx([0.001, 3.0, 6.0])
    none, same, more = found["p_corrupt_by_level"]
    assert none == pytest.approx(float(found["p_clean"]), abs=1e-3)
    assert same == pytest.approx(float(found["p_corrupt"]), abs=CLOSE)
    assert more == run(request(noise=6.0), tiny, log=False).arrays["p_corrupt"]


def test_the_answer_is_the_models_own_top_token_or_the_one_that_is_given(tiny):
    own = run(request(), tiny, log=False)
    answer = own.strings["answer"]
    assert tiny.tokens.strings([int(own.arrays["answer_id"])]) == [answer]
    given = run(request(answer=answer), tiny, log=False)
    assert (given.arrays["hidden"] == own.arrays["hidden"]).all()


def test_the_ends_come_first_and_the_parts_end_as_the_means(tiny):
    parts = []
    found = run(request(), tiny, parts.append, log=False)
    told = [part for part in parts if isinstance(part, PatchEnds | PatchCells)]
    assert isinstance(told[0], PatchEnds)
    assert told[0].clean_metric == pytest.approx(float(found.arrays["p_clean"]), abs=CLOSE)
    assert told[0].corrupt_metric == pytest.approx(float(found.arrays["p_corrupt"]), abs=CLOSE)
    start, end = found.arrays["subject_span"]
    assert told[0].first_different == start
    assert told[1].at == [end - 1]  # the subject's last token before all others
    for name in MAPS:
        filled = np.full(found.arrays[name].shape, np.nan, np.float32)
        for part in told[1:]:
            if part.site == name:
                filled[np.ix_(part.layers, part.at)] = np.array(part.values.tolist())
        assert np.isnan(filled[:, :start]).all()
        assert (filled[:, start:] == found.arrays[name][:, start:]).all()


def test_the_first_draw_shows_the_whole_map_when_it_is_done(tiny):
    steps = execute(tiny, request(samples=4))
    seen = {}
    for part in steps:
        if isinstance(part, PatchCells):
            cells = {(part.site, layer, part.at[0]) for layer in part.layers}
            if cells & seen.keys():
                break
            seen |= dict.fromkeys(cells)
    start, _ = subject_span(tiny.tokens, PROMPT, SUBJECT)
    assert len(seen) == 3 * 4 * (len(tiny.encode(PROMPT)) - start)


def test_the_contracts_are_kept(tiny):
    contracts = run(request(), tiny, log=False).meta.contracts
    for name in ("patch_changes", "patch_full", "resume_equals_full"):
        assert contracts[name].ok, name


def test_a_place_that_is_not_given_back_fails_the_contracts(tiny, monkeypatch):
    monkeypatch.setattr(resume, "row_edits", lambda *args: [])
    contracts = run(request(), tiny, log=False).meta.contracts
    assert contracts["patch_changes"].error == 1  # of all places that noise moved
    assert not contracts["patch_full"].ok


def test_the_headline_has_both_ends_and_the_figures_the_largest_indirect_effects(tiny):
    found = run(request(), tiny, log=False)
    figures = found.meta.figures
    assert figures["total_effect"] == pytest.approx(figures["p_clean"] - figures["p_corrupt"])
    most = (found.arrays["mlp"] - found.arrays["p_corrupt"]).max()
    assert figures["mlp_most"] == pytest.approx(float(most), abs=CLOSE)
    assert f"{figures['p_corrupt']:.2f} under noise" in found.meta.headline
    assert "seed 0" in found.strings["noise"]


def test_the_subject_is_found_by_its_text_where_it_first_stands(tiny):
    words = ["The", " cat", " and", " the", " other", " cat"]
    ids = tiny.encode("".join(words))
    first, last = subject_span(tiny.tokens, "".join(words), "cat")
    assert "".join(tiny.tokens.strings(ids[first:last])) == " cat"
    assert last <= len(tiny.encode("The cat"))
    found = run(request(prompt="".join(words), subject="cat"), tiny, log=False)
    assert found.strings["subject"].endswith("the first of 2 places where it stands")


def test_a_subject_in_the_middle_of_a_token_is_that_token(tiny):
    (start, end) = subject_span(tiny.tokens, PROMPT, "a")
    assert end == start + 1
    assert "a" in tiny.tokens.strings(tiny.encode(PROMPT))[start]


def test_characters_that_are_several_tokens_belong_to_the_subject_whole(smol):
    prompt = "The 猫 and Zürich are"
    strings = smol.tokens.strings(smol.encode(prompt))
    start, end = subject_span(smol.tokens, prompt, "猫")
    assert any("⟨" in token for token in strings[start:end])
    assert strings[:start] == ["The"]
    assert strings[end] == " and"


def test_a_subject_in_a_chat_template_is_that_of_the_message(smol):
    """The template's own words hold `assistant` too, behind the message."""
    prompt = "An assistant lives in"
    whole = smol.encode(prompt, chat=True)
    start, end = subject_span(smol.tokens, prompt, "assistant", chat=True)
    assert smol.tokens.strings(whole[start:end]) == [" assistant"]
    assert smol.tokens.strings(whole[end : end + 2]) == [" lives", " in"]
    bos = subject_span(smol.tokens, prompt, "assistant", bos="on")
    assert smol.tokens.strings(smol.encode(prompt, "on")[slice(*bos)]) == [" assistant"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"subject": "dog"}, "the subject 'dog' does not stand in the prompt"),
        ({"answer": "zebra!"}, "answer 'zebra!' is"),
        ({"noise": 0.001}, "it has to fall by 0.005 at least.*take a larger noise"),
        ({"answer": "<pad>"}, "choose an answer, or a prompt, that the model knows"),
        ({"noise_file": "/nowhere.npz"}, "/nowhere.npz is no .npz file"),
    ],
)
def test_what_cannot_be_traced_is_refused_with_the_way_out(tiny, fields, words):
    with pytest.raises(BadInput, match=words):
        run(request(**fields), tiny, log=False)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"noise": np.zeros((2, 3, 64))}, r"\[2, 3, 64\].*it has to be \[samples, \d, 128\]"),
        ({"noise": np.zeros((0, 3, 128))}, "has to be"),
        ({"other": np.zeros(3)}, "an array 'noise' is needed"),
        ({"noise": np.full((2, 3, 128), np.nan)}, "not finite"),
        ({"noise": np.full((2, 3, 128), 1e300)}, "not finite in float32"),
        ({"noise": np.full((2, 3, 128), "loud")}, "has to be real numbers"),
        ({"noise": np.full((2, 3, 128), 1j)}, "has to be real numbers"),
        ({"noise": np.zeros((3, 3, 128))}, "samples is 2 and .* holds noise of 3"),
    ],
)
def test_a_noise_file_of_another_shape_is_refused(tiny, tmp_path, arrays, words):
    np.savez(tmp_path / "noise.npz", **arrays)
    with pytest.raises(BadInput, match=words):
        run(request(noise_file=str(tmp_path / "noise.npz")), tiny, log=False)


def test_a_noise_file_whose_compressed_bytes_are_broken_is_refused(tiny, tmp_path):
    path = tmp_path / "noise.npz"
    np.savez_compressed(path, noise=np.random.default_rng(0).normal(size=(2, 3, 128)))
    whole = path.read_bytes()
    path.write_bytes(whole[:500] + b"\xff" * 200 + whole[700:])
    with pytest.raises(BadInput, match=r"is no \.npz file"):
        run(request(noise_file=str(path)), tiny, log=False)


def test_a_noise_file_says_how_many_draws_there_are(tiny, noise_file):
    found = run(request(noise_file=noise_file, samples=None), tiny, log=False)
    assert found.arrays["hidden_samples"].shape[0] == 2


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": None}, "prompt is missing"),
        ({"subject": None}, "subject is missing"),
        ({"subject": ""}, "subject is empty"),
        ({"noise": 0}, "changes nothing"),
        ({"noise": float("nan")}, "noise is nan"),
        ({"samples": 0}, "samples is 0"),
        ({"window": 0}, "window is 0"),
        ({"window_rule": "both"}, "window_rule is 'both'"),
        ({"sever": "all"}, "sever is 'all'"),
        ({"noise_levels": [1.0, -1.0]}, "noise_levels is -1.0"),
        ({"noise_file": "f.npz", "noise_levels": [1.0]}, "don't go together"),
        ({"facts": "known"}, "each fact brings its own"),
    ],
)
def test_bad_requests_are_refused_where_they_are_made(fields, words):
    with pytest.raises(BadInput, match=words):
        request(**fields)


def test_the_price_counts_the_draws(tiny):
    few, many = (price(tiny, request(samples=samples)) for samples in (1, 10))
    assert few.passes < many.passes < 11 * few.passes
    assert few.bytes == many.bytes
    assert json.loads(json.dumps([few.passes, many.seconds]))  # plain numbers
