"""The bare forward against PyTorch and against no preload; what recording adds."""

import subprocess
import sys

from mlxterp_engine.backend import memory

import mlx.core as mx
import numpy as np
import pytest
from benchmarks.pairs import alternate, ratio

LENGTHS = (16, 64)


def some_ids(count: int) -> mx.array:
    return mx.array(np.random.default_rng(0).integers(100, 40_000, (1, count)))


# Each in a process of its own, in turns: OpenBLAS's waiting threads would slow PyTorch's down.
OURS = """
{first}
from mlxterp_engine import InterpretableModel
import mlx.core as mx, numpy as np
net = InterpretableModel("smollm2-135m").net
ids = mx.array(np.random.default_rng(0).integers(100, 40_000, (1, {length})))
run = lambda: mx.eval(net(ids))
"""
PYTORCH = """
import torch
from transformers import LlamaConfig, LlamaForCausalLM
torch.set_grad_enabled(False)
twin = LlamaForCausalLM(LlamaConfig(
    vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
    num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True,
)).eval().float()
ids = torch.randint(100, 40_000, (1, {length}))
run = lambda: twin(ids, use_cache=False).logits
"""
TIMED = """
import statistics, time
seconds = []
for _ in range({rounds} + 1):
    start = time.perf_counter()
    run()
    seconds.append(time.perf_counter() - start)
print(statistics.median(seconds[1:]))
"""


def seconds_of(code: str, length: int, rounds: int = 12, first: str = "") -> float:
    """The median of some forwards in a fresh process."""
    code = (code + TIMED).format(length=length, rounds=rounds, first=first)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.parametrize("length", LENGTHS)
def test_forward_against_pytorch(smol, length):
    """Needs torch, which is no dependency: the same shapes, random weights."""
    pytest.importorskip("torch", reason="pip install torch to compare with it")
    seconds = {"ours": [], "pytorch": []}
    for _ in range(3):
        seconds["ours"].append(seconds_of(OURS, length))
        seconds["pytorch"].append(seconds_of(PYTORCH, length))
    print(f"\nforward, {length} tokens:\n  " + ratio(seconds, "ours", "pytorch"))


@pytest.mark.skipif(sys.platform != "linux", reason="the preload is for Linux CPUs")
@pytest.mark.parametrize("length", LENGTHS)
def test_forward_against_reference_blas(smol, length):
    slow = seconds_of(OURS, length, rounds=2, first="import mlx.core  # too early for OpenBLAS")
    fast = seconds_of(OURS, length)
    print(f"\nforward, {length} tokens: without the preload / with it = {slow / fast:.0f}")


@pytest.mark.parametrize("length", LENGTHS)
def test_recording_every_site(smol, length):
    ids = some_ids(length)[0].tolist()
    sites = smol.sites.all()
    bytes_held = {}

    def full():
        mx.reset_peak_memory()
        before = memory()[0]
        recorded = smol.run(ids, sites).evaluate()
        bytes_held["recorded"] = sum(a.nbytes for a in recorded.sites.values())
        bytes_held["peak"] = memory()[1] - before

    seconds = alternate(12, recording=full, bare=lambda: mx.eval(smol.run(ids).logits))
    print(f"\nevery site of {length} tokens ({len(sites)} arrays):")
    print("  " + ratio(seconds, "recording", "bare"))
    print("  " + ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in bytes_held.items()))


@pytest.mark.parametrize("length", LENGTHS)
def test_a_trace_of_which_only_the_logits_are_looked_at(smol, length):
    """What every site and module costs that is recorded and not asked for."""
    ids = some_ids(length)
    prompt = ids[0].tolist()
    seconds = alternate(
        12,
        trace=lambda: mx.eval(smol.trace(prompt).logits),
        bare=lambda: mx.eval(smol.net(ids)),
    )
    print(f"\na trace of {length} tokens, logits alone:\n  " + ratio(seconds, "trace", "bare"))
