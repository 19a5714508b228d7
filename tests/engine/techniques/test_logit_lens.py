"""The streamed lens equals the slow, obvious one; its last row is the model itself."""

from mlxterp_engine import LogitLens, run
from mlxterp_engine.experiments import BadInput, LogitLensRow, Started, Step
from mlxterp_engine.techniques import logit_lens
from mlxterp_engine.techniques.execute import execute, price
from mlxterp_engine.tracing.spoken import parse_edit

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

PROMPT = "The capital of France is"


def naive_lens(net, ids: list[int]) -> np.ndarray:
    """Logits [row, pos, vocab], one block after the other, as a textbook would."""
    x = net.model.embed_tokens(mx.array([ids]))
    rows = [x]
    mask = nn.MultiHeadAttention.create_additive_causal_mask(len(ids))
    for block in net.layers:
        x = block(x, mask)
        rows.append(x)
    unembed = net.model.embed_tokens.as_linear
    return np.stack([np.array(unembed(net.model.norm(row))[0]) for row in rows])


def definitions(logits: np.ndarray, ids: list[int], target: int) -> dict[str, np.ndarray]:
    following = np.array(ids[1:])[None, :, None].repeat(len(logits), 0)
    y = logits.astype(np.float64)
    log_p = y - y.max(-1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(-1, keepdims=True))
    final = log_p[-1]
    top = final.argmax(-1)[None, :, None]
    return {
        "entropy": -(np.exp(log_p) * log_p).sum(-1),
        "kl": (np.exp(final) * (final - log_p)).sum(-1),
        "final_rank": (y > np.take_along_axis(y, top.repeat(len(y), 0), -1)).sum(-1),
        "target_prob": np.exp(log_p[..., target]),
        "target_rank": (y > y[..., target, None]).sum(-1),
        "next_loss": -np.take_along_axis(log_p[:, :-1], following, -1)[..., 0],
    }


@pytest.mark.parametrize("name", ["tiny", "smol"])
def test_every_array_equals_the_naive_lens(name, request):
    model = request.getfixturevalue(name)
    target = " the"
    found = run(LogitLens(prompt=PROMPT, top_k=7, target=target), model)
    ids = model.encode(PROMPT)
    logits = naive_lens(model.net, ids)
    for array, expected in definitions(logits, ids, model.tokens.single(target, "target")).items():
        if array.endswith("rank"):
            # A rank may differ where two logits are equal to within float32 rounding.
            assert (found.arrays[array] == expected).mean() > 0.98, array
        else:
            scale = max(1.0, np.abs(expected).max())
            assert np.abs(found.arrays[array] - expected).max() <= 1e-4 * scale, array
    best = np.take_along_axis(logits, found.arrays["top_ids"], -1)
    assert (np.diff(best, axis=-1) <= 1e-4).all()
    assert np.allclose(best[..., 0], logits.max(-1), atol=1e-3)


def test_the_default_model_says_paris_and_the_last_row_is_its_own(smol):
    found = run(LogitLens(prompt=PROMPT), smol)
    assert found.strings["top_tokens"][-1][-1][0] == " Paris"
    assert found.arrays["token_ids"].tolist() == [504, 3575, 282, 4649, 314]
    assert found.arrays["kl"][-1].tolist() == [0.0] * 5
    assert found.arrays["final_rank"][-1].tolist() == [0] * 5
    assert found.meta.contracts["lens_last_row"].error <= 5e-4
    assert found.meta.failed_cells == 0


def test_shapes_and_names_are_the_contracts(tiny):
    arrays = run(LogitLens(prompt=PROMPT, top_k=3), tiny).arrays
    pos = len(tiny.encode(PROMPT))
    assert {name: (a.dtype.name, a.shape) for name, a in arrays.items()} == {
        "token_ids": ("int32", (pos,)),
        "layer": ("int32", (5,)),
        "top_ids": ("int32", (5, pos, 3)),
        "top_probs": ("float32", (5, pos, 3)),
        "entropy": ("float32", (5, pos)),
        "kl": ("float32", (5, pos)),
        "final_rank": ("int32", (5, pos)),
        "next_loss": ("float32", (5, pos - 1)),
    }
    assert arrays["layer"].tolist() == [-1, 0, 1, 2, 3]


def test_rows_stream_from_the_last_and_are_the_results_rows(tiny):
    parts = []
    found = run(LogitLens(prompt=PROMPT), tiny, parts.append)
    assert isinstance(parts[0], Started)
    rows = [part for part in parts if isinstance(part, LogitLensRow)]
    assert [row.layer for row in rows] == [3, 2, 1, 0, -1]
    for row in rows:
        assert np.allclose(row.kl.tolist(), found.arrays["kl"][row.layer + 1])
    assert [step for step in parts if isinstance(step, Step)][-1].done == 5


@pytest.mark.parametrize("budget", [1, 4 * 1024 * 3, 4 * 1024 * 40])
def test_chunks_of_any_size_give_the_same_numbers(tiny, monkeypatch, budget):
    whole = run(LogitLens(prompt=PROMPT), tiny).arrays
    monkeypatch.setattr(logit_lens, "CHUNK_BYTES", budget)
    pieces = run(LogitLens(prompt=PROMPT), tiny).arrays
    for name, array in whole.items():
        assert np.allclose(pieces[name], array, atol=2e-5), name


def test_stopping_between_rows_leaves_the_model_clean(tiny):
    ids = mx.array([tiny.encode(PROMPT)])
    before = tiny.net(ids)
    steps = execute(tiny, LogitLens(prompt=PROMPT))
    while not isinstance(next(steps), LogitLensRow):
        pass
    steps.close()
    assert mx.array_equal(tiny.net(ids), before)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (LogitLens(prompt="tea " * 200), "reads at most 128"),
        (LogitLens(prompt="x", target="Alice was"), "target"),
        (LogitLens(prompt="x", bos="on"), "no BOS"),
        (LogitLens(prompt="x", chat=True), "chat"),
        (LogitLens(prompt="x", intervention=["blocks.1.mlp=zero"]), "no site 'blocks.1.mlp'"),
        (LogitLens(prompt="x", intervention=["blocks.1.mlp_out=nil"]), "operation 'nil'"),
        (LogitLens(prompt="x", intervention=["embed=zero@5"]), "position 5 is outside the prompt"),
        (LogitLens(prompt="x", intervention=["embed=zero@new"]), "nothing at 'new'"),
        (LogitLens(prompt="x", intervention=["final_norm=zero"]), "final_norm comes after them"),
        (LogitLens(prompt="x", patch=["logits@0"], patch_prompt="y"), "logits comes after them"),
        (LogitLens(prompt="x", patch=["embed"], patch_prompt="y"), "'embed' is not SITE@POS"),
        (LogitLens(prompt="x", patch=["embed@3"], patch_prompt="yz yz yz"), "outside the prompt"),
        (LogitLens(prompt="x", patch=["embed@0<9"], patch_prompt="y"), "outside the patch prompt"),
    ],
)
def test_what_the_model_cannot_do_is_refused_in_words(tiny, request_, words):
    with pytest.raises(BadInput) as refusal:
        run(request_, tiny)
    assert words in str(refusal.value)


def test_a_refused_target_is_refused_before_the_run_is_said_to_have_begun(tiny):
    with pytest.raises(BadInput, match="target"):
        next(execute(tiny, LogitLens(prompt="x", target="Alice was")))


def test_the_price_grows_with_the_prompt_and_needs_no_run(tiny):
    short, long = (price(tiny, LogitLens(prompt="tea " * n)) for n in (2, 40))
    assert 0 < short.seconds <= long.seconds
    assert short.bytes < long.bytes
    assert short.passes == long.passes > 1


def test_the_headline_says_since_when_the_last_positions_prediction_stands(smol):
    result = run(LogitLens(prompt=PROMPT, target=" Paris"), smol)
    ranks = result.arrays["final_rank"][:, -1]
    layer = int(result.meta.figures["stays_from"])
    row = layer + 1
    assert (ranks[row:] == 0).all()
    assert ranks[row - 1] != 0
    assert result.meta.headline.startswith(f"' Paris' p 0.77, top from block {layer} on")
    assert result.meta.figures["target_rank"] == 0


@pytest.mark.parametrize("name", ["tiny", "smol"])
@pytest.mark.parametrize("state", ["resid_pre", "resid_mid"])
def test_a_row_of_another_state_is_that_state_unembedded_and_the_last_is_the_end(
    name, state, request
):
    model = request.getfixturevalue(name)
    blocks = model.card.layers
    found = run(LogitLens(prompt=PROMPT, state=state, top_k=1), model)
    sites = [*(f"blocks.{block}.{state}" for block in range(blocks))]
    sites.append(f"blocks.{blocks - 1}.resid_post")
    assert found.strings["sites"] == sites
    assert found.arrays["layer"].tolist() == list(range(blocks + 1))
    activations = model.trace(PROMPT).activations
    for row in (0, blocks // 2, blocks):
        top = mx.softmax(model.unembed(activations[sites[row]][0]), axis=-1).max(axis=-1)
        # Logits of the embeddings reach the hundreds, where float32 is good to some 1e-5.
        assert found.arrays["top_probs"][row, :, 0] == pytest.approx(np.array(top), abs=3e-4)
    assert found.arrays["kl"][-1].tolist() == [0.0] * len(found.arrays["token_ids"])
    assert found.meta.contracts["lens_last_row"].ok


def test_the_states_before_the_blocks_are_those_behind_the_blocks_one_row_later(tiny):
    before, behind = (
        run(LogitLens(prompt=PROMPT, state=state), tiny).arrays
        for state in ("resid_pre", "resid_post")
    )
    assert all(np.array_equal(before[name], behind[name]) for name in before if name != "layer")


def test_a_state_that_the_model_lacks_is_refused_with_the_reason(tiny, monkeypatch):
    why = "attention and MLP read the same state"
    monkeypatch.setattr(
        tiny.sites, "why_not", lambda site: why if site.kind == "resid_mid" else None
    )
    with pytest.raises(BadInput, match=f"no blocks.0.resid_mid: {why}"):
        run(LogitLens(prompt=PROMPT, state="resid_mid"), tiny)


def test_every_row_is_of_the_edited_run_and_the_last_one_is_its_prediction(tiny):
    words = ["blocks.1.mlp_out=zero@1:", "blocks.2.attn.z[0]=scale:3"]
    found = run(LogitLens(prompt=PROMPT, intervention=words, top_k=1), tiny)
    plain = run(LogitLens(prompt=PROMPT, top_k=1), tiny)
    edits = [parse_edit(each, tiny.sites) for each in words]
    logits = tiny.run(tiny.encode(PROMPT), edits=edits).logits[0]
    top = mx.softmax(logits, axis=-1).max(axis=-1)
    assert found.arrays["top_probs"][-1, :, 0] == pytest.approx(np.array(top), abs=1e-5)
    assert found.meta.contracts["lens_last_row"].ok
    assert found.meta.headline.endswith("; 2 edits")
    # Rows before block 1, and the position before the edit, are those of the plain run.
    for name in ("top_probs", "entropy"):
        assert np.array_equal(found.arrays[name][:2], plain.arrays[name][:2])
        assert not np.allclose(found.arrays[name][2, 1:], plain.arrays[name][2, 1:])
        assert np.array_equal(found.arrays[name][2, :1], plain.arrays[name][2, :1])


OTHER = "The capital of Norway is"


def test_a_patched_state_is_the_other_runs_from_there_on_and_only_there(tiny):
    site, row = "blocks.1.resid_post", 2
    patched = run(LogitLens(prompt=PROMPT, patch=[f"{site}@3<-2"], patch_prompt=OTHER), tiny)
    plain, other = (run(LogitLens(prompt=text), tiny).arrays for text in (PROMPT, OTHER))
    entropy = patched.arrays["entropy"]
    assert entropy[row, 3] == pytest.approx(other["entropy"][row, -2], abs=1e-5)
    assert np.array_equal(np.delete(entropy[row], 3), np.delete(plain["entropy"][row], 3))
    assert not np.allclose(entropy[row + 1 :, 4:], plain["entropy"][row + 1 :, 4:])
    assert np.array_equal(entropy[:, :3], plain["entropy"][:, :3])
    assert patched.meta.contracts["patch_changes"].ok
    assert patched.meta.contracts["lens_last_row"].ok
    assert [len(tokens) for tokens in patched.meta.tokens] == [
        len(tiny.encode(text)) for text in (PROMPT, OTHER)
    ]


def test_patching_every_position_of_the_embeddings_gives_the_other_run(tiny):
    prompt, other = "Alice was tired", "tired was Alice"
    count = len(tiny.encode(prompt))
    assert len(tiny.encode(other)) == count
    request = LogitLens(
        prompt=prompt, patch=[f"embed@{at}" for at in range(count)], patch_prompt=other
    )
    found, expected = run(request, tiny).arrays, run(LogitLens(prompt=other), tiny).arrays
    assert np.array_equal(found["entropy"], expected["entropy"])


def test_a_prompts_own_state_written_over_itself_changes_nothing(tiny):
    request = LogitLens(prompt=PROMPT, patch=["blocks.1.attn.z[2]@3"], patch_prompt=PROMPT)
    found, plain = run(request, tiny), run(LogitLens(prompt=PROMPT), tiny)
    assert all(np.array_equal(found.arrays[name], plain.arrays[name]) for name in plain.arrays)
    assert found.meta.contracts["patch_changes"].ok  # the same state is no change to be seen


def test_a_patch_that_an_intervention_wipes_out_fails_its_contract(tiny):
    request = LogitLens(
        prompt=PROMPT,
        patch=["blocks.0.resid_post@1"],
        patch_prompt=OTHER,
        intervention=["blocks.0.resid_post=zero"],
    )
    assert not run(request, tiny).meta.contracts["patch_changes"].ok


def test_patches_are_priced_with_the_passes_they_take(tiny):
    plain = price(tiny, LogitLens(prompt=PROMPT))
    patched = price(tiny, LogitLens(prompt=PROMPT, patch=["embed@0"], patch_prompt=OTHER))
    assert patched.passes == plain.passes + 2
