"""What a model has to show when it is opened: each check with its measured error.

error: max|difference| / max|reference|. Tolerances are for float32, where additions in
another order cost a few units in the last place a layer; 16-bit floats keep 8 to 11 bits.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments.result import Contract
from mlxterp_engine.models.anatomy_parts import Anatomy
from mlxterp_engine.models.anatomy_unembed import no_unembed
from mlxterp_engine.tracing.attention import per_query_head
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.interventions import add_vector, at_positions, edit, replace_with
from mlxterp_engine.tracing.sites import Site, SiteTable

import mlx.core as mx
import numpy as np

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


@dataclass(frozen=True, eq=False)
class Proven:
    """A model's parts without those that proved wrong, its sites, and what it showed."""

    anatomy: Anatomy
    sites: SiteTable
    contracts: dict[str, Contract]


def proven(
    net: object, name: str, anatomy: Anatomy, aliases: Mapping[str, Site], ids: mx.array
) -> Proven:
    """Prove the parts; withdraw the sites of those that fail, with the measured error as reason."""
    sites = SiteTable.of(name, anatomy, aliases)
    contracts = prove(net, anatomy, sites, ids)
    if all(contract.ok for contract in contracts.values()):
        return Proven(anatomy, sites, contracts)
    anatomy = withdrawn(net, anatomy, sites, ids, contracts)
    sites = SiteTable.of(name, anatomy, aliases)
    return Proven(anatomy, sites, prove(net, anatomy, sites, ids))


def withdrawn(
    net: object,
    anatomy: Anatomy,
    sites: SiteTable,
    ids: mx.array,
    contracts: Mapping[str, Contract],
) -> Anatomy:
    """The anatomy without the sites that a failed contract covers, block by block."""
    blocks = list(anatomy.blocks)
    for name, (errors_of, kinds) in COVERS.items():
        if name not in contracts or contracts[name].ok:
            continue
        for index, error in errors_of(net, anatomy, sites, ids).items():
            if not error <= contracts[name].tolerance:
                reason = f"{name} does not hold here (error {error:.1e})"
                missing = dict(blocks[index].missing) | dict.fromkeys(kinds, reason)
                blocks[index] = replace(blocks[index], missing=missing)
    anatomy = replace(anatomy, blocks=tuple(blocks))
    lens = contracts.get("lens_last_row")
    if lens is None or lens.ok:
        return anatomy
    reason = f"lens_last_row does not hold (error {lens.error:.1e})"
    return replace(
        anatomy, unembed=no_unembed(reason), missing={**anatomy.missing, "unembed": reason}
    )


def prove(net: object, anatomy: Anatomy, sites: SiteTable, ids: mx.array) -> dict[str, Contract]:
    """Every contract that this model's parts allow. ids: [1, pos], a few varied tokens."""
    low_precision = anatomy.dtype != mx.float32
    last = sites.blocks - 1
    checks = {"trace_identity": trace_identity}
    if sites.has("resid_post", last) and "unembed" not in anatomy.missing:
        checks["lens_last_row"] = lens_last_row
    if _summed(anatomy, sites):
        checks["residual_sum"] = residual_sum
    if _attending(sites):
        checks["attention_rebuild"] = attention_rebuild
    if _states(sites):
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
    """resid_pre + attn_out + mlp_out = resid_post in every block whose increments are known,
    and over all of them embed + Σ attn_out + Σ mlp_out = the last resid_post.

    Where a block scales the stream (`Block.scale`) the sum so far is scaled with it.
    """
    sums = _residual_sums(net, anatomy, sites, ids)
    return largest_error(
        [pair for own, so_far, after in sums.values() for pair in ((own, after), (so_far, after))]
    )


def residual_errors(
    net: object, anatomy: Anatomy, sites: SiteTable, ids: mx.array
) -> dict[int, float]:
    """By block: the error of its own sum."""
    sums = _residual_sums(net, anatomy, sites, ids)
    errors = relative_errors([(own, after) for own, _, after in sums.values()])
    return dict(zip(sums, errors, strict=True))


def _residual_sums(
    net: object, anatomy: Anatomy, sites: SiteTable, ids: mx.array
) -> dict[int, tuple[mx.array, mx.array, mx.array]]:
    """By block: its own sum, that of all blocks up to it, and the resid_post to compare with."""
    blocks = _summed(anatomy, sites)
    kinds = ("resid_pre", "attn_out", "mlp_out", "resid_post")
    wanted = {(b, kind): Site(kind, b) for b in blocks for kind in kinds if sites.has(kind, b)}
    run = forward(net, anatomy, ids, record=list(wanted.values()))
    value = {key: run.sites[site].astype(mx.float32) for key, site in wanted.items()}
    sums, so_far = {}, None
    for block in blocks:
        before = value[block, "resid_pre"]
        if so_far is None or block - 1 not in sums or anatomy.blocks[block].entry is not None:
            so_far = before
        terms = [value[block, k] for k in ("attn_out", "mlp_out") if (block, k) in value]
        scale = anatomy.blocks[block].scale
        own, so_far = (scale * sum(terms, start) for start in (before, so_far))
        sums[block] = own, so_far, value[block, "resid_post"]
    return sums


def attention_rebuild(net: object, anatomy: Anatomy, sites: SiteTable, ids: mx.array) -> float:
    """pattern · V, through the model's own output projection, equals each block's attn_out."""
    return float(np.max([*rebuild_errors(net, anatomy, sites, ids).values()]))


def rebuild_errors(
    net: object, anatomy: Anatomy, sites: SiteTable, ids: mx.array
) -> dict[int, float]:
    """By block with attention: pattern · V against z, and written back as z against attn_out."""
    blocks = _attending(sites)
    kinds = [
        ("attn.pattern", "attn.v", "attn.z", "attn_out")[: 3 + sites.has("attn_out", b)]
        for b in blocks
    ]
    record = [Site(kind, b) for b, here in zip(blocks, kinds, strict=True) for kind in here]
    run = forward(net, anatomy, ids, record=record)
    pairs, rebuilt = [], []
    for block in blocks:
        pattern, v, z = (run.sites[Site(k, block)] for k in ("attn.pattern", "attn.v", "attn.z"))
        found = pattern @ per_query_head(v, pattern.shape[1])
        pairs.append((block, found, z))
        rebuilt.append(edit(Site("attn.z", block), replace_with(found)))
    outputs = [site for site in record if site.kind == "attn_out"]
    again = forward(net, anatomy, ids, record=outputs, edits=rebuilt)
    pairs += [(site.block, again.sites[site], run.sites[site]) for site in outputs]
    errors = relative_errors([(found, expected) for _, found, expected in pairs])
    return {
        block: float(np.max([e for (b, _, _), e in zip(pairs, errors, strict=True) if b == block]))
        for block in blocks
    }


def _summed(anatomy: Anatomy, sites: SiteTable) -> list[int]:
    """The blocks whose increments are known: both, or the one that the block has."""
    return [
        index
        for index, block in enumerate(anatomy.blocks)
        if (block.attn_out or block.mlp_out)
        and sites.has("resid_post", index)
        and all(sites.has(k, index) for k in ("attn_out", "mlp_out") if getattr(block, k))
    ]


def _attending(sites: SiteTable) -> list[int]:
    needed = ("attn.pattern", "attn.v", "attn.z")
    return [b for b in range(sites.blocks) if all(sites.has(kind, b) for kind in needed)]


def _states(sites: SiteTable) -> list[Site]:
    """Residual states at three depths, or as many as there are."""
    found = [Site("resid_post", b) for b in range(sites.blocks) if sites.has("resid_post", b)]
    return [found[i] for i in sorted({0, len(found) // 2, len(found) - 1})] if found else []


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
    places = _states(sites)
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
    return float(np.max(relative_errors(pairs)))  # NaN where one is: unlike max()


def relative_errors(pairs: Sequence[tuple[mx.array, mx.array]]) -> list[float]:
    """Each pair's `relative_error`, in one evaluation."""
    errors = []
    for found, expected in pairs:
        found, expected = found.astype(mx.float32), expected.astype(mx.float32)
        scale = mx.maximum(mx.abs(expected).max(), 1e-30)
        errors.append(mx.abs(found - expected).max() / scale)
    return as_numpy(mx.stack(errors)).tolist()


# What a contract answers for: its errors by block, and the kinds of site withdrawn where it fails.
COVERS = {
    "residual_sum": (residual_errors, ("attn_out", "resid_mid", "mlp_out")),
    "attention_rebuild": (rebuild_errors, ("attn",)),
}


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
