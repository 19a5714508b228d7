"""A patchscope is two traces: the state of one, written into the other."""

from mlxterp_engine import Generate, LogitLens, Patchscope, interventions, run
from mlxterp_engine.experiments import BadInput, GeneratedToken, Started
from mlxterp_engine.experiments.patchscope import IDENTITY_PROMPT
from mlxterp_engine.techniques.execute import execute, price

import mlx.core as mx
import numpy as np
import pytest

PROMPT = "Alice was beginning to get very tired"
TARGET = "tired -> tired\nsister"


def by_hand(model, request: Patchscope, target_site: str) -> list[int]:
    """The greedy continuation from whole traces alone, one for each token."""
    state = model.trace(request.prompt).activations[request.site][:, request.position]
    ids = model.encode(request.target_prompt)
    position = request.target_position % len(ids)
    edit = interventions.at_positions(position, interventions.replace_with(state[0]))
    new: list[int] = []
    while len(new) < request.max_tokens:
        logits = model.trace([*ids, *new], {target_site: edit}).logits
        new.append(int(logits[0, -1].argmax()))
    return new


@pytest.mark.parametrize(
    ("asked", "target_site"),
    [
        ({"site": "blocks.1.resid_post", "position": 2}, "blocks.1.resid_post"),
        ({"site": "blocks.2.resid_post", "target_layer": 0}, "blocks.0.resid_post"),
        ({"site": "blocks.0.resid_pre", "target_position": 1}, "blocks.0.resid_pre"),
        ({"site": "blocks.3.resid_mid", "target_layer": 1}, "blocks.1.resid_mid"),
        ({"site": "blocks.1.attn_out"}, "blocks.1.attn_out"),
        ({"site": "blocks.1.mlp_out", "target_position": -2}, "blocks.1.mlp_out"),
        ({"site": "embed", "position": 0}, "embed"),
    ],
)
def test_the_text_is_that_of_two_traces_by_hand(tiny, asked, target_site):
    request = Patchscope(prompt=PROMPT, target_prompt=TARGET, max_tokens=5, top_k=3, **asked)
    found = run(request, tiny)
    expected = by_hand(tiny, request, target_site)
    assert found.arrays["token_ids"].tolist() == expected
    assert found.meta.text == tiny.tokens.decode(expected)
    assert found.strings["tokens"] == tiny.tokens.strings(expected)
    assert all(contract.ok for contract in found.meta.contracts.values())
    assert {"patch_changes", "cache_equals_full"} <= set(found.meta.contracts)


def test_the_probabilities_are_the_first_new_tokens(tiny):
    request = Patchscope(
        prompt=PROMPT, target_prompt=TARGET, site="blocks.1.resid_post", top_k=4, max_tokens=2
    )
    found = run(request, tiny)
    state = tiny.trace(PROMPT).activations["blocks.1.resid_post"][0, -1]
    edit = interventions.at_positions(-1, interventions.replace_with(state))
    logits = tiny.trace(TARGET, {"blocks.1.resid_post": edit}).logits[0, -1]
    probs = np.array(mx.softmax(logits))
    best = np.argsort(-probs)[:4]
    assert found.arrays["top_ids"].tolist() == best.tolist()
    assert found.arrays["top_probs"] == pytest.approx(probs[best], abs=1e-6)
    assert found.strings["top_tokens"] == tiny.tokens.strings(best.tolist())
    assert found.arrays["token_ids"][0] == best[0]


@pytest.mark.parametrize("name", ["tiny", "smol"])
def test_a_prompts_own_state_written_where_it_stood_changes_nothing(name, request):
    model = request.getfixturevalue(name)
    own = Patchscope(
        prompt=PROMPT,
        target_prompt=PROMPT,
        site="blocks.2.resid_post",
        position=3,
        target_position=3,
        max_tokens=6,
    )
    found, plain = run(own, model), run(Generate(prompt=PROMPT, max_tokens=6), model)
    assert found.meta.text == plain.meta.text
    assert found.arrays["logprobs"] == pytest.approx(plain.arrays["logprobs"], abs=1e-5)
    assert found.meta.contracts["patch_changes"].ok  # nothing was to be seen, and nothing is


def test_at_the_last_block_and_position_it_is_the_logit_lens(smol):
    prompt, layer = "The capital of France is", 24
    lens = run(LogitLens(prompt=prompt, top_k=10), smol)
    found = run(
        Patchscope(
            prompt=prompt,
            site=f"blocks.{layer}.resid_post",
            target_layer=smol.card.layers - 1,
            max_tokens=1,
        ),
        smol,
    )
    assert found.arrays["top_ids"].tolist() == lens.arrays["top_ids"][layer + 1, -1].tolist()
    assert found.arrays["top_probs"] == pytest.approx(
        lens.arrays["top_probs"][layer + 1, -1], abs=1e-5
    )


def test_the_default_model_reads_a_word_out_of_its_first_blocks(smol):
    """The identity prompt works: the word that was read is what is said."""
    found = run(Patchscope(prompt="a walk through Paris", site="blocks.3.resid_post"), smol)
    assert "Paris" in found.meta.text
    assert found.meta.experiment["target_prompt"] == IDENTITY_PROMPT
    assert found.meta.headline.startswith("blocks.3.resid_post of ' Paris': ")
    assert len(found.arrays["top_ids"]) == 10


def test_tokens_stream_and_both_prompts_are_said_to_be_read(tiny):
    parts = []
    request = Patchscope(prompt=PROMPT, target_prompt=TARGET, site="embed", max_tokens=3)
    found = run(request, tiny, parts.append)
    assert isinstance(parts[0], Started)
    assert parts[0].token_ids == [tiny.encode(PROMPT), tiny.encode(TARGET)]
    told = [part.id for part in parts if isinstance(part, GeneratedToken)]
    assert told == found.arrays["token_ids"].tolist()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"site": "blocks.9.resid_post"}, "no block 9: blocks go from 0 to 3"),
        ({"site": "blocks.1.resid_pots"}, "closest: blocks.1.resid_post"),
        ({"site": "blocks.1.attn.z"}, "no state of the residual stream's width"),
        ({"site": "logits"}, "no state of the residual stream's width"),
        ({"site": "embed", "target_layer": 2}, "embed belongs to no block"),
        ({"site": "blocks.1.resid_post", "target_layer": 4}, "no block 4"),
        ({"site": "embed", "position": 99}, "position 99 is outside the prompt"),
        ({"site": "embed", "position": -99}, "position -99 is outside the prompt"),
        ({"site": "embed", "target_position": 40}, "40 is outside the target prompt"),
        ({"site": "embed", "max_tokens": 124}, "reads at most 128 in all"),
        ({"site": "embed", "target_prompt": "tea " * 200}, "reads at most 128"),
    ],
)
def test_what_can_not_be_read_is_refused_before_the_run_is_said_to_have_begun(tiny, asked, words):
    with pytest.raises(BadInput) as refusal:
        next(execute(tiny, Patchscope(**{"prompt": PROMPT, "target_prompt": TARGET} | asked)))
    assert words in str(refusal.value)


def test_the_target_prompt_never_stands_in_the_chat_template(smol):
    parts = []
    request = Patchscope(prompt="Paris", site="embed", chat=True, max_tokens=1)
    run(request, smol, parts.append)
    prompt, target = parts[0].token_ids
    assert prompt == smol.encode("Paris", "auto", True)
    assert target == smol.encode(IDENTITY_PROMPT)


def test_the_price_grows_with_what_is_written(tiny):
    short, long = (price(tiny, Patchscope(prompt="x", site="embed", max_tokens=n)) for n in (2, 40))
    assert long.passes == short.passes + 38
    assert long.seconds > short.seconds
