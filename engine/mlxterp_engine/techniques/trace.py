"""Record chosen sites of one forward pass, edited or not."""

from __future__ import annotations

from collections.abc import Generator

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments import BadInput, Contract, Price, Step, Trace
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.findings import Findings, Prompted, Prompts
from mlxterp_engine.tracing.proofs import relative_error
from mlxterp_engine.tracing.sites import Site
from mlxterp_engine.tracing.spoken import parse_edit

import mlx.core as mx
import numpy as np

LARGEST = 1_000_000_000  # bytes of a result: one message on the socket holds 2^30
COPIES = 3  # at the peak: what MLX holds, the result, the message that carries it
RECORDING = 1.15  # a full recording beside a bare forward, measured


def check(model: InterpretableModel, request: Trace) -> None:
    """Every glob matches a site of the model, and every intervention can be read."""
    model.sites.match(request.sites)
    for words in request.intervention:
        parse_edit(words, model.sites)


def price(model: InterpretableModel, request: Trace, prompts: Prompts) -> Price:
    """Two passes: the recorded one, and the bare one that it is compared with."""
    (prompt,) = prompts
    passes = 1 + RECORDING
    seconds = passes * model.pace.seconds(len(prompt.ids))
    return Price(passes, seconds, COPIES * _bytes(model, request, prompt))


def run(
    model: InterpretableModel, request: Trace, prompts: Prompts
) -> Generator[Step, None, Findings]:
    """`trace_identity` is checked where nothing is edited; an edited run must differ."""
    (prompt,) = prompts
    _check_size(_bytes(model, request, prompt))
    sites = model.sites.match(request.sites)
    edits = [parse_edit(words, model.sites) for words in request.intervention]
    yield Step(0, 2, "bare forward")
    bare = model.run(prompt.ids)
    mx.eval(bare.logits)
    yield Step(1, 2, "recording")
    result = model.run(prompt.ids, sites, edits).evaluate()
    change = relative_error(result.logits, bare.logits)
    contracts = {} if edits else {"trace_identity": Contract.of(change, 0.0)}
    arrays = {"token_ids": np.array(prompt.ids, dtype=np.int32)}
    arrays |= {str(site): as_numpy(array[0]) for site, array in result.sites.items()}
    headline = f"{len(sites)} sites of {len(prompt.ids)} tokens"
    if edits:
        headline += f"; the edits move the logits by {change:.2g} of their largest"
    return Findings(arrays, contracts, headline=headline, figures={"change": change})


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise BadInput(
            f"these sites are {size / 1e9:.1f} GB for this prompt and a result holds at most "
            f"{LARGEST / 1e9:.1f} GB; record fewer sites, or shorten the prompt"
        )


def _bytes(model: InterpretableModel, request: Trace, prompt: Prompted) -> int:
    """Of all that is recorded, in float32."""
    sites = model.sites.match(request.sites)
    return 4 * sum(_size(model, site, len(prompt.ids)) for site in sites)


def _size(model: InterpretableModel, site: Site, pos: int) -> int:
    card = model.card
    widths = {
        "logits": card.vocab_size,
        "mlp.post": card.d_mlp,
        "attn.q": card.heads * card.d_head,
        "attn.z": card.heads * card.d_head,
        "attn.k": card.kv_heads * card.d_head,
        "attn.v": card.kv_heads * card.d_head,
        "attn.pattern": card.heads * pos,
    }
    return pos * widths.get(site.kind, card.d_model)
