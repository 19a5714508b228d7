"""What a model has to show when it is opened: each check with its measured error.

error: max|difference| / max|reference|. Tolerances are for float32, where additions in
another order cost a few units in the last place a layer; 16-bit floats keep 8 to 11 bits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments.result import Contract
from mlxterp_engine.models.anatomy import Anatomy
from mlxterp_engine.tracing.attention import per_query_head
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.interventions import add_vector, at_positions, edit, replace_with
from mlxterp_engine.tracing.sites import Site, SiteTable

import mlx.core as mx

# Per contract: in float32, in 16-bit floats.
TOLERANCES = {
    "trace_identity": (0.0, 0.0),  # bit for bit, in any precision
    "residual_sum": (1e-5, 1.5e-1),  # bfloat16 rounds by 2^-9 at each of two sums a block
    "attention_rebuild": (1e-4, 5e-2),
    "lens_last_row": (5e-4, 5e-2),
    # A central difference is itself good to about 5e-4 in float32, and to 0.15 in bfloat16.
    "backward_matches_difference": (1e-2, 3e-1),
}
# Of the residual's length, for the central difference: where truncation and rounding meet.
STEPS = (1e-3, 5e-2)


@dataclass(frozen=True)
class Pace:
    """How long things take here: a forward pass, start + per_token * tokens, in seconds.

    per_unembedding: seconds to turn one residual state into logits, many at a time.
    """

    start: float
    per_token: float
    per_unembedding: float

    def seconds(self, tokens: int) -> float:
        return self.start + self.per_token * tokens


def prove(net: object, anatomy: Anatomy, sites: SiteTable, ids: mx.array) -> dict[str, Contract]:
    """Every contract that this model's parts allow. ids: [1, pos], a few varied tokens."""
    low_precision = anatomy.dtype != mx.float32
    checks = {"trace_identity": trace_identity, "lens_last_row": lens_last_row}
    if not {"attn_out", "mlp_out"} & sites.missing.keys():
        checks["residual_sum"] = residual_sum
    if not {"attn.z", "attn_out"} & sites.missing.keys():
        checks["attention_rebuild"] = attention_rebuild
    checks["backward_matches_difference"] = backward_matches_difference
    return {
        name: Contract.of(check(net, anatomy, sites, ids), TOLERANCES[name][low_precision])
        for name, check in checks.items()
    }


def trace_identity(net: object, anatomy: Anatomy, sites: SiteTable, ids: mx.array) -> float:
    """A run that records every site gives the bare forward's logits."""
    bare = net(ids)  # type: ignore[operator]
    traced = forward(net, anatomy, ids, record=sites.all()).evaluate()
    return relative_error(traced.logits, bare)


def residual_sum(net: object, anatomy: Anatomy, sites: SiteTable, ids: mx.array) -> float:
    """embed + Σ attn_out + Σ mlp_out = the last resid_post."""
    last = Site("resid_post", sites.blocks - 1)
    increments = [Site(k, b) for b in range(sites.blocks) for k in ("attn_out", "mlp_out")]
    first = Site("resid_pre", 0)
    run = forward(net, anatomy, ids, record=[first, *increments, last])
    total = run.sites[first].astype(mx.float32)
    for site in increments:
        total = total + run.sites[site].astype(mx.float32)
    return relative_error(total, run.sites[last])


def attention_rebuild(net: object, anatomy: Anatomy, sites: SiteTable, ids: mx.array) -> float:
    """pattern · V, through the model's own output projection, equals each block's attn_out."""
    kinds = ("attn.pattern", "attn.v", "attn_out")
    blocks = range(sites.blocks)
    run = forward(net, anatomy, ids, record=[Site(k, b) for b in blocks for k in kinds])
    rebuilt = []
    for block in blocks:
        pattern, v, _ = (run.sites[Site(kind, block)] for kind in kinds)
        z = pattern @ per_query_head(v, pattern.shape[1])
        rebuilt.append(edit(Site("attn.z", block), replace_with(z)))
    outputs = [Site("attn_out", block) for block in blocks]
    again = forward(net, anatomy, ids, record=outputs, edits=rebuilt)
    return largest_error([(again.sites[site], run.sites[site]) for site in outputs])


def lens_last_row(net: object, anatomy: Anatomy, sites: SiteTable, ids: mx.array) -> float:
    """The last block's output, unembedded by the lens, equals the model's own logits."""
    last = Site("resid_post", sites.blocks - 1)
    run = forward(net, anatomy, ids, record=[last])
    return relative_error(anatomy.unembed(run.sites[last]), run.logits)


def backward_matches_difference(
    net: object, anatomy: Anatomy, sites: SiteTable, ids: mx.array
) -> float:
    """Gradients at three depths, each against a central difference along one direction.

    Of the logit difference between the two likeliest next tokens. The direction is the
    gradient's own, where the slope stands out from float32 rounding, plus a random one of the
    same length, so that a gradient that was cut to zero shows. The differences are the rows
    of one batch.
    """
    places = [Site("resid_post", b) for b in sorted({0, sites.blocks // 2, sites.blocks - 1})]
    run = forward(net, anatomy, ids, record=places).evaluate()
    ranked = mx.argsort(run.logits[0, -1])
    first, second = ranked[-1], ranked[-2]
    states = [run.sites[site][0, -1].astype(mx.float32) for site in places]

    def difference(moves: list[mx.array]) -> mx.array:
        """moves: per place [batch, d_model], added at the last position -> [batch]."""
        edits = [
            edit(site, at_positions([-1], add_vector(move[:, None])))
            for site, move in zip(places, moves, strict=True)
        ]
        rows = mx.repeat(ids, moves[0].shape[0], axis=0)
        logits = forward(net, anatomy, rows, edits=edits).logits[:, -1].astype(mx.float32)
        return logits[:, first] - logits[:, second]

    still = [mx.zeros((1, state.shape[0])) for state in states]
    gradients = [g[0] for g in mx.grad(lambda moves: difference(moves).sum())(still)]
    directions = [
        _direction(g, h, seed) for seed, (g, h) in enumerate(zip(gradients, states, strict=True))
    ]
    step = STEPS[run.logits.dtype != mx.float32]
    steps = mx.concatenate([mx.eye(len(places)), -mx.eye(len(places))]) * step
    moved = difference([steps[:, i, None] * d for i, d in enumerate(directions)])
    measured = (moved[: len(places)] - moved[len(places) :]) / (2 * step)
    return largest_error(
        [
            ((g * d).sum(), measured[i])
            for i, (g, d) in enumerate(zip(gradients, directions, strict=True))
        ]
    )


def _direction(gradient: mx.array, state: mx.array, seed: int) -> mx.array:
    """Half along the gradient, half at random; as long as the state. All [d_model]."""
    draw = mx.random.normal(gradient.shape, key=mx.random.key(seed))
    mixed = _unit(gradient) + _unit(draw)
    return _unit(mixed) * mx.linalg.norm(state)


def _unit(x: mx.array) -> mx.array:
    return x / mx.maximum(mx.linalg.norm(x), 1e-30)


def relative_error(found: mx.array, expected: mx.array) -> float:
    """max|found − expected| / max|expected|; NaN where either holds one."""
    return largest_error([(found, expected)])


def largest_error(pairs: Sequence[tuple[mx.array, mx.array]]) -> float:
    """The largest `relative_error` of some (found, expected), in one evaluation."""
    errors = []
    for found, expected in pairs:
        found, expected = found.astype(mx.float32), expected.astype(mx.float32)
        scale = mx.maximum(mx.abs(expected).max(), 1e-30)
        errors.append(mx.abs(found - expected).max() / scale)
    return float(as_numpy(mx.stack(errors)).max())


def measure_pace(net: object, anatomy: Anatomy, ids: mx.array) -> Pace:
    """Two bare forwards of different length and one unembedding, after one to warm up."""
    count = ids.shape[1]
    short = ids[:, : count // 4]
    _timed(net, short)
    quick, slow = _timed(net, short), _timed(net, ids)
    per_token = max(slow - quick, 0.0) / (count - short.shape[1])
    states = mx.ones((*ids.shape, anatomy.d_model), dtype=anatomy.dtype)
    unembedding = _timed(anatomy.unembed, states) / count
    return Pace(max(quick - per_token * short.shape[1], 1e-4), per_token, unembedding)


def _timed(function: object, x: mx.array) -> float:
    mx.eval(x)
    start = time.perf_counter()
    mx.eval(function(x))  # type: ignore[operator]
    return time.perf_counter() - start
