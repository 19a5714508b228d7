"""Requests refuse bad values in words, and read back as they were written."""

from mlxterp_engine.experiments import (
    EXPERIMENTS,
    ActivationPatching,
    Attention,
    AttributionPatching,
    BadInput,
    CausalTracing,
    Generate,
    LogitLens,
    Patchscope,
    PathPatching,
    Substitutes,
    Trace,
    TrainRidgeLens,
    TrainTunedLens,
    TunedLens,
    parameters_of,
    request_from,
)

import pytest
from hypothesis import given
from hypothesis import strategies as st

text = st.text(min_size=1, max_size=20).filter(lambda words: "\x00" not in words)


@given(text, st.integers(1, 50), st.none() | text, st.integers(0, 2**32 - 1))
def test_a_request_reads_back_from_its_parameters(prompt, top_k, target, seed):
    request = LogitLens(prompt=prompt, top_k=top_k, target=target, seed=seed)
    parameters = parameters_of(request)
    assert request_from(parameters.pop("name"), parameters) == request


@given(text, st.just("all") | st.lists(st.integers(0, 99), min_size=1, unique=True))
def test_layers_read_back_as_a_list_or_as_all(prompt, layers):
    request = Attention(prompt=prompt, layers=layers)
    assert request_from("attention", {"prompt": prompt, "layers": layers}) == request
    parameters = parameters_of(request)
    assert request_from(parameters.pop("name"), parameters) == request


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("logit-lense", {}, "there is no experiment 'logit-lense'; there are: logit-lens"),
        ("logit-lens", {"prompt": ""}, "prompt is empty"),
        ("logit-lens", {"prompt": "a\x00b"}, "NUL byte at 1"),
        ("logit-lens", {"prompt": "x", "top_k": 0}, "top_k is 0; give a whole number from 1 to 50"),
        ("logit-lens", {"prompt": "x", "top_k": 51}, "top_k is 51"),
        ("logit-lens", {"prompt": "x", "bos": "yes"}, "bos is 'yes'; give one of auto, on, off"),
        ("logit-lens", {"prompt": "x", "device": "tpu"}, "device is 'tpu'"),
        ("logit-lens", {"prompt": "x", "dtype": "int8"}, "dtype is 'int8'"),
        ("logit-lens", {"prompt": "x", "seed": -1}, "seed is -1"),
        ("logit-lens", {"prompt": "x", "model": " "}, "model is empty"),
        ("logit-lens", {"prompt": "x", "colour": 1}, "colour"),
        ("logit-lens", {"prompt": "x", "state": "attn_out"}, "state is 'attn_out'; give one of"),
        ("logit-lens", {"prompt": "x", "patch": ["embed@0"]}, "patch and patch_prompt go together"),
        ("logit-lens", {"prompt": "x", "patch_prompt": "y"}, "patch and patch_prompt go together"),
        ("tuned-lens", {"prompt": "x"}, "lens"),
        ("patchscope", {"prompt": "x"}, "site"),
        ("patchscope", {"prompt": "x", "site": "embed", "target_prompt": ""}, "target_prompt is"),
        ("patchscope", {"prompt": "x", "site": "embed", "target_layer": -1}, "target_layer is -1"),
        ("patchscope", {"prompt": "x", "site": "embed", "max_tokens": 0}, "max_tokens is 0"),
        ("patchscope", {"prompt": "x", "site": "embed", "top_k": 0}, "top_k is 0"),
        ("tuned-lens", {"prompt": "x", "lens": ""}, "lens is empty"),
        ("logit-lens", {}, "prompt"),
        ("trace", {"prompt": "x", "sites": []}, "sites is empty"),
        ("attention", {"prompt": "x", "layers": []}, "layers is []; give block numbers from 0"),
        ("attention", {"prompt": "x", "layers": [3, -1]}, "layers is [3, -1]"),
        ("attention", {"prompt": "x", "layers": [3, 3]}, "names a block twice"),
        ("attention", {"prompt": "x", "layers": "some"}, "some"),
        ("attention", {"prompt": ""}, "prompt is empty"),
        ("generate", {"prompt": "x", "max_tokens": 0}, "max_tokens is 0"),
        ("generate", {"prompt": "x", "temperature": -0.5}, "temperature is -0.5"),
        ("generate", {"prompt": "x", "temperature": float("nan")}, "temperature is nan"),
        ("generate", {"prompt": "x", "top_p": 0}, "top_p is 0"),
        ("generate", {"prompt": "x", "top_p": 1.01}, "top_p is 1.01"),
        ("generate", {"prompt": "x", "top_k": -1}, "top_k is -1"),
        ("generate", {"prompt": "x", "min_p": 2}, "min_p is 2"),
        ("generate", {"prompt": ""}, "prompt is empty"),
        ("train-tuned-lens", {"steps": 0}, "steps is 0; give a whole number from 1"),
        ("train-tuned-lens", {"tokens_per_step": 126}, "a sequence of 128 trains on 127"),
        ("train-tuned-lens", {"optimizer": "lion"}, "optimizer is 'lion'; give one of sgd, adam"),
        ("train-tuned-lens", {"corpus": []}, "give files, 'builtin' or 'self'"),
        ("train-tuned-lens", {"resume": True}, "resume needs out_dir"),
        ("train-ridge-lens", {"ridge": -1.0}, "ridge is -1.0"),
        ("train-ridge-lens", {"resume": True, "out_dir": "x"}, "fitted in one go"),
    ],
)
def test_a_bad_value_is_refused_in_words(name, parameters, words):
    with pytest.raises(BadInput) as refusal:
        request_from(name, parameters)
    assert words in str(refusal.value)


def test_python_and_the_wire_refuse_alike():
    with pytest.raises(BadInput, match="top_k is 0"):
        LogitLens(prompt="x", top_k=0)


def test_every_experiment_is_known_by_the_name_of_its_file():
    known = {
        "logit-lens": LogitLens,
        "tuned-lens": TunedLens,
        "train-tuned-lens": TrainTunedLens,
        "train-ridge-lens": TrainRidgeLens,
        "patchscope": Patchscope,
        "trace": Trace,
        "attention": Attention,
        "generate": Generate,
        "activation-patching": ActivationPatching,
        "attribution-patching": AttributionPatching,
        "path-patching": PathPatching,
        "causal-tracing": CausalTracing,
        "substitutes": Substitutes,
    }
    assert known == EXPERIMENTS
    for name, request in EXPERIMENTS.items():
        assert request.__module__.endswith(name.replace("-", "_"))
