"""Recording and editing a real forward pass, against sums that must hold."""

from mlxterp_engine import interventions as iv
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.tracing.forward import check_consumed, forward
from mlxterp_engine.tracing.interventions import at_positions, edit
from mlxterp_engine.tracing.proofs import relative_error
from mlxterp_engine.tracing.sites import BLOCK_KINDS, MODEL_KINDS, Site

import mlx.core as mx
import pytest
from mlx_lm.models.cache import make_prompt_cache

TEXT = "Alice was beginning to get very tired"


def test_recording_every_site_changes_no_bit_of_the_logits(tiny):
    ids = mx.array([tiny.encode(TEXT)])
    with tiny.trace(TEXT) as trace:
        assert mx.array_equal(trace.logits, tiny.net(ids))
    assert len(trace.activations.sites) == 1 + 4 * 11 + 2


def test_the_residual_stream_adds_up_in_every_block(tiny):
    with tiny.trace(TEXT) as trace:
        act = trace.activations
        for block in range(4):
            at = f"blocks.{block}."
            mid = act[at + "resid_pre"] + act[at + "attn_out"]
            assert mx.array_equal(act[at + "resid_mid"], mid)
            assert mx.array_equal(act[at + "resid_post"], mid + act[at + "mlp_out"])
    assert mx.array_equal(act["embed"], act["blocks.0.resid_pre"])


def test_patterns_are_causal_distributions_and_rebuild_z(tiny):
    with tiny.trace(TEXT) as trace:
        pattern = trace.activations["blocks.2.attn.pattern"][0]
        v, z = (trace.activations[f"blocks.2.attn.{kind}"][0] for kind in ("v", "z"))
    heads, length = pattern.shape[:2]
    assert mx.allclose(pattern.sum(axis=-1), mx.ones((heads, length)), atol=1e-5)
    assert mx.array_equal(pattern, mx.tril(pattern))
    for head in range(heads):  # two query heads read each key-value head
        assert relative_error(pattern[head] @ v[head // 2], z[head]) < 1e-5


def test_neurons_through_the_down_projection_are_the_mlp_output(tiny):
    with tiny.trace(TEXT) as trace:
        neurons = trace.activations["blocks.1.mlp.post"]
        out = trace.activations["blocks.1.mlp_out"]
    assert mx.array_equal(tiny.net.layers[1].mlp.down_proj(neurons), out)


@pytest.mark.parametrize("site", [*MODEL_KINDS, *(f"blocks.1.{kind}" for kind in BLOCK_KINDS)])
def test_every_site_can_be_edited_and_the_edit_is_what_is_recorded(tiny, site):
    with tiny.trace(TEXT) as clean, tiny.trace(TEXT, {site: iv.scale(0.5)}) as edited:
        pass
    assert relative_error(edited.activations[site], clean.activations[site] * 0.5) < 1e-5
    assert relative_error(edited.logits, clean.logits) > 1e-4


def test_zeroing_the_middle_of_a_block_leaves_only_its_mlp(tiny):
    with tiny.trace(TEXT, {"blocks.1.resid_mid": iv.zero_out}) as trace:
        act = trace.activations
        assert mx.abs(act["blocks.1.resid_mid"]).max().item() == 0
        assert mx.array_equal(act["blocks.1.resid_post"], act["blocks.1.mlp_out"])


def test_replacing_a_state_by_itself_changes_nothing(tiny):
    with tiny.trace(TEXT) as clean:
        sites = ["blocks.0.resid_post", "blocks.3.resid_post"]
        edits = {site: iv.replace_with(clean.activations[site]) for site in sites}
    with tiny.trace(TEXT, edits) as again:
        assert mx.array_equal(again.logits, clean.logits)


def test_an_edit_at_a_later_position_leaves_earlier_ones_alone(tiny):
    with tiny.trace(TEXT) as clean:
        pass
    with tiny.trace(TEXT, {"blocks.0.resid_post": iv.at_positions([3], iv.zero_out)}) as edited:
        assert mx.array_equal(edited.logits[:, :3], clean.logits[:, :3])
        assert not mx.array_equal(edited.logits[:, 3:], clean.logits[:, 3:])


def test_several_edits_of_one_site_apply_in_order(tiny):
    z = "blocks.0.attn.z"
    with tiny.trace(TEXT, {f"{z}[0]": iv.zero_out, f"{z}[3]": iv.scale(2)}) as edited:
        pass
    with tiny.trace(TEXT) as clean:
        assert mx.abs(edited.activations[f"{z}[0]"]).max().item() == 0
        assert mx.array_equal(edited.activations[f"{z}[3]"], clean.activations[f"{z}[3]"] * 2)
        assert mx.array_equal(edited.activations[f"{z}[1]"], clean.activations[f"{z}[1]"])


def test_an_error_inside_an_operation_leaves_the_model_as_it_was(tiny):
    def broken(x):
        raise ZeroDivisionError

    ids = mx.array([tiny.encode(TEXT)])
    before = tiny.net(ids)
    with pytest.raises(ZeroDivisionError), tiny.trace(TEXT, {"blocks.2.attn.z": broken}):
        pass
    assert mx.array_equal(tiny.net(ids), before)


def test_an_edit_after_the_run_is_an_error(tiny):
    with tiny.trace(TEXT) as trace, pytest.raises(BadInput, match="this run is over"):
        trace.activations["embed"] = mx.zeros(1)


def test_a_mistyped_site_and_one_not_recorded_are_errors(tiny):
    typo = {"blocks.0.mlp_uot": iv.zero_out}
    with pytest.raises(BadInput, match="closest"), tiny.trace(TEXT, typo):
        pass
    with tiny.trace(TEXT, sites=["embed"]) as trace, pytest.raises(BadInput, match="not recorded"):
        trace.activations["logits"]


def test_prompts_may_be_ids_and_bad_ones_are_refused(tiny):
    ids = tiny.encode(TEXT)
    with tiny.trace(TEXT) as by_text, tiny.trace(mx.array(ids)) as by_ids:
        assert mx.array_equal(by_text.logits, by_ids.logits)
    with pytest.raises(BadInput, match=r"outside 0\.\.1023"), tiny.trace([5, 1024]):
        pass
    with pytest.raises(BadInput, match="no token"), tiny.trace([]):
        pass


def test_what_is_not_looked_at_costs_nothing(tiny):
    """Lazy: a trace holds a graph, and evaluating one early site computes only that."""
    with tiny.trace(TEXT) as trace:
        pass
    mx.reset_peak_memory()
    held = mx.get_active_memory()
    mx.eval(trace.activations["blocks.0.resid_pre"])
    assert mx.get_peak_memory() - held < trace.logits.nbytes  # the logits were not computed


def eight(tiny):
    return mx.array([tiny.encode(TEXT)[:8]])


def cached(tiny, lengths, edits=(), record=()):
    """The tokens in several calls on one cache: their passes, each from its own first token."""
    ids = eight(tiny)
    cache, passes, start = make_prompt_cache(tiny.net), [], 0
    for length in lengths:
        here = ids[:, start : start + length]
        passes.append(
            forward(tiny.net, tiny.anatomy, here, record, edits, cache=cache, offset=start)
        )
        start += length
    assert start == ids.shape[1]
    return passes


@pytest.mark.parametrize("kind", ["resid_post", "mlp_out", "attn.q", "attn.k", "attn.v", "attn.z"])
@pytest.mark.parametrize("position", [1, 4, 6])
def test_a_position_is_the_same_token_with_and_without_a_cache(tiny, kind, position):
    """Key 1 is edited in every call that reads it, as it is in the one full pass."""
    change = edit(Site(kind, 1), at_positions([position], iv.scale(-2.0)))
    whole = forward(tiny.net, tiny.anatomy, eight(tiny), edits=[change]).logits
    passes = cached(tiny, [3, 1, 4], [change])
    together = mx.concatenate([run.logits for run in passes], axis=1)
    assert relative_error(together, whole) < 1e-5  # matrices of other shapes: other sums
    took = [change in run.consumed for run in passes]
    if kind in ("attn.k", "attn.v"):
        assert took == [position < 3, position < 4, True]
    else:
        assert took == [position < 3, position == 3, position > 3]


def test_the_kernel_reads_the_keys_of_the_whole_prefix(tiny):
    sites = [Site(kind, 0) for kind in ("attn.q", "attn.k", "attn.pattern", "resid_post")]
    first, second = cached(tiny, [5, 3], record=sites)
    q, k, pattern, state = (second.sites[site] for site in sites)
    assert (q.shape[2], k.shape[2], state.shape[1]) == (3, 8, 3)
    assert pattern.shape[2:] == (3, 8)
    assert mx.array_equal(k[:, :, :5], first.sites[sites[1]])


def test_an_edit_beyond_every_call_is_for_the_caller_to_refuse(tiny):
    change = edit(Site("resid_post", 1), at_positions([99], iv.zero_out))
    passes = cached(tiny, [4, 4], [change])
    consumed = {change for run in passes for change in run.consumed}
    with pytest.raises(BadInput, match=r"nothing consumed the edit at blocks\.1\.resid_post"):
        check_consumed([change], consumed)


def test_negative_positions_count_from_the_end_of_each_call(tiny):
    change = edit(Site("resid_post", 3), at_positions([-2], iv.zero_out))
    alone, pair = cached(tiny, [1, 7], [change], [change.site])
    assert (change in alone.consumed, change in pair.consumed) == (False, True)
    zeroed = mx.abs(pair.sites[change.site][0]).max(axis=-1) == 0
    assert zeroed.tolist() == [False] * 5 + [True, False]
