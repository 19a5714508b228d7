"""Patchscopes: a state of one run, read out by what the model says of it in another.

Ghandeharioun et al. 2024, arXiv 2401.06102. The state h at `site` and `position` of the prompt
replaces the one at the same site of block `target_layer` and `target_position` of the target
prompt (their f is the identity); the model then goes on greedily. With the identity prompt, few
examples of a token repeated, what it says next is what it takes the state for. At the last
block and position this is the logit lens.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from mlxterp_engine.experiments import (
    BadInput,
    Contract,
    GeneratedToken,
    Patchscope,
    Price,
    Step,
)
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.findings import Findings, Prompts
from mlxterp_engine.techniques.generate import checked, chunk, told
from mlxterp_engine.tracing.generation import Generated, generate
from mlxterp_engine.tracing.sites import Site
from mlxterp_engine.tracing.spoken_patches import SpokenPatch, inside, patch_changes
from mlxterp_engine.vocabulary import reference, summarise

import mlx.core as mx
import numpy as np

KINDS = ("embed", "resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")
SHOWN = 48  # characters of the text in a headline


@dataclass(frozen=True)
class Places:
    """From where to where. position, target_position: counted from the front."""

    source: Site
    position: int
    target: Site
    target_position: int

    @property
    def patch(self) -> SpokenPatch:
        return SpokenPatch(self.target, self.target_position, self.position)


def check(model: InterpretableModel, request: Patchscope) -> None:
    """A site of the residual stream or what it receives, positions inside, room to write."""
    prompt, target = (
        len(model.encode(text, request.bos, chat))
        for text, chat in zip(request.prompts, request.in_chat, strict=True)
    )
    _places(model, request, prompt, target)
    context = model.card.context
    if context and target + request.max_tokens > context:
        raise BadInput(
            f"the target prompt has {target} tokens, max_tokens is {request.max_tokens}, and "
            f"{model.card.reference} reads at most {context} in all; shorten one of them"
        )


def _places(model: InterpretableModel, request: Patchscope, prompt: int, target: int) -> Places:
    site = model.sites.parse(request.site)
    if site.kind not in KINDS:
        raise BadInput(
            f"{request.site} is no state of the residual stream's width; a patchscope reads "
            f"{', '.join(KINDS)}, e.g. blocks.8.resid_post"
        )
    return Places(
        site,
        inside(request.position, prompt, "the prompt", "position"),
        _target(model, request, site),
        inside(request.target_position, target, "the target prompt", "target_position"),
    )


def _target(model: InterpretableModel, request: Patchscope, site: Site) -> Site:
    layer = request.target_layer
    if layer is None:
        return site
    if site.block is None:
        raise BadInput(
            f"target_layer is {layer} and {site} belongs to no block; leave it out, or take "
            "blocks.0.resid_pre"
        )
    return model.sites.parse(f"blocks.{layer}.{site.kind}")


def price(model: InterpretableModel, request: Patchscope, prompts: Prompts) -> Price:
    """The prompt; the target bare, patched, and read for writing; new tokens; the check."""
    prompt, target = (len(one.ids) for one in prompts)
    new, pace = request.max_tokens, model.pace
    seconds = pace.seconds(prompt) + 3 * pace.seconds(target) + new * pace.seconds(1)
    seconds += pace.seconds(target + new)
    return Price(5 + new, seconds, (2 * target + 2 * new) * model.card.vocab_size * 4)


def run(
    model: InterpretableModel, request: Patchscope, prompts: Prompts
) -> Generator[GeneratedToken | Step, None, Findings]:
    """Each new token as it is known. Contracts: `patch_changes` and `cache_equals_full`."""
    ids, target = (one.ids for one in prompts)
    places = _places(model, request, len(ids), len(target))
    yield Step(0, 3, "the state")
    state = model.run(ids, [places.source]).sites[places.source]
    mx.eval(state)
    edit = places.patch.edit(state)
    yield Step(1, 3, "the target prompt")
    bare = model.run(target, [places.target]).evaluate()
    yield Step(2, 3, "the target prompt, patched")
    patched = model.run(target, edits=[edit])
    moved = places.patch.moves(state, bare.sites[places.target])
    contracts = {"patch_changes": patch_changes(bare, patched, moved)}
    first = patched.logits[0, -1:]
    parts = generate(
        model.net,
        model.anatomy,
        target,
        [edit],
        max_tokens=request.max_tokens,
        end_ids=model.tokens.eos_ids,
        chunk=chunk(model),
    )
    made, text = yield from told(model, request.max_tokens, target, parts)
    contracts["cache_equals_full"] = yield from checked(model, made)
    read = f"{places.source} of {prompts[0].tokens[places.position]!r}"
    if places.target != places.source:
        read += f" in {places.target}"
    return _findings(model, read, _best(first, request.top_k), made, text, contracts)


def _best(logits: mx.array, top_k: int) -> dict[str, np.ndarray]:
    """logits [1, vocab] -> of that one position top_ids, top_probs [k], entropy."""
    found = summarise(logits, np.array([0]), reference(logits), top_k)
    return {name: found[name][0] for name in ("top_ids", "top_probs", "entropy")}


def _findings(
    model: InterpretableModel,
    read: str,
    best: dict[str, np.ndarray],
    made: Generated,
    text: str,
    contracts: dict[str, Contract],
) -> Findings:
    arrays = {
        "top_ids": best["top_ids"],
        "top_probs": best["top_probs"],
        "token_ids": np.array(made.ids, dtype=np.int32),
        "logprobs": np.array(made.logprobs, dtype=np.float32),
    }
    strings = model.tokens.strings
    shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return Findings(
        arrays,
        contracts,
        {"top_tokens": strings(best["top_ids"].tolist()), "tokens": strings(made.ids)},
        headline=f"{read}: {shown!r}",
        figures={
            "top_prob": float(best["top_probs"][0]),
            "entropy": float(best["entropy"]),
            "tokens": float(len(made.ids)),
        },
        text=text,
    )
