"""The logit lens: unembed(final_norm(h)) for the residual stream of every block.

nostalgebraist 2020, https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru; restated as equation 3
of Belrose et al. 2023, arXiv 2303.08112. The norm's statistics are recomputed on each state (a
frozen final scale acts as a temperature and flatters the early layers). Of `resid_post` row -1
is the embeddings and row l the state behind block l; of `resid_pre` and `resid_mid` row l is
block l's, and one more the end. The last row is the model's own prediction, of the edited run
where edits are on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

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
from mlxterp_engine.techniques import edited_run
from mlxterp_engine.techniques.findings import Findings, Prompted, Prompts
from mlxterp_engine.tracing.proofs import TOLERANCES, relative_error
from mlxterp_engine.tracing.sites import Site
from mlxterp_engine.vocabulary import Reference, Summary, joined, reference, summarise

import mlx.core as mx
import numpy as np

REDUCING = 1.6  # entropy, KL, ranks and top-k beside the unembedding itself, measured
CHUNK_BYTES = 32 << 20  # of logits at once: enough for a fast matmul, little enough to stop soon

Translate = Callable[[mx.array, int], mx.array]
"""States [pos, d_model] of a layer -> what is unembedded for them. The last row is not asked."""


class Row(NamedTuple):
    """Which row of the lens a state is, as `LogitLensRow.layer` counts, and where it stands."""

    layer: int
    site: Site


def check(model: InterpretableModel, request: LogitLens) -> None:
    """The target has to be one token, every row to have a state that can be unembedded, and
    every edit to come before it."""
    _target(model, request)
    sites = [row.site for row in rows_of(model, request)]
    model.sites.require(sites)
    if "unembed" in model.anatomy.missing:
        raise BadInput(f"{model.card.reference} has no lens: {model.anatomy.missing['unembed']}")
    edited_run.refuse_behind(sites, edited_run.check(model, request))


def price(model: InterpretableModel, request: LogitLens, prompts: Prompts) -> Price:
    """One pass (three with patches), and beside its own unembedding one for every other state."""
    prompt = prompts[0]
    card, pos = model.card, len(prompt.ids)
    forwards = edited_run.passes(request)
    passes = forwards + card.layers * card.vocab_size * card.d_model / card.parameters
    final = 3 * pos * card.vocab_size * 4  # logits, their check through the lens, probabilities
    states = (card.layers + 1) * pos * card.d_model * 4
    lens = card.layers * pos * model.pace.per_unembedding * REDUCING
    seconds = forwards * model.pace.seconds(pos) + lens
    return Price(passes, seconds, final + states + 2 * CHUNK_BYTES)


def run(
    model: InterpretableModel, request: LogitLens, prompts: Prompts
) -> Generator[LogitLensRow | Step, None, Findings]:
    """Rows as they are known, the last first: it is what the others are compared with."""
    return read_out(model, request, prompts, lambda states, layer: states)


def read_out(
    model: InterpretableModel, request: LogitLens, prompts: Prompts, translate: Translate
) -> Generator[LogitLensRow | Step, None, Findings]:
    """`run` for any lens: the states of each row but the last go through `translate` first."""
    prompt = prompts[0]
    target = _target(model, request)
    rows = rows_of(model, request)
    sites = [row.site for row in rows]
    result, contracts = edited_run.edited_run(model, request, prompts, sites)
    states = mx.concatenate([result.sites[site] for site in sites])  # [row, pos, d_model]
    mx.eval(states, result.logits)
    own = result.logits[0]
    final = reference(own, _following(prompt))
    last = model.unembed(states[-1])
    positions = np.arange(len(prompt.ids))
    found = {rows[-1]: summarise(last, positions, final, request.top_k, target)}
    yield _part(model, rows[-1], found[rows[-1]])
    contracts["lens_last_row"] = Contract.of(
        relative_error(last, own), TOLERANCES["lens_last_row"][_is_low(own)]
    )
    del last, own, result
    logits = _logits_of(model, states, rows, translate)
    for row, summary in _earlier_rows(logits, rows, len(positions), final, request.top_k, target):
        found[row] = summary
        yield _part(model, row, summary)
        yield Step(len(found), len(rows), "rows")
    return _findings(model, request, prompt, {row: found[row] for row in rows}, contracts)


def rows_of(model: InterpretableModel, request: LogitLens) -> list[Row]:
    """The rows from the first state up; the last one is what the model unembeds."""
    blocks = range(model.card.layers)
    end = Site("resid_post", blocks[-1])
    if request.state == "resid_post":
        return [Row(-1, Site("embed")), *(Row(b, Site("resid_post", b)) for b in blocks)]
    return [*(Row(b, Site(request.state, b)) for b in blocks), Row(len(blocks), end)]


def _is_low(x: mx.array) -> bool:
    return x.dtype != mx.float32


def _target(model: InterpretableModel, request: LogitLens) -> int | None:
    return None if request.target is None else model.tokens.single(request.target, "target")


def _following(prompt: Prompted) -> np.ndarray:
    """The token behind each position [pos]; -1 behind the last."""
    return np.array([*prompt.ids[1:], -1], dtype=np.int32)


Chunk = tuple[np.ndarray, mx.array]
"""The position of each state [state], and its logits [state, vocab]."""


def _logits_of(
    model: InterpretableModel, states: mx.array, rows: list[Row], translate: Translate
) -> Iterator[Chunk]:
    """Logits of all rows but the last, from the last but one to the first, chunk by chunk.

    While one chunk is looked at, the next is being computed.
    """
    _, pos, d_model = states.shape
    earlier = rows[:-1][::-1]
    flat = states[:-1][::-1].reshape(-1, d_model)
    size = _chunk_size(pos, model.card.vocab_size)
    at = np.tile(np.arange(pos), len(earlier))

    def logits(start: int) -> mx.array:
        stop = min(start + size, len(earlier) * pos)
        cuts = [start, *range((start // pos + 1) * pos, stop, pos), stop]
        pieces = [
            translate(flat[begin:end], earlier[begin // pos].layer) for begin, end in pairwise(cuts)
        ]
        return model.unembed(mx.concatenate(pieces))

    starts = range(0, len(earlier) * pos, size)
    for start, chunk in zip(starts, _one_ahead(map(logits, starts)), strict=True):
        yield at[start : start + size], chunk


def _earlier_rows(
    chunks: Iterator[Chunk],
    rows: list[Row],
    pos: int,
    final: Reference,
    top_k: int,
    target: int | None,
) -> Iterator[tuple[Row, Summary]]:
    """Each row but the last, once all of its states are summarised."""
    earlier = iter(rows[:-1][::-1])
    pending: list[Summary] = []
    for at, logits in chunks:
        pending.append(summarise(logits, at, final, top_k, target))
        while sum(len(part["kl"]) for part in pending) >= pos:
            together = joined(pending)
            yield next(earlier), {name: column[:pos] for name, column in together.items()}
            pending = [{name: column[pos:] for name, column in together.items()}]


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


def _part(model: InterpretableModel, row: Row, summary: Summary) -> LogitLensRow:
    arrays = {name: Array.of(column) for name, column in _within(summary).items()}
    return LogitLensRow(
        layer=row.layer,
        site=str(row.site),
        top_tokens=_tokens(model, summary["top_ids"]),
        **arrays,  # type: ignore[arg-type]
    )


def _within(summary: Summary) -> Summary:
    """Without the loss of what comes after the last token, which nobody knows."""
    return {**summary, "next_loss": summary["next_loss"][:-1]}


def _tokens(model: InterpretableModel, ids: np.ndarray) -> list[list[str]]:
    return [model.tokens.strings(row) for row in ids.tolist()]


def _findings(
    model: InterpretableModel,
    request: LogitLens,
    prompt: Prompted,
    rows: dict[Row, Summary],
    contracts: dict[str, Contract],
) -> Findings:
    arrays = {
        "token_ids": np.array(prompt.ids, dtype=np.int32),
        "layer": np.array([row.layer for row in rows], dtype=np.int32),
    }
    summaries = [_within(summary) for summary in rows.values()]
    arrays |= {name: np.stack([one[name] for one in summaries]) for name in summaries[0]}
    words = [_tokens(model, one["top_ids"]) for one in summaries]
    sites = [str(row.site) for row in rows]
    figures = _figures(arrays)
    headline = _headline(words[-1][-1][0], figures, request, sites)
    return Findings(arrays, contracts, {"top_tokens": words, "sites": sites}, headline, figures)


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


def _headline(token: str, figures: dict[str, float], request: LogitLens, sites: list[str]) -> str:
    """The last position's prediction, since when it stands, and under how many edits."""
    words = f"{token!r} p {figures['top_prob']:.2f}, top from {_since(figures, sites)} on"
    if "target_rank" in figures:
        words += f"; target rank {figures['target_rank']:.0f}"
    edits = len(request.intervention) + len(request.patch)
    if edits:
        words += f"; {edits} edit{'s' if edits > 1 else ''}"
    return words


def _since(figures: dict[str, float], sites: list[str]) -> str:
    """In words; of other states than `resid_post` by address, since they say what the row is."""
    layer = int(figures["stays_from"])
    if sites[0] != "embed":
        return sites[layer]
    return "the embeddings" if layer < 0 else f"block {layer}"
