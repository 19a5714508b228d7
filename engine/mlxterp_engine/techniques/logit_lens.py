"""The logit lens: unembed(final_norm(h)) for the residual stream after every block.

nostalgebraist 2020, https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru; restated as equation 3
of Belrose et al. 2023, arXiv 2303.08112. The norm's statistics are recomputed on each state (a
frozen final scale acts as a temperature and flatters the early layers). Row -1 is the
embeddings, row l is `resid_post` of block l; the last row is the model's own prediction.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

from mlxterp_engine.experiments import (
    Array,
    BadInput,
    Contract,
    LogitLens,
    LogitLensRow,
    Price,
    Step,
)
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.findings import Findings, Prompted, Prompts
from mlxterp_engine.tracing.proofs import TOLERANCES, relative_error
from mlxterp_engine.tracing.sites import Site
from mlxterp_engine.vocabulary import Reference, Summary, joined, reference, summarise

import mlx.core as mx
import numpy as np

REDUCING = 1.6  # entropy, KL, ranks and top-k beside the unembedding itself, measured
CHUNK_BYTES = 32 << 20  # of logits at once: enough for a fast matmul, little enough to stop soon


def check(model: InterpretableModel, request: LogitLens) -> None:
    """The target has to be one token, and every block to have a state that can be unembedded."""
    _target(model, request)
    model.sites.require(_sites(model))
    if "unembed" in model.anatomy.missing:
        raise BadInput(f"{model.card.reference} has no lens: {model.anatomy.missing['unembed']}")


def price(model: InterpretableModel, request: LogitLens, prompts: Prompts) -> Price:
    """One pass, and beside its own unembedding one for every other state."""
    (prompt,) = prompts
    card, pos = model.card, len(prompt.ids)
    passes = 1 + card.layers * card.vocab_size * card.d_model / card.parameters
    final = 3 * pos * card.vocab_size * 4  # logits, their check through the lens, probabilities
    states = (card.layers + 1) * pos * card.d_model * 4
    lens = card.layers * pos * model.pace.per_unembedding * REDUCING
    return Price(passes, model.pace.seconds(pos) + lens, final + states + 2 * CHUNK_BYTES)


def run(
    model: InterpretableModel, request: LogitLens, prompts: Prompts
) -> Generator[LogitLensRow | Step, None, Findings]:
    """Rows as they are known, the last first: it is what the others are compared with."""
    (prompt,) = prompts
    target = _target(model, request)
    layers = range(-1, model.card.layers)
    sites = _sites(model)
    result = model.run(prompt.ids, record=sites)
    states = mx.concatenate([result.sites[site] for site in sites])  # [row, pos, d_model]
    mx.eval(states, result.logits)
    own = result.logits[0]
    final = reference(own)
    last = model.unembed(states[-1])
    positions = np.arange(len(prompt.ids))
    found = {layers[-1]: summarise(last, positions, final, request.top_k, target)}
    yield _part(model, layers[-1], found[layers[-1]])
    contract = Contract.of(relative_error(last, own), TOLERANCES["lens_last_row"][_is_low(own)])
    del last, own, result
    for layer, summary in _earlier_rows(model, states, final, request.top_k, target):
        found[layer] = summary
        yield _part(model, layer, summary)
        yield Step(len(found), len(layers), "rows")
    return _findings(model, prompt, [found[layer] for layer in layers], {"lens_last_row": contract})


def _sites(model: InterpretableModel) -> list[Site]:
    """The state of each row, from the embeddings up."""
    return [Site("embed"), *(Site("resid_post", block) for block in range(model.card.layers))]


def _is_low(x: mx.array) -> bool:
    return x.dtype != mx.float32


def _target(model: InterpretableModel, request: LogitLens) -> int | None:
    return None if request.target is None else model.tokens.single(request.target, "target")


def _earlier_rows(
    model: InterpretableModel, states: mx.array, final: Reference, top_k: int, target: int | None
) -> Iterator[tuple[int, Summary]]:
    """(layer, summary) from the last but one to the embeddings.

    While one chunk of logits is reduced, the next is being computed.
    """
    rows, pos, d_model = states.shape
    flat = states[:-1][::-1].reshape(-1, d_model)
    size = _chunk_size(pos, model.card.vocab_size)
    starts = range(0, flat.shape[0], size)
    at = np.tile(np.arange(pos), rows - 1)
    ahead = _one_ahead(model.unembed(flat[start : start + size]) for start in starts)
    pending: list[Summary] = []
    layer = rows - 3  # state i is row i - 1, and the last one is done
    for start, logits in zip(starts, ahead, strict=True):
        here = at[start : start + size]
        pending.append(summarise(logits, here, final, top_k, target))
        while sum(len(part["kl"]) for part in pending) >= pos:
            together = joined(pending)
            yield layer, {name: column[:pos] for name, column in together.items()}
            pending = [{name: column[pos:] for name, column in together.items()}]
            layer -= 1


def _one_ahead(arrays: Iterable[mx.array]) -> Iterator[mx.array]:
    """The arrays in order; each is already being computed while its forerunner is looked at."""
    current: mx.array | None = None
    for following in arrays:
        mx.async_eval(following)
        if current is not None:
            yield current
        current = following
    if current is not None:
        yield current


def _chunk_size(pos: int, vocab_size: int) -> int:
    """How many states to unembed at once: whole layers where they fit."""
    fits = max(1, CHUNK_BYTES // (4 * vocab_size))
    return fits // pos * pos or fits


def _part(model: InterpretableModel, layer: int, summary: Summary) -> LogitLensRow:
    arrays = {name: Array.of(column) for name, column in summary.items()}
    return LogitLensRow(layer=layer, top_tokens=_tokens(model, summary["top_ids"]), **arrays)


def _tokens(model: InterpretableModel, ids: np.ndarray) -> list[list[str]]:
    return [model.tokens.strings(row) for row in ids.tolist()]


def _findings(
    model: InterpretableModel,
    prompt: Prompted,
    rows: list[Summary],
    contracts: dict[str, Contract],
) -> Findings:
    arrays = {
        "token_ids": np.array(prompt.ids, dtype=np.int32),
        "layer": np.arange(-1, len(rows) - 1, dtype=np.int32),
    }
    arrays |= {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    words = [_tokens(model, row["top_ids"]) for row in rows]
    figures = _figures(arrays)
    headline = _headline(words[-1][-1][0], figures)
    return Findings(arrays, contracts, {"top_tokens": words}, headline, figures)


def _figures(arrays: dict[str, np.ndarray]) -> dict[str, float]:
    """Of the last position. stays_from: the first layer from which the final token stays top."""
    ranks = arrays["final_rank"][:, -1]
    wrong = np.flatnonzero(ranks[:-1] != 0)  # the last row is its own reference
    middle = len(ranks) // 2
    figures = {
        "top_prob": arrays["top_probs"][-1, -1, 0],
        "entropy": arrays["entropy"][-1, -1],
        "stays_from": arrays["layer"][wrong[-1] + 1 if len(wrong) else 0],
        "kl_middle": arrays["kl"][middle, -1],
    }
    if "target_rank" in arrays:
        figures["target_rank"] = arrays["target_rank"][-1, -1]
        figures["target_prob"] = arrays["target_prob"][-1, -1]
    return {name: float(value) for name, value in figures.items()}


def _headline(token: str, figures: dict[str, float]) -> str:
    """The last position's prediction, and since when it stands."""
    layer = int(figures["stays_from"])
    since = "the embeddings" if layer < 0 else f"block {layer}"
    words = f"{token!r} p {figures['top_prob']:.2f}, top from {since} on"
    if "target_rank" in figures:
        words += f"; target rank {figures['target_rank']:.0f}"
    return words
