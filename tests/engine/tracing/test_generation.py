"""Writing on, token by token: with caches and edits it is what one whole pass gives."""

from itertools import pairwise

from mlxterp_engine.experiments.errors import BadInput, RunFailed
from mlxterp_engine.models.anatomy import discover
from mlxterp_engine.tracing import generation
from mlxterp_engine.tracing import interventions as iv
from mlxterp_engine.tracing.cached_edits import within
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.generation import (
    NewToken,
    Read,
    Sampling,
    cache_error,
    finish,
    generate,
)
from mlxterp_engine.tracing.proofs import relative_error
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import numpy as np
import pytest
from mlx_lm.generate import generate_step
from mlx_lm.models import deepseek_v3, falcon_h1, gemma3_text

TEXT = "Alice was beginning to get very tired of sitting by her sister"
# The contract's own tolerance allows for deep models; four blocks stay below this.
EXACT = 5e-6


def written(model, edits=(), text=TEXT, **options):
    options = {"max_tokens": 8, "chunk": 3} | options
    return finish(generate(model.net, model.anatomy, model.encode(text), edits, **options))


def slowly(model, edits, prompt, new):
    """The reference: for each new token a whole pass over all before -> logits [step, vocab]."""
    logits = []
    for step in range(len(new)):
        ids = [*prompt, *new[:step]]
        here = [e.resolved(len(prompt), len(prompt) + len(new)) for e in edits]
        logits.append(model.run(ids, (), within(here, len(ids))).logits[0, -1])
    return mx.stack(logits)


EDITS = {
    "nothing": [],
    "the residual stream": [("blocks.1.resid_post", iv.noise(0.3, 1))],
    "the prompt": [("blocks.1.resid_post", iv.at_positions("prompt", iv.noise(0.3, 1)))],
    "new tokens": [("blocks.1.resid_post", iv.at_positions("new", iv.noise(3.0, 1)))],
    "the prompt's last token": [("blocks.2.mlp_out", iv.at_positions(-1, iv.noise(3.0)))],
    "a span over the seam": [("embed", iv.at_positions(slice(-2, 21), iv.noise(0.3)))],
    "a query head": [("blocks.1.attn.q[2]", iv.noise(2.0))],
    "keys": [("blocks.1.attn.k", iv.noise(2.0, 4))],
    "keys at positions": [("blocks.0.attn.k[1]", iv.at_positions([2, -1], iv.noise(9.0)))],
    "values of new tokens": [("blocks.1.attn.v", iv.at_positions("new", iv.scale(3)))],
    "heads": [("blocks.1.attn.z[0,3]", iv.scale(3))],
    "a pattern": [("blocks.1.attn.pattern[1,2]", iv.scale(0.2))],
    "a pattern's rows": [("blocks.1.attn.pattern", iv.at_positions(slice(9, 18), iv.zero_out))],
    "neurons": [("blocks.2.mlp.post[3,17]", iv.replace_with(4.0))],
    "a direction": [("blocks.1.resid_mid", iv.project_out(mx.arange(128)))],
    "several": [
        ("embed", iv.noise(0.1)),
        ("blocks.1.attn.v", iv.at_positions(3, iv.zero_out)),
        ("final_norm", iv.scale(1.2)),
        ("logits", iv.at_positions("new", iv.scale(0.5))),
    ],
}


def edits_of(model, words):
    return [iv.edit(model.sites.parse(site), what) for site, what in EDITS[words]]


@pytest.mark.parametrize("words", EDITS)
def test_with_a_cache_edits_do_what_they_do_in_whole_passes(tiny, words):
    edits = edits_of(tiny, words)
    made = written(tiny, edits)
    reference = slowly(tiny, edits, made.prompt, made.ids)
    kept = mx.stack(list(made.kept.values()))
    assert relative_error(kept, reference) < EXACT
    assert finish(cache_error(tiny.net, tiny.anatomy, made)) < EXACT
    assert made.ids == mx.argmax(reference, axis=-1).tolist()
    logprobs = reference - mx.logsumexp(reference, axis=-1, keepdims=True)
    chosen = [logprobs[step, token].item() for step, token in enumerate(made.ids)]
    assert made.logprobs == pytest.approx(chosen, abs=1e-4)  # of logits up to 20, in float32


@pytest.mark.parametrize("words", [words for words in EDITS if words != "nothing"])
def test_every_one_of_these_edits_changes_the_logits(tiny, words):
    """What makes the test above one: an edit that was dropped would be seen."""
    made = written(tiny, edits_of(tiny, words))
    plain = slowly(tiny, [], made.prompt, made.ids)
    assert relative_error(mx.stack(list(made.kept.values())), plain) > 100 * EXACT


def test_an_edited_pattern_never_reads_the_future(tiny):
    """In a whole pass it could: its rows are as long as the text."""
    edits = [iv.edit(tiny.sites.parse("blocks.1.attn.pattern[1]"), iv.replace_with(0.1))]
    made = written(tiny, edits)
    assert finish(cache_error(tiny.net, tiny.anatomy, made)) < EXACT
    for_trace = slowly(tiny, edits, made.prompt, made.ids)
    assert relative_error(mx.stack(list(made.kept.values())), for_trace) > 100 * EXACT


def test_noise_on_a_pattern_is_refused_for_its_width_grows(tiny):
    operation = iv.compose(iv.scale(0.5), iv.noise(0.1))
    with pytest.raises(BadInput, match="a draw depends on the width"):
        written(tiny, [iv.edit(Site("attn.pattern", 1), operation)])


def test_the_contract_finds_an_edit_that_a_cache_can_not_follow(tiny):
    """An operation of the user's own that looks at other positions is reported, not hidden."""
    mixing = iv.edit(Site("resid_post", 1), lambda x: x - x.mean(axis=1, keepdims=True))
    made = written(tiny, [mixing])
    assert finish(cache_error(tiny.net, tiny.anatomy, made)) > generation.TOLERANCE[0]


def test_greedy_tokens_and_logprobs_are_those_of_mlx_lm(smol):
    ids = smol.encode("The capital of France is")
    steps = generate_step(mx.array(ids), smol.net, max_tokens=12)
    theirs = [(token, logprobs[token].item()) for token, logprobs in steps]
    made = finish(generate(smol.net, smol.anatomy, ids, max_tokens=12))
    assert made.ids == [token for token, _ in theirs]
    assert smol.tokens.decode(made.ids).startswith(" Paris")
    assert made.logprobs == pytest.approx([logprob for _, logprob in theirs], abs=1e-4)
    assert finish(cache_error(smol.net, smol.anatomy, made)) < generation.TOLERANCE[0]


def test_parts_say_how_far_the_prompt_is_read_and_then_give_each_token(tiny):
    ids = tiny.encode(TEXT)
    parts = list(generate(tiny.net, tiny.anatomy, ids, max_tokens=4, chunk=5))
    read = [part.done for part in parts if isinstance(part, Read)]
    assert read[-1] == len(ids)
    assert all(after - before <= 5 for before, after in pairwise([0, *read]))
    assert [part.id for part in parts if isinstance(part, NewToken)] == written(tiny).ids[:4]


def test_chunks_do_not_change_what_is_written(tiny):
    edits = edits_of(tiny, "several")
    whole = written(tiny, edits, chunk=1000)
    assert written(tiny, edits, chunk=1).ids == whole.ids


@pytest.mark.parametrize(
    "limits", [{}, {"top_p": 0.9}, {"top_k": 5}, {"min_p": 0.02}, {"top_p": 0.9, "top_k": 20}]
)
def test_the_same_seed_draws_the_same_tokens_and_another_draws_others(tiny, limits):
    def draws(seed):
        return written(tiny, sampling=Sampling(temperature=1.5, seed=seed, **limits)).ids

    first = draws(1)
    mx.random.normal((3,))  # what others draw in between does not matter
    assert draws(1) == first
    assert draws(2) != first


def test_top_k_draws_from_the_k_likeliest_alone(tiny):
    edits = [iv.edit(Site("logits"), iv.scale(0.0))]  # all alike: unlimited draws go anywhere
    ids = written(tiny, edits, sampling=Sampling(temperature=1.0)).ids
    assert len(set(ids)) > 1
    made = written(tiny, sampling=Sampling(temperature=3.0, top_k=2), max_tokens=20)
    steps = zip(made.ids, made.kept.values(), strict=True)
    ranks = [int((logits > logits[token]).sum()) for token, logits in steps]
    assert set(ranks) == {0, 1}


def test_logprobs_are_of_the_edited_model_before_limits_and_temperature(tiny):
    edits = [iv.edit(Site("logits"), iv.replace_with(0.0))]
    made = written(tiny, edits, sampling=Sampling(temperature=0.3, top_k=3))
    assert made.logprobs == pytest.approx([-np.log(tiny.card.vocab_size)] * 8, abs=1e-5)


def test_it_stops_at_an_end_token_and_keeps_it(tiny):
    plain = written(tiny).ids
    end = plain[3]
    made = written(tiny, end_ids={end})
    assert made.ids == plain[: plain.index(end) + 1]
    assert made.stopped
    assert not written(tiny).stopped
    assert finish(cache_error(tiny.net, tiny.anatomy, made)) < EXACT


def test_long_generations_keep_the_logits_of_some_steps_and_of_the_last(tiny, monkeypatch):
    monkeypatch.setattr(generation, "KEPT", 3)
    made = written(tiny, max_tokens=8)
    assert list(made.kept) == [0, 3, 6, 7]
    assert finish(cache_error(tiny.net, tiny.anatomy, made)) < EXACT


@pytest.mark.parametrize(("words", "positions"), [("heads", 8), ("several", 19 + 7)])
def test_the_contract_unembeds_no_more_of_a_prompt_than_it_compares(
    tiny, monkeypatch, words, positions
):
    """All of it only where an edit behind the last block counts positions."""
    made = written(tiny, edits_of(tiny, words))
    seen = []

    def watched(*args):
        seen.append(forward(*args))
        return seen[-1]

    monkeypatch.setattr(generation, "forward", watched)
    assert finish(cache_error(tiny.net, tiny.anatomy, made)) < EXACT
    assert [run.logits.shape[1] for run in seen] == [positions]


def test_closing_it_between_two_tokens_leaves_nothing_open(tiny):
    parts = generate(
        tiny.net, tiny.anatomy, tiny.encode(TEXT), edits_of(tiny, "heads"), max_tokens=50
    )
    assert sum(isinstance(next(parts), NewToken) for _ in range(6)) > 0
    parts.close()
    assert written(tiny).ids == written(tiny).ids


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_tokens": 0}, "0 tokens after"),
        ({"sampling": Sampling(temperature=-1)}, "temperature is -1"),
        ({"sampling": Sampling(temperature=float("nan"))}, "temperature is nan"),
        ({"sampling": Sampling(top_p=1.5)}, "top_p is 1.5"),
        ({"sampling": Sampling(min_p=-0.1)}, "min_p is -0.1"),
        ({"sampling": Sampling(top_k=1024)}, "top_k is 1024; give a whole number from 0"),
    ],
)
def test_options_without_sense_are_refused(tiny, options, words):
    with pytest.raises(BadInput) as refusal:
        written(tiny, **options)
    assert words in str(refusal.value)


def test_new_tokens_that_are_never_read_can_not_be_edited(tiny):
    edit = iv.edit(Site("resid_post", 1), iv.at_positions("new", iv.zero_out))
    with pytest.raises(BadInput, match="no new token is read in this run"):
        written(tiny, [edit], max_tokens=1)


def test_an_edit_that_never_had_its_turn_is_an_error(tiny):
    first = written(tiny).ids[0]
    edit = iv.edit(Site("resid_post", 1), iv.at_positions("new", iv.zero_out))
    with pytest.raises(RunFailed, match="the generation ended after 1 new tokens"):
        written(tiny, [edit], end_ids={first})


def test_logits_that_are_not_finite_name_their_step(tiny):
    edits = [iv.edit(Site("resid_post", 1), iv.at_positions("new", iv.scale(1e38)))]
    with pytest.raises(RunFailed, match="logits for new token 2 are not finite; make the interv"):
        written(tiny, edits)


def net_of(module, **sizes):
    mx.random.seed(3)
    net = module.Model(module.ModelArgs.from_dict(sizes))
    return net, discover(net, mx.array([[3, 1, 4, 1, 5, 9, 2, 6]]))


SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 61,
}


def windowed():
    return net_of(
        gemma3_text,
        model_type="gemma3_text",
        num_hidden_layers=3,
        sliding_window=8,
        sliding_window_pattern=3,
        **SIZES,
    )


def test_windows_that_turn_over_give_the_same_as_a_whole_pass():
    net, anatomy = windowed()
    edits = [iv.edit(Site("resid_post", 0), iv.noise(0.3)), iv.edit(Site("attn.z", 1), iv.scale(2))]
    made = finish(generate(net, anatomy, [5, 6, 7, 8, 9, 1], edits, max_tokens=20, chunk=4))
    assert finish(cache_error(net, anatomy, made)) < EXACT


def test_keys_that_a_window_forgets_can_not_be_edited_and_others_can():
    net, anatomy = windowed()
    full = [iv.edit(Site("attn.k", 2), iv.noise(0.5))]
    made = finish(generate(net, anatomy, [5, 6, 7], full, max_tokens=20, chunk=4))
    assert finish(cache_error(net, anatomy, made)) < EXACT
    local = [iv.edit(Site("attn.k", 0), iv.noise(0.5))]
    made = finish(generate(net, anatomy, [5, 6, 7], local, max_tokens=6, chunk=4))
    assert finish(cache_error(net, anatomy, made)) < EXACT
    with pytest.raises(BadInput, match="cache keeps 8 tokens and the run may read 9"):
        finish(generate(net, anatomy, [5, 6, 7], local, max_tokens=7))


def test_recurrent_blocks_write_on_too():
    net, anatomy = net_of(
        falcon_h1,
        model_type="falcon_h1",
        num_hidden_layers=2,
        mamba_d_ssm=32,
        mamba_n_heads=4,
        mamba_d_head=8,
        mamba_d_state=8,
        mamba_n_groups=1,
        mamba_d_conv=4,
        mamba_chunk_size=8,
        **SIZES,
    )
    edits = [iv.edit(Site("resid_post", 0), iv.noise(0.3))]
    made = finish(generate(net, anatomy, [5, 6, 7, 8, 9, 1], edits, max_tokens=12, chunk=4))
    assert finish(cache_error(net, anatomy, made)) < EXACT


def test_latent_attention_is_refused_where_its_cache_has_another_form():
    net, anatomy = net_of(
        deepseek_v3,
        model_type="deepseek_v3",
        num_hidden_layers=2,
        kv_lora_rank=8,  # so that queries look alike in both forms
        q_lora_rank=16,
        qk_rope_head_dim=8,
        v_head_dim=8,
        qk_nope_head_dim=8,
        n_routed_experts=None,
        first_k_dense_replace=2,
        **(SIZES | {"num_key_value_heads": 4}),
    )
    for kind in ("attn.q", "attn.k", "attn.v", "attn.z"):
        edits = [iv.edit(Site(kind, 0), iv.noise(0.3))]
        with pytest.raises(BadInput, match="in another form when it reads from its cache"):
            finish(generate(net, anatomy, [5, 6, 7], edits, max_tokens=4))
    edits = [iv.edit(Site("attn.pattern", 0), iv.at_positions("new", iv.scale(0.5)))]
    made = finish(generate(net, anatomy, [5, 6, 7], edits, max_tokens=6))
    assert finish(cache_error(net, anatomy, made)) < EXACT
