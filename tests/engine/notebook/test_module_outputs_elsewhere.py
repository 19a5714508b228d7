"""Module outputs in architectures of every kind, against a hook on each module alone."""

from mlxterp_engine import InterpretableModel
from mlxterp_engine.models.calls import calls_through, first_array

import mlx.core as mx
import pytest
from engine.architectures.building import IDS, build

# Post-norms and soft-caps, four streams, tuples, several heads' layouts, latent attention,
# experts, sinks, state spaces, recurrences, containers that can't be called, wrappers.
KINDS = (
    "deepseek_v3",
    "exaone",
    "falcon_h1",
    "gemma2",
    "gemma3n",
    "gpt_oss",
    "hunyuan",
    "jamba",
    "kimi_vl",
    "minicpm",
    "phi",
    "plamo",
    "qwen3_moe",
    "rwkv7",
)


@pytest.mark.parametrize("architecture", KINDS)
def test_every_module_that_ran_once_has_the_output_that_a_hook_sees(architecture):
    net = build(architecture)
    trace = InterpretableModel(net).trace(IDS)
    assert mx.array_equal(trace.logits, net(IDS), equal_nan=True)
    modules = {id(module): path for path, module in net.named_modules() if path}
    seen = outputs_alone(net, modules)
    for path in modules.values():
        once = len(seen[path]) == 1 and isinstance(seen[path][0], mx.array)
        assert (path in trace.activations) == once, path
        if once:
            assert mx.array_equal(trace.activations[path], seen[path][0], equal_nan=True), path
    trace.evaluate()


def outputs_alone(net, modules):
    """By path: the first array of every call, with no other hook in the net."""
    seen = {path: [] for path in modules.values()}

    def hook(path):
        def around(original, args, kwargs):
            output = original(*args, **kwargs)
            seen[path].append(first_array(output))
            return output

        return around

    known = [module for _, module in net.named_modules() if id(module) in modules]
    once = {id(module): module for module in known if callable(module)}
    with calls_through([(module, hook(modules[key])) for key, module in once.items()]):
        net(IDS)
    return seen
