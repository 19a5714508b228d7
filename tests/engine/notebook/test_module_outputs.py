"""Every module of a real model, and of toys that do what modules are free to do."""

import gc

from mlxterp_engine import interventions as iv
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.tracing.addresses import Addresses, ModulePath
from mlxterp_engine.tracing.interventions import edit
from mlxterp_engine.tracing.module_edits import module_edits
from mlxterp_engine.tracing.module_outputs import ModuleOutputs
from mlxterp_engine.tracing.proofs import relative_error
from mlxterp_engine.tracing.sites import Site, SiteTable

import mlx.core as mx
import mlx.nn as nn
import pytest

TEXT = "Alice was beginning to get very tired"


class Toy(nn.Module):
    """Doubles, with one module that gives a pair, one that runs twice, one that never does."""

    def __init__(self):
        super().__init__()
        self.pair, self.twice, self.never, self.words = Pair(), Double(), Double(), Words()
        self.shelf = nn.Module()  # holds others, and can't be called

    def __call__(self, x):
        x, _ = self.pair(x)
        self.words(x)
        return self.twice(self.twice(x))


class Double(nn.Module):
    def __call__(self, x):
        return 2 * x


class Pair(nn.Module):
    def __call__(self, x):
        return 2 * x, "state"


class Words(nn.Module):
    def __call__(self, x):
        return "no array"


def run_toy(record=(), edits=()):
    net = Toy()
    addresses = Addresses(net, SiteTable("toy", [], {}), {})
    outputs = ModuleOutputs(addresses, [ModulePath(path) for path in record], 3)
    with module_edits(addresses, edits, [3]):
        result = outputs.during(net)(mx.ones((1, 3, 2)))
    return result, outputs


def test_of_several_things_the_first_is_the_output_and_the_rest_goes_on():
    result, outputs = run_toy(["pair"])
    assert mx.array_equal(outputs.output("pair"), 2 * mx.ones((1, 3, 2)))
    assert mx.array_equal(result, 8 * mx.ones((1, 3, 2)))


def test_an_edit_of_the_first_leaves_the_rest_as_it_is():
    result, _ = run_toy(edits=[edit(Site("pair"), iv.at_positions([1], iv.zero_out))])
    assert result[0, :, 0].tolist() == [8, 0, 8]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("twice", "twice ran 2 times"),
        ("never", "never never ran"),
        ("shelf", "shelf never ran"),
        ("words", "words put out no array"),
        ("pair", "pair was not recorded"),
    ],
)
def test_a_module_without_an_output_of_its_own_says_why(path, words):
    _, outputs = run_toy(["twice", "never", "words", "shelf"])
    with pytest.raises(BadInput, match=words):
        outputs.output(path)
    assert outputs.outputs == {}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("twice", "in vain: twice ran 2 times"),
        ("never", "in vain"),
        ("words", "a str and no array"),
    ],
)
def test_an_edit_without_an_effect_of_its_own_is_refused(path, words):
    with pytest.raises(BadInput, match=words):
        run_toy(edits=[edit(Site(path), iv.zero_out)])


def test_the_model_is_as_it_was_when_an_operation_fails(tiny):
    def broken(x):
        raise ZeroDivisionError

    ids = mx.array([tiny.encode(TEXT)])
    before = tiny.net(ids)
    with pytest.raises(ZeroDivisionError):
        tiny.trace(TEXT, {"model.layers.1.mlp.up_proj": broken})
    assert mx.array_equal(tiny.net(ids), before)


def test_q_proj_is_the_normed_stream_times_its_weights(smol):
    """By hand, from the weights: RMSNorm, then the matrix."""
    with smol.trace(TEXT) as trace:
        found = trace.activations["model.model.layers.3.self_attn.q_proj"]
        stream = trace.activations["blocks.3.resid_pre"]
    block = smol.model.model.layers[3]
    eps = smol.model.args.rms_norm_eps
    normed = stream / mx.sqrt((stream * stream).mean(axis=-1, keepdims=True) + eps)
    expected = (normed * block.input_layernorm.weight) @ block.self_attn.q_proj.weight.T
    assert relative_error(found, expected) < 1e-5  # float32 sums of 576 terms in another order


def test_a_path_is_understood_as_mlx_and_as_mlxterp_count_it(tiny):
    with tiny.trace(TEXT) as trace:
        act = trace.activations
        for path in ("layers.2.mlp.down_proj", "layers.0.input_layernorm", "norm"):
            assert mx.array_equal(act[f"model.{path}"], act[f"model.model.{path}"])
        assert mx.array_equal(act["model.layers.2"], act["blocks.2.resid_post"])
        assert mx.array_equal(act["model.model.layers.2.self_attn"], act["blocks.2.attn_out"])
        assert mx.array_equal(act["__model_output__"], trace.logits)
        weights = act["model.model.layers.2.self_attn.attention_weights"]
        assert mx.array_equal(weights, act["blocks.2.attn.pattern"])


def test_recording_every_module_changes_no_bit_and_iteration_lists_each(tiny):
    with tiny.trace(TEXT) as trace:
        assert mx.array_equal(trace.logits, tiny.net(mx.array(trace.ids)))
    keys = list(trace.activations)
    assert len(keys) == len(set(keys)) == len(trace.activations)
    assert all(isinstance(trace.activations[key], mx.array) for key in keys)
    paths = {path for path, module in tiny.net.named_modules() if path}
    silent = {p for p in paths if p.endswith(".rope") or p == "model.layers"}
    assert {f"model.{path}" for path in paths - silent} <= set(keys)
    assert "model.model.layers.0.self_attn.rope" not in trace.activations  # ran for q and for k


def test_a_mistyped_path_is_absent_and_asking_for_it_names_the_closest(tiny):
    with tiny.trace(TEXT) as trace:
        act = trace.activations
    for wrong in ("model.model.layers.1.self_attn.qproj", "model.layers.44", "mlp", 3):
        assert wrong not in act
    assert act.get("model.layers.44") is None
    with pytest.raises(BadInput, match=r"closest: model\.layers\.1\.self_attn\.q_proj"):
        act["model.model.layers.1.self_attn.qproj"]
    with pytest.raises(BadInput, match="closest"):
        tiny.trace(TEXT, {"model.layers.1.mlp.upproj": iv.zero_out})
    with pytest.raises(BadInput, match="give an operation"):
        tiny.trace(TEXT, {"model.layers.1.mlp": 0.5})


def test_an_edit_of_a_module_is_what_is_recorded_and_what_the_model_goes_on_with(tiny):
    path = "model.model.layers.1.mlp.up_proj"
    edits = {path: iv.at_positions([2], iv.zero_out)}
    with tiny.trace(TEXT) as clean, tiny.trace(TEXT, edits) as edited:
        before, after = clean.activations, edited.activations
        assert mx.abs(after[path][:, 2]).max().item() == 0
        assert mx.array_equal(after[path][:, :2], before[path][:, :2])
        neurons = "blocks.1.mlp.post"  # the gate times zero
        assert mx.abs(after[neurons][:, 2]).max().item() == 0
        assert mx.array_equal(after[neurons][:, 3:], before[neurons][:, 3:])
        assert not mx.array_equal(edited.logits[:, 2:], clean.logits[:, 2:])


def test_an_edit_of_a_site_shows_in_the_modules_that_read_it(tiny):
    with tiny.trace(TEXT, {"blocks.0.resid_post": iv.zero_out}) as trace:
        assert mx.abs(trace.activations["model.layers.1.input_layernorm"]).max().item() == 0


def test_globs_choose_what_is_recorded(tiny):
    with tiny.trace(TEXT, sites=["*.q_proj", "blocks.0.resid_post"]) as trace:
        assert list(trace.activations) == [
            "blocks.0.resid_post",
            "model.model.layers.0",
            *(f"model.model.layers.{layer}.self_attn.q_proj" for layer in range(4)),
        ]
        with pytest.raises(BadInput, match="was not recorded"):
            trace.activations["model.layers.0.self_attn.k_proj"]
    with pytest.raises(BadInput, match="no site"):
        tiny.trace(TEXT, sites=["*.w_proj"])


def test_a_trace_that_is_dropped_holds_no_memory(tiny):
    """Without the garbage collector: nothing in a trace points back to it."""
    gc.collect()
    gc.disable()
    try:
        with tiny.trace(TEXT) as trace:
            mx.eval(trace.logits)
        held = mx.get_active_memory()
        del trace
        assert held - mx.get_active_memory() > 100_000  # the modules' outputs, in 4 blocks
        before = mx.get_active_memory()
        for _ in range(3):
            with tiny.trace(TEXT) as trace:
                mx.eval(trace.logits)
            del trace
        assert mx.get_active_memory() == before
    finally:
        gc.enable()
