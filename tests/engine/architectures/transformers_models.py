"""Tiny random models of transformers, and what its modules compute, seen through hooks."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import transformers
from engine.architectures.sizes import LAYERS, ROPE, SIZES
from engine.architectures.transformers_families import FAMILIES, Family
from safetensors.torch import load_file, save_file
from torch import nn

transformers.logging.disable_progress_bar()

Change = Callable[[torch.Tensor], torch.Tensor]


def build(name: str) -> Any:
    """A model in float32 on the CPU, every weight moved off its initial value."""
    torch.manual_seed(0)
    kind = transformers.CONFIG_MAPPING[name]
    known = {f.name for f in dataclasses.fields(kind)} | set(kind.attribute_map)
    wanted = SIZES | {"pad_token_id": 0} | FAMILIES[name].config
    chosen = {key: value for key, value in wanted.items() if key in known and value is not None}
    config = kind(**copy.deepcopy(chosen))  # it writes into what it is given
    net = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    net = net.float().eval()
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(torch.randn_like(weight) * (0.1 if weight.ndim < 2 else 0.15))
    return net


def save(net: Any, name: str, folder: Path) -> None:
    """As a folder that mlx-lm reads; its files want some settings where older configs had them."""
    net.save_pretrained(folder)
    weights = folder / "model.safetensors"
    save_file(FAMILIES[name].stored(load_file(weights)), weights, {"format": "pt"})
    file = folder / "config.json"
    older = {"rope_theta": ROPE["rope_theta"], "rope_scaling": None, "head_dim": SIZES["head_dim"]}
    config = older | json.loads(file.read_text(encoding="utf-8")) | FAMILIES[name].beside
    file.write_text(json.dumps(config), encoding="utf-8")


def run(
    net: Any, name: str, ids: list[list[int]], changes: Mapping[str, Change] | None = None
) -> dict[str, torch.Tensor]:
    """One pass: what transformers computes, by the address that we give it.

    changes: at attn.z, attn_out, mlp_out and resid_post, what the model shall go on with.
    """
    family, watch = FAMILIES[name], _Watch(changes or {})
    blocks = next(m for m in net.modules() if isinstance(m, nn.ModuleList) and len(m) == LAYERS)
    with ExitStack() as hooks:
        for index, block in enumerate(blocks):
            hooks.enter_context(watch.block(block, f"blocks.{index}.", family))
        hooks.enter_context(watch.attention(blocks))
        hooks.enter_context(watch.output(getattr(net.base_model, family.norm), "final_norm"))
        with torch.no_grad():
            out = net(torch.tensor(ids), use_cache=False, output_attentions=True)
    seen = watch.seen | {"logits": out.logits, "embed": watch.seen["blocks.0.resid_pre"]}
    patterns = out.get("attentions") or ()
    if len(patterns) == LAYERS:  # a model with other blocks besides leaves those out
        named = {f"blocks.{index}.attn.pattern": p for index, p in enumerate(patterns)}
        seen |= {site: pattern for site, pattern in named.items() if pattern is not None}
    return seen


class _Watch:
    """What hooks have seen, by address."""

    def __init__(self, changes: Mapping[str, Change]) -> None:
        self.changes = changes
        self.seen: dict[str, torch.Tensor] = {}

    def visit(self, site: str, value: torch.Tensor) -> torch.Tensor:
        if site in self.changes:
            value = self.changes[site](value)
        self.seen[site] = value
        return value

    @contextmanager
    def block(self, block: nn.Module, prefix: str, family: Family) -> Iterator[None]:
        outputs = {"attn_out": family.attn_out, "mlp_out": family.mlp_out}
        inputs = {"mlp.post": family.neurons, "resid_mid": family.middle}
        with ExitStack() as hooks:
            hooks.enter_context(self.input(block, prefix + "resid_pre"))
            hooks.enter_context(self.output(block, prefix + "resid_post"))
            for kind, paths in outputs.items():
                for module in _within(block, paths):
                    hooks.enter_context(self.output(module, prefix + kind, family.times))
            for kind, paths in inputs.items():
                for module in _within(block, paths):
                    hooks.enter_context(self.input(module, prefix + kind))
            yield

    @contextmanager
    def output(self, module: nn.Module, site: str, times: float = 1.0) -> Iterator[None]:
        def note(_: nn.Module, args: Any, output: Any) -> Any:
            several = isinstance(output, tuple)
            value = self.visit(site, times * (output[0] if several else output)) / times
            return (value, *output[1:]) if several else value

        handle = module.register_forward_hook(note)
        try:
            yield
        finally:
            handle.remove()

    @contextmanager
    def input(self, module: nn.Module, site: str) -> Iterator[None]:
        def note(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
            self.visit(site, args[0] if args else kwargs["hidden_states"])

        handle = module.register_forward_pre_hook(note, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    @contextmanager
    def attention(self, blocks: nn.ModuleList) -> Iterator[None]:
        """Through `eager_attention_forward`, which most model files have (GPT-J has not)."""
        source = importlib.import_module(type(blocks[0]).__module__)
        original: Callable[..., Any] | None = getattr(source, "eager_attention_forward", None)
        if original is None:
            yield
            return
        block_of = {id(part): at for at, block in enumerate(blocks) for part in block.modules()}

        def note(module: nn.Module, q: Any, k: Any, v: Any, *args: Any, **kwargs: Any) -> Any:
            z, pattern = original(module, q, k, v, *args, **kwargs)  # z: [batch, pos, head, d]
            prefix = f"blocks.{block_of[id(module)]}.attn."
            self.seen |= {prefix + "q": q, prefix + "k": k, prefix + "v": v}
            self.seen[prefix + "pattern"] = pattern
            return self.visit(prefix + "z", z.transpose(1, 2)).transpose(1, 2), pattern

        with patch.object(source, "eager_attention_forward", note):
            yield


def _within(block: nn.Module, paths: str) -> list[nn.Module]:
    """Of "a or b" the part that the block has, alone in a list; [] where it has none."""
    parts = dict(block.named_modules())
    return [parts[path] for path in paths.split(" or ") if path and parts.get(path)][:1]
