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


@pytest.fixture(scope="session")
def torch_twin(smol):
    """The same weights in transformers' Llama, float32. Needs PyTorch, which is no dependency."""
    torch = pytest.importorskip("torch", reason="pip install torch to compare with it")
    from mlx.utils import tree_flatten
    from transformers import LlamaConfig, LlamaForCausalLM

    a = smol.net.args
    config = LlamaConfig(
        vocab_size=a.vocab_size,
        hidden_size=a.hidden_size,
        intermediate_size=a.intermediate_size,
        num_hidden_layers=a.num_hidden_layers,
        num_attention_heads=a.num_attention_heads,
        num_key_value_heads=a.num_key_value_heads,
        rms_norm_eps=a.rms_norm_eps,
        rope_theta=a.rope_theta,
        tie_word_embeddings=True,
        max_position_embeddings=a.max_position_embeddings,
    )
    twin = LlamaForCausalLM(config).eval()
    weights = {n: torch.tensor(np.array(v)) for n, v in tree_flatten(smol.net.parameters())}
    twin.load_state_dict(weights, strict=False)
    return twin


@pytest.mark.parametrize("length", LENGTHS)
def test_forward_against_pytorch(smol, torch_twin, length):
    import torch

    ids = some_ids(length)
    tensor = torch.tensor(np.array(ids)).long()
    with torch.no_grad():
        logits = torch_twin(tensor, use_cache=False).logits.numpy()
        difference = np.abs(logits - np.array(smol.net(ids))).max() / np.abs(logits).max()
        seconds = alternate(
            12,
            ours=lambda: mx.eval(smol.net(ids)),
            pytorch=lambda: torch_twin(tensor, use_cache=False).logits,
        )
    print(f"\nforward, {length} tokens, logits differ by {difference:.1e}:")
    print("  " + ratio(seconds, "ours", "pytorch"))


SLOW = """
import mlx.core, time
from mlxterp_engine import InterpretableModel
import mlx.core as mx, numpy as np
model = InterpretableModel("smollm2-135m")
ids = mx.array(np.random.default_rng(0).integers(100, 40_000, (1, 16)))
for _ in range(2):
    start = time.perf_counter()
    mx.eval(model.net(ids))
print(time.perf_counter() - start)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the preload is for Linux CPUs")
def test_forward_against_reference_blas(smol):
    ids = some_ids(16)
    ours = alternate(6, forward=lambda: mx.eval(smol.net(ids)))["forward"]
    done = subprocess.run([sys.executable, "-c", SLOW], capture_output=True, text=True, check=True)
    slow = float(done.stdout)
    print(f"\nwithout the preload / with it = {slow / sorted(ours)[3]:.0f}")


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
