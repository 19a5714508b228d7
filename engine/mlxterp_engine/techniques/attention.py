"""Attention patterns: softmax(q kᵀ · scale + mask), by block, head, destination and source.

Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, equation 1. The fused kernel that models
run does not show them; that these are the model's own is checked on this very prompt: pattern
· v, written back as the heads' output, has to give the same attention output.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments import Attention, BadInput, Contract, Price, Step
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.models.calls import calls_through
from mlxterp_engine.techniques.findings import Findings, Prompted, Prompts
from mlxterp_engine.techniques.trace import LARGEST
from mlxterp_engine.tracing.attention import per_query_head
from mlxterp_engine.tracing.forward import Forward
from mlxterp_engine.tracing.interventions import edit, replace_with
from mlxterp_engine.tracing.proofs import TOLERANCES, largest_error
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import numpy as np

# A row is a softmax of up to some thousand float32 numbers; 16-bit floats keep 8 bits or more.
ROWS = (1e-5, 2e-2)
COPIES = 4  # at the peak: what MLX holds, the array of all blocks, the result, its message
PATTERN = "attn.pattern"
REBUILT_FROM = ("attn.v", "attn.z", "attn_out")


def check(model: InterpretableModel, request: Attention) -> None:
    """The blocks exist, have patterns, and have equally many heads."""
    heads: dict[int, int] = {}
    for layer in _layers(model, request):
        heads.setdefault(model.sites.heads_of(PATTERN, layer), layer)
    if len(heads) > 1:
        words = ", ".join(f"block {layer} has {count}" for count, layer in heads.items())
        raise BadInput(f"the heads don't fit into one array: {words}; ask for them apart")


def price(model: InterpretableModel, request: Attention, prompts: Prompts) -> Price:
    """Two passes: one that records, and one on the rebuilt heads."""
    (prompt,) = prompts
    size = COPIES * _bytes(model, request, prompt)
    return Price(2, 2 * model.pace.seconds(len(prompt.ids)), size)


def run(
    model: InterpretableModel, request: Attention, prompts: Prompts
) -> Generator[Step, None, Findings]:
    """Block by block; rows are checked, and the attention rebuilt where the model shows v."""
    (prompt,) = prompts
    _check_size(_bytes(model, request, prompt))
    layers = _layers(model, request)
    provable = [layer for layer in layers if _rebuildable(model, layer)]
    record = [Site(PATTERN, layer) for layer in layers]
    record += [Site(kind, layer) for layer in provable for kind in ("attn.v", "attn_out")]
    found = model.run(prompt.ids, record)
    patterns = []
    for number, layer in enumerate(layers):
        patterns.append(as_numpy(found.sites[Site(PATTERN, layer)][0]))
        yield Step(number + 1, len(layers) + 1, "blocks")
    pattern = np.stack(patterns)
    low = model.anatomy.dtype != mx.float32
    contracts = {"attention_rows": Contract.of(_row_error(model, pattern), ROWS[low])}
    if provable:
        error = _rebuild_error(model, prompt, found, provable)
        contracts["attention_rebuild"] = Contract.of(error, TOLERANCES["attention_rebuild"][low])
    arrays = {"layers": np.array(layers, dtype=np.int32), "pattern": pattern}
    first = _on_first(pattern)
    return Findings(
        arrays, contracts, headline=_headline(pattern, first), figures={"first_token": first}
    )


def _layers(model: InterpretableModel, request: Attention) -> list[int]:
    """The blocks asked for; "all": those that have patterns. BadInput for one that has none."""
    if request.layers != "all":
        for layer in request.layers:
            model.sites.parse(f"blocks.{layer}.attn.pattern")
        return request.layers
    found = [block for block in range(model.sites.blocks) if model.sites.has(PATTERN, block)]
    if not found:
        reason = model.sites.missing.get(PATTERN, "no block has any")
        raise BadInput(f"{model.card.reference} has no attention patterns: {reason}")
    return found


def _rebuildable(model: InterpretableModel, layer: int) -> bool:
    return all(model.sites.has(kind, layer) for kind in REBUILT_FROM)


def _row_error(model: InterpretableModel, pattern: np.ndarray) -> float:
    """How far rows are from a sum of 1; with sinks, which take a share, how far above it."""
    excess = pattern.sum(axis=-1, dtype=np.float64) - 1
    return float(np.abs(excess).max() if not _has_sinks(model) else max(excess.max(), 0))


def _has_sinks(model: InterpretableModel) -> bool:
    """Whether any kernel is given sinks (gpt-oss): seen on a graph that is never computed."""
    seen: list[bool] = []

    def watch(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        seen.append(kwargs.get("sinks") is not None)
        return original(*args, **kwargs)

    with calls_through([], watch):
        model.net(mx.array([[0, 0]]))
    return any(seen)


def _rebuild_error(
    model: InterpretableModel, prompt: Prompted, found: Forward, layers: list[int]
) -> float:
    """pattern · v, through the output projection, against what the attention added."""
    edits = []
    for layer in layers:
        pattern, v = (found.sites[Site(kind, layer)] for kind in (PATTERN, "attn.v"))
        z = pattern @ per_query_head(v, pattern.shape[1])
        edits.append(edit(Site("attn.z", layer), replace_with(z)))
    outputs = [Site("attn_out", layer) for layer in layers]
    again = model.run(prompt.ids, outputs, edits)
    return largest_error([(again.sites[site], found.sites[site]) for site in outputs])


def _on_first(pattern: np.ndarray) -> float:
    """The mean share of attention on the first token, over all that could read others too."""
    return float(pattern[:, :, 1:, 0].mean()) if pattern.shape[-1] > 1 else 1.0


def _headline(pattern: np.ndarray, first: float) -> str:
    blocks, heads, _, pos = pattern.shape
    return f"{blocks} × {heads} heads over {pos} tokens; {first:.0%} of it on the first token"


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise BadInput(
            f"these patterns are {size / 1e9:.1f} GB for this prompt and a result holds at most "
            f"{LARGEST / 1e9:.1f} GB; ask for fewer layers, or shorten the prompt"
        )


def _bytes(model: InterpretableModel, request: Attention, prompt: Prompted) -> int:
    """Of the patterns, in float32."""
    layers = _layers(model, request)
    heads = model.sites.heads_of(PATTERN, layers[0])
    return 4 * len(layers) * heads * len(prompt.ids) ** 2
