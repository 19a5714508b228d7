"""What an architecture shows, each capability with its measured error.

Beside the contracts of an opened model, edits are made everywhere: what is written at a site
has to be what the next one reads. Errors are max|difference| / max|reference|.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mlxterp_engine.models.anatomy import discover
from mlxterp_engine.models.anatomy_parts import Anatomy
from mlxterp_engine.models.calls import calls_through
from mlxterp_engine.tracing import proofs
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.interventions import edit, replace_with, scale
from mlxterp_engine.tracing.proofs import proven, relative_error
from mlxterp_engine.tracing.sites import Site, SiteTable

import mlx.core as mx
from engine.architectures.building import IDS, build
from mlx_lm.models.cache import make_prompt_cache

PREFIX = 7  # tokens in the cache when the others are run
CACHED = 1e-4  # sums of other shapes add in another order


@dataclass(frozen=True)
class Cell:
    """One capability. error: None where nothing is measured but that an edit arrives.

    found of blocks: in how many it is there (1 of 1 for the model's own). reasons: why not in
    the others.
    """

    found: int
    blocks: int
    error: float | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """An architecture, built and opened."""

    net: Any
    anatomy: Anatomy
    sites: SiteTable

    def run(self, record: Iterable[Site] = (), edits: Sequence[Any] = (), ids=IDS, **options):
        return forward(self.net, self.anatomy, ids, list(record), list(edits), **options).evaluate()

    def blocks_with(self, *kinds: str) -> list[int]:
        blocks = range(self.sites.blocks)
        return [b for b in blocks if all(self.sites.has(kind, b) for kind in kinds)]

    def cell(self, kinds: Sequence[str], error: float | None) -> Cell:
        """Of kinds of site that blocks have."""
        count = self.sites.blocks
        found = len(self.blocks_with(*kinds))
        lacking = [self.sites.why_not(Site(k, b)) for b in range(count) for k in kinds]
        reasons = tuple(dict.fromkeys(reason for reason in lacking if reason))
        return Cell(found, count, error if found else None, reasons)


def measure(architecture: str) -> dict[str, Cell]:
    """A row of the table."""
    net = build(architecture)
    opened = proven(net, architecture, discover(net, IDS), {}, IDS)
    subject = Subject(net, opened.anatomy, opened.sites)
    contracts = {name: contract.error for name, contract in opened.contracts.items()}
    row = {"opens": Cell(1, 1, contracts["trace_identity"])}
    row["resid"] = subject.cell(["resid_pre", "resid_post"], _stream_error(subject))
    row["attn_out"] = subject.cell(["attn_out"], _sums_error(subject))
    row["mlp_out"] = subject.cell(["mlp_out"], _sums_error(subject))
    row["resid_mid"] = subject.cell(["resid_mid"], _middle_error(subject))
    row["pattern, z"] = subject.cell(["attn.pattern", "attn.z"], _pattern_error(subject))
    row["q, k, v"] = subject.cell(["attn.q", "attn.k", "attn.v"], None)
    row["mlp.post"] = subject.cell(["mlp.post"], None)
    _every_edit_arrives(subject)
    row["unembed"] = _unembed_cell(subject)
    gradient = contracts.get("backward_matches_difference")
    row["gradient"] = Cell(int(gradient is not None), 1, gradient, _why(subject, "resid_post"))
    row["cache"] = _cache_cell(subject)
    return row


def _why(subject: Subject, kind: str) -> tuple[str, ...]:
    reason = subject.sites.why_not(Site(kind, 0))
    return (reason,) if reason else ()


def _draw(like: mx.array, seed: int) -> mx.array:
    return mx.random.normal(like.shape, key=mx.random.key(seed)) * like.std()


def _largest(errors: Iterable[float]) -> float:
    return max((*errors, 0.0), key=lambda e: (e != e, e))  # NaN is the largest


def _stream_error(subject: Subject) -> float:
    """What a block puts out is what the next takes in, also when it was overwritten."""
    blocks = subject.blocks_with("resid_pre", "resid_post")
    if not blocks:
        return 0.0
    posts = [Site("resid_post", b) for b in blocks]
    clean = subject.run([*posts, *(Site("resid_pre", b) for b in blocks)])
    written = {site: _draw(clean.sites[site], i) for i, site in enumerate(posts)}
    edits = [edit(site, replace_with(value)) for site, value in written.items()]
    edited = subject.run(clean.sites, edits)
    errors = []
    for b in blocks:
        if b + 1 in blocks and subject.anatomy.blocks[b + 1].entry is None:
            pre, post = Site("resid_pre", b + 1), Site("resid_post", b)
            errors.append(relative_error(clean.sites[pre], clean.sites[post]))
            errors.append(relative_error(edited.sites[pre], written[post]))
    return _largest(errors)


def _sums_error(subject: Subject) -> float:
    """resid_pre + attn_out + mlp_out = resid_post, as found and with both overwritten."""
    pairs = []
    for b, block in enumerate(subject.anatomy.blocks):
        kinds = [kind for kind in ("attn_out", "mlp_out") if subject.sites.has(kind, b)]
        if not kinds:
            continue
        pre, post = Site("resid_pre", b), Site("resid_post", b)
        increments = [Site(kind, b) for kind in kinds]
        clean = subject.run([pre, post, *increments])
        written = [_draw(clean.sites[site], b) for site in increments]
        edits = [edit(s, replace_with(w)) for s, w in zip(increments, written, strict=True)]
        edited = subject.run([pre, post, *increments], edits)
        for run, added in ((clean, [clean.sites[s] for s in increments]), (edited, written)):
            expected = block.scale * sum(added, run.sites[pre])
            pairs.append((run.sites[post], expected))
    return _largest(proofs.relative_errors(pairs)) if pairs else 0.0


def _middle_error(subject: Subject) -> float:
    """resid_mid + mlp_out = resid_post, as found and with resid_mid overwritten."""
    pairs = []
    for b in subject.blocks_with("resid_mid", "mlp_out"):
        mid, out, post = (Site(kind, b) for kind in ("resid_mid", "mlp_out", "resid_post"))
        clean = subject.run([mid, out, post])
        written = _draw(clean.sites[mid], b)
        edited = subject.run([mid, out, post], [edit(mid, replace_with(written))])
        for run, middle in ((clean, clean.sites[mid]), (edited, written)):
            expected = subject.anatomy.blocks[b].scale * (middle + run.sites[out])
            pairs.append((run.sites[post], expected))
    return _largest(proofs.relative_errors(pairs)) if pairs else 0.0


def _pattern_error(subject: Subject) -> float:
    """pattern · V rebuilds z and attn_out; a row is no more than 1 and sees nothing later."""
    blocks = subject.blocks_with("attn.pattern", "attn.z")
    if not blocks:
        return 0.0
    rebuilt = proofs.rebuild_errors(subject.net, subject.anatomy, subject.sites, IDS)
    assert set(blocks) == set(rebuilt), "a pattern without a proof"
    patterns = subject.run([Site("attn.pattern", b) for b in blocks]).sites.values()
    later = [mx.abs(mx.triu(pattern, 1)).max().item() for pattern in patterns]
    over = [(pattern.sum(axis=-1) - 1).max().item() for pattern in patterns]
    return _largest([*rebuilt.values(), *later, *over])


def _every_edit_arrives(subject: Subject) -> None:
    """Halving any kind of site, where it is first and where it is last, changes the logits."""
    bare = subject.run().logits
    sites = subject.sites.all()
    for kind in subject.sites.kinds():
        of_kind = [site for site in sites if site.kind == kind]
        for site in {of_kind[0], of_kind[-1]}:
            half = subject.run([site], [edit(site, scale(0.5))])
            change = relative_error(half.logits, bare)
            assert change > 1e-7, f"an edit at {site} changed nothing"


def _unembed_cell(subject: Subject) -> Cell:
    """The last state's logits, however many states are unembedded at once."""
    reason = subject.anatomy.missing.get("unembed")
    if reason is not None:
        return Cell(0, 1, None, (reason,))
    state, logits = _last_state(subject)
    unembed = subject.anatomy.unembed
    assert state.shape[-1] == subject.anatomy.d_model
    shapes: list[Callable[[mx.array], mx.array]] = [
        lambda x: x,
        lambda x: x[0],
        lambda x: x[:, -1],
        lambda x: x[0, 3],
        lambda x: x.reshape(3, 2, 2, x.shape[-1]),
    ]
    return Cell(1, 1, _largest(relative_error(unembed(f(state)), f(logits)) for f in shapes))


def _last_state(subject: Subject) -> tuple[mx.array, mx.array]:
    """The last block's output; without a single one, what the final norm is given."""
    last = Site("resid_post", subject.sites.blocks - 1)
    if subject.sites.has("resid_post", last.block):
        run = subject.run([last])
        return run.sites[last], run.logits
    seen = []

    def note(original: Any, args: Any, kwargs: Any) -> Any:
        seen.append(args[0])
        return original(*args, **kwargs)

    with calls_through([(subject.anatomy.final_norm, note)]):
        logits = subject.net(IDS)
    return seen[-1], logits


def _cache_cell(subject: Subject) -> Cell:
    """The rest of the tokens after a prefix in mlx-lm's own cache, against one full pass."""
    cache = make_prompt_cache(subject.net)
    subject.run(ids=IDS[:, :PREFIX], cache=cache)
    rest = subject.run(subject.sites.all(), ids=IDS[:, PREFIX:], cache=cache, offset=PREFIX)
    error = relative_error(rest.logits, subject.run().logits[:, PREFIX:])
    if error <= CACHED:
        return Cell(1, 1, error)
    bare = _bare_cache_error(subject.net)
    assert relative_error(mx.array(error), mx.array(bare)) < 1e-3, (
        "the hooks change the cached pass"
    )
    return Cell(0, 1, None, ("mlx-lm's own cached pass gives other logits than its full one here",))


def _bare_cache_error(net: Any) -> float:
    cache = make_prompt_cache(net)
    net(IDS[:, :PREFIX], cache=cache)
    return relative_error(net(IDS[:, PREFIX:], cache=cache), net(IDS)[:, PREFIX:])
