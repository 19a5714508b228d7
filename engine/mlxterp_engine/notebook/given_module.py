"""Open a model that is in memory already: an MLX module, with its tokenizer or without."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from mlxterp_engine import backend
from mlxterp_engine.backend import Place
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.request import Bos, Device, DTypeChoice
from mlxterp_engine.models.load import network_of
from mlxterp_engine.models.tokens import Tokens
from mlxterp_engine.opening import Loaded, Parts, finding_parts, finished

import mlx.core as mx
import mlx.nn as nn
import msgspec
import numpy as np
from mlx.utils import tree_flatten
from tokenizers import Tokenizer

# As safetensors files name them, so that a module has the hash of the folder that it came from.
DTYPE_NAMES = {
    mx.float32: "F32",
    mx.float16: "F16",
    mx.bfloat16: "BF16",
    mx.uint32: "U32",
    mx.uint8: "U8",
    mx.int32: "I32",
    mx.int8: "I8",
    mx.bool_: "BOOL",
}


def open_module(
    net: nn.Module, tokenizer: Any = None, device: Device = "auto", dtype: DTypeChoice = "auto"
) -> Parts:
    """Find the parts of a module and prove them. The module is used as it is, not in training.

    device: by default the one that MLX uses now. BadInput where a dtype is asked for, or the
    module is no language model with `layers`.
    """
    if dtype != "auto":
        raise BadInput(
            f"dtype is {dtype!r}, and a module that was given is not converted; "
            f"call set_dtype on it first, or leave dtype out"
        )
    if not hasattr(net, "layers"):
        raise BadInput(
            f"{type(net).__name__} has no `layers`; give a language model as mlx_lm.load gives it"
        )
    place = _place(device)
    backend.settle(place)
    net.eval()
    network = network_of(net, _config(net))
    kind = str(network.config.get("model_type") or type(net).__name__)
    loaded = Loaded(
        reference=f"given-{kind}",
        provenance="given as a module",
        sha256=parameters_sha256(net),
        network=network,
        tokens=tokens_given(tokenizer) if tokenizer is not None else IdsOnly(_vocab_size(net)),
        quantisation=_quantisation(net),
    )
    return finished(finding_parts(loaded, place))


def parameters_sha256(net: nn.Module) -> str:
    """SHA-256 over each parameter's name, dtype, shape and bytes, sorted by name.

    The same rule as for a folder's safetensors files: unless loading renamed or converted
    something, a module has the hash of its folder.
    """
    digest = hashlib.sha256()
    parameters: Any = tree_flatten(net.parameters())
    for name, array in sorted(parameters, key=lambda named: named[0]):
        kind = DTYPE_NAMES.get(array.dtype, str(array.dtype))
        digest.update(json.dumps([name, kind, list(array.shape)]).encode())
        digest.update(np.array(mx.contiguous(array).reshape(-1).view(mx.uint8)).tobytes())
    return digest.hexdigest()


def tokens_given(tokenizer: Any) -> Tokens:
    """What reads text with a tokenizer of mlx-lm, of transformers, or of `tokenizers`.

    The tokenizer itself is copied, and not changed.
    """
    if isinstance(tokenizer, Tokens):
        return tokenizer
    inner = tokenizer
    if not isinstance(inner, Tokenizer):
        inner = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(inner, Tokenizer):
        raise BadInput(
            f"a {type(tokenizer).__name__} can't be read as a tokenizer; give the one of "
            "mlx_lm.load, a fast one of transformers, or a tokenizers.Tokenizer"
        )
    copied = Tokenizer.from_str(inner.to_str())
    copied.no_truncation()
    copied.no_padding()
    return Tokens(
        copied,
        bos_id=getattr(tokenizer, "bos_token_id", None),
        eos_ids=_ends(tokenizer),
        chat_template=_template(tokenizer),
    )


def with_tokenizer(parts: Parts, tokenizer: Any) -> Parts:
    """The same model, read with another tokenizer than its own."""
    tokens = tokens_given(tokenizer)
    card = msgspec.structs.replace(
        parts.card, adds_bos=tokens.adds_bos, has_chat_template=tokens.has_chat_template
    )
    return replace(parts, tokens=tokens, card=card)


class IdsOnly(Tokens):
    """For a model without a tokenizer: ids have names, and text is refused."""

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self.bos_id = None
        self.eos_ids = ()
        self.adds_bos = False
        self._template = None
        self._added = {}

    def encode(self, text: str, bos: Bos = "auto", chat: bool = False) -> list[int]:
        self._refuse(f"the text {text!r} can't be read")

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.strings(ids))

    def strings(self, ids: Iterable[int]) -> list[str]:
        return [f"⟨id {i}⟩" for i in ids]

    def single(self, text: str, what: str = "the token") -> int:
        self._refuse(f"{what} {text!r} can't be read")

    def _refuse(self, what: str) -> NoReturn:
        raise BadInput(
            f"{what}: this model was given without its tokenizer; give token ids, or "
            "InterpretableModel(module, tokenizer)"
        )


def _place(device: Device) -> Place:
    if device == "auto":
        device = "gpu" if mx.default_device() == mx.gpu else "cpu"
    return Place(backend.choose(device).device, None)


def _config(net: nn.Module) -> dict[str, Any]:
    """The sizes that mlx-lm's models keep in `args`; empty for others."""
    config = {"model_type": getattr(net, "model_type", None)} | _fields(getattr(net, "args", None))
    if "text_config" in config:  # of a vision-language wrapper
        config["text_config"] = _fields(config["text_config"])
    return {name: value for name, value in config.items() if value is not None}


def _fields(args: Any) -> dict[str, Any]:
    """What a config holds, whether it is a dictionary, a dataclass or missing."""
    return dict(args if isinstance(args, dict) else vars(args) if args else {})


def _quantisation(net: nn.Module) -> str:
    bits = {module.bits for module in net.modules() if hasattr(module, "bits")}
    return ", ".join(f"{n}-bit" for n in sorted(bits)) or "none"


def _vocab_size(net: Any) -> int:
    """How many logits the module gives."""
    return net(mx.array([[0]])).shape[-1]


def _ends(tokenizer: Any) -> list[int]:
    several = getattr(tokenizer, "eos_token_ids", None)
    one = getattr(tokenizer, "eos_token_id", None)
    ids = sorted(several) if several else [one]
    return [i for i in ids if isinstance(i, int)]


def _template(tokenizer: Any) -> str | None:
    template = getattr(tokenizer, "chat_template", None)
    if isinstance(template, dict):
        template = template.get("default")
    return template if isinstance(template, str) else None
