"""Run a prompt again from a block on, with one thing changed in each row of a batch.

Two runs of equal length are recorded whole: the one that is patched and its source, which
patches are copied from. A batch then grows through the stack: a row joins at its cell's block, with
the state that the unpatched run has there, so that nothing before it is computed again. Of the
tokens only those from the first patched one on are run; what they read of earlier ones comes
from the unpatched run's keys and values. Behind the last block only the last token goes on.

How much of this a model allows is `Method`: proved by `resume_proof`, never assumed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from mlxterp_engine.models.anatomy_parts import Anatomy
from mlxterp_engine.models.calls import (
    Around,
    argument,
    calls_through,
    first_array,
    with_argument,
    with_first_array,
)
from mlxterp_engine.models.mlx_lm_file import mlx_lm_file
from mlxterp_engine.tracing import resume_cache
from mlxterp_engine.tracing.added_noise import Added
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.interventions import Edit
from mlxterp_engine.tracing.patching_rows import Cell, Patch, in_order, row_edits
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx

make_prompt_cache = mlx_lm_file("models.cache").make_prompt_cache

Method = Literal["suffix", "restart", "full"]
"""suffix: from the block on, the tokens from the patched one on. restart: from the block on, all
tokens. full: whole passes, side by side."""


@dataclass(frozen=True, eq=False)
class TwoRuns:
    """The run that is patched, and its source, which patches are copied from.

    ids: of both, equally many; logits: of their last tokens, [2, vocab]. unpatched, source: by
    site, [1, pos, d] or [1, head, pos, d]. ends: the last block's output of both, [2, pos, d];
    None where runs can't be resumed. added: what the unpatched run has on its embeddings. first:
    the first token in which the runs differ; before it a causal model's activations are the same,
    and a patch there changes nothing.
    """

    ids: tuple[tuple[int, ...], tuple[int, ...]]
    logits: mx.array
    unpatched: dict[Site, mx.array]
    source: dict[Site, mx.array]
    ends: mx.array | None
    _inputs: list[mx.array]
    _outputs: list[Any]
    _caches: list[Any] | None
    added: Added | None = None

    @property
    def tokens(self) -> int:
        return len(self.ids[0])

    @property
    def first(self) -> int:
        first = first_different(*self.ids)
        return first if self.added is None else min(first, self.added.first)


@dataclass(frozen=True, eq=False)
class Patched:
    """What rows of patched runs came to; not yet evaluated.

    logits: of the last token, [row, vocab]. state: the last block's output at the last token,
    [row, d], and ends: at all tokens that were run, [row, pos, d]; None for whole passes.
    sites: what was asked to be recorded, of the rows that were there by then.
    """

    logits: mx.array
    state: mx.array | None = None
    ends: mx.array | None = None
    sites: Mapping[Site, mx.array] = field(default_factory=dict)


def first_different(a: Sequence[int], b: Sequence[int]) -> int:
    """The first position where two equally long prompts differ; their length where they don't."""
    return next((p for p, (x, y) in enumerate(zip(a, b, strict=True)) if x != y), len(a))


def two_runs(
    net: Any,
    anatomy: Anatomy,
    unpatched: Sequence[int],
    source: Sequence[int],
    record: Collection[Site],
    method: Method,
    added: Added | None = None,
) -> TwoRuns:
    """Both runs in one batch of two, everything recorded; evaluated.

    added: to the embeddings of the unpatched run, e.g. noise.
    """
    capture = _Capture(anatomy) if method != "full" else None
    caches = make_prompt_cache(net) if method == "suffix" else None
    with _last_token_only(anatomy):
        run = forward(
            net if capture is None else capture.around(net),
            anatomy,
            mx.array([list(unpatched), list(source)]),
            record,
            [] if added is None else [added.to_row(0)],
            cache=caches,
        )
    last = run.logits[:, -1]
    ends = None if capture is None else first_array(capture.outputs[-1])
    inputs = [] if capture is None else [x[:1] for x in capture.inputs]
    outputs = [] if capture is None else capture.outputs
    mx.eval(last, list(run.sites.values()), inputs, [cache.state for cache in caches or ()])
    return TwoRuns(
        ids=(tuple(unpatched), tuple(source)),
        logits=last,
        unpatched={site: array[:1] for site, array in run.sites.items()},
        source={site: array[1:] for site, array in run.sites.items()},
        ends=ends,
        _inputs=inputs,
        _outputs=outputs,
        _caches=caches,
        added=added,
    )


def patched(
    net: Any, anatomy: Anatomy, runs: TwoRuns, cells: Sequence[Cell], method: Method
) -> Patched:
    """The unpatched run once for each cell, with it. Rows come in the order of `cells`."""
    return patched_together(net, anatomy, runs, [Patch((cell,)) for cell in cells], method)


def patched_together(
    net: Any, anatomy: Anatomy, runs: TwoRuns, patches: Sequence[Patch], method: Method
) -> Patched:
    """The unpatched run once for each patch, with all that is in it. Rows as in `patches`."""
    order = sorted(range(len(patches)), key=lambda i: _joining_order(patches[i]))
    placed = [patches[i] for i in order]
    found = _FULL_OR_NOT[method == "full"](net, anatomy, runs, placed, method)
    back = mx.array(sorted(range(len(order)), key=order.__getitem__))
    return Patched(
        found.logits[back],
        None if found.state is None else found.state[back],
        None if found.ends is None else found.ends[back],
    )


def _joining_order(patch: Patch) -> tuple[int, str, tuple[int, ...], int]:
    return min(map(in_order, patch.cells))


def edited(
    net: Any,
    anatomy: Anatomy,
    runs: TwoRuns,
    edits: Sequence[Edit],
    method: Method,
) -> Patched:
    """The unpatched run once, from the first difference on, under edits of whole arrays.

    Arrays hold the tokens from `suffix_start` on; keys, values and sources all of them.
    """
    return rows_from(net, anatomy, runs, edits, [0], suffix_start(runs, method), method)


def rows_from(
    net: Any,
    anatomy: Anatomy,
    runs: TwoRuns,
    edits: Sequence[Edit],
    blocks: Sequence[int],
    start: int,
    method: Method,
    record: Collection[Site] = (),
) -> Patched:
    """The unpatched run once for each of `blocks`, ascending, from that block on.

    Edits are of whole arrays, which at a block hold the rows that have joined by then (of whole
    passes all rows) and the tokens from `start` on; keys, values and sources all of them.
    """
    if method == "full":
        ids = mx.array([list(runs.ids[0])] * len(blocks))
        with _last_token_only(anatomy):
            run = forward(net, anatomy, ids, record, edits)
        return Patched(run.logits[:, -1], sites=run.sites)
    return _grown(net, anatomy, runs, edits, Counter(blocks), start, record)


def suffix_start(runs: TwoRuns, method: Method) -> int:
    """The first token that a run with differences inside the attention computes."""
    return max(0, min(runs.first, runs.tokens - 2)) if method == "suffix" else 0


def _resumed(
    net: Any, anatomy: Anatomy, runs: TwoRuns, patches: Sequence[Patch], method: Method
) -> Patched:
    start = _start(runs, [c for p in patches for c in p.places]) if method == "suffix" else 0
    edits = _written(runs, patches)
    joining = Counter(patch.block for patch in patches)
    return _grown(net, anatomy, runs, edits, joining, start)


def _written(runs: TwoRuns, patches: Sequence[Patch]) -> list[Edit]:
    return row_edits(patches, runs.source, runs.unpatched, runs.tokens, _first_changed(runs))


def _own(runs: TwoRuns) -> list[Edit]:
    """What every row is that is not patched."""
    return [] if runs.added is None else [runs.added.to_all()]


def _grown(
    net: Any,
    anatomy: Anatomy,
    runs: TwoRuns,
    edits: Sequence[Edit],
    joining: Counter[int],
    start: int,
    record: Collection[Site] = (),
) -> Patched:
    if joining[0] and anatomy.embed is None:  # else the recorded input of the first block has it
        edits = [*_own(runs), *edits]
    growing = _Growing(anatomy, runs, joining, start)
    cache = resume_cache.cut(runs._caches or (), 0, start) if start else None
    ids = mx.array([runs.ids[0][start:]])
    run = forward(growing.around(net), anatomy, ids, record, edits, cache=cache, offset=start)
    assert growing.ends is not None  # the last block always runs
    return Patched(run.logits[:, -1], growing.ends[:, -1], growing.ends, run.sites)


def _full(
    net: Any, anatomy: Anatomy, runs: TwoRuns, patches: Sequence[Patch], method: Method
) -> Patched:
    edits = [*_own(runs), *_written(runs, patches)]
    return Patched(last_logits(net, anatomy, [runs.ids[0]] * len(patches), edits))


def last_logits(
    net: Any, anatomy: Anatomy, rows: Sequence[Sequence[int]], edits: Sequence[Edit] = ()
) -> mx.array:
    """Whole passes side by side, of which the last token alone is unembedded: [row, vocab]."""
    with _last_token_only(anatomy):
        ids = mx.array([list(row) for row in rows])
        return forward(net, anatomy, ids, (), edits).logits[:, -1]


_FULL_OR_NOT: dict[bool, Callable[..., Patched]] = {True: _full, False: _resumed}


def _first_changed(runs: TwoRuns) -> int:
    """From where on cells of all positions are written: nothing differs before."""
    return min(runs.first, runs.tokens - 1)


def _start(runs: TwoRuns, cells: Sequence[Cell]) -> int:
    """The first token that has to be run.

    Cells inside the attention want two tokens at least: latent attention has another form for
    one alone.
    """
    positions = [p.position for p in cells if p.position is not None]
    start = min(positions, default=runs.tokens)
    if len(positions) < len(cells):
        start = min(start, _first_changed(runs))
    inside = any(cell.site.kind.startswith("attn.") for cell in cells)
    return max(0, min(start, runs.tokens - 2)) if inside else start


class _Capture:
    """What each block of a pass was given, and what it put out."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self.inputs: list[mx.array] = []
        self.outputs: list[Any] = []

    def around(self, net: Any) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            with calls_through([(b.module, self._block(b.stream)) for b in self.anatomy.blocks]):
                return net(*args, **kwargs)

        return run

    def _block(self, stream: int | str | None) -> Around:
        def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            assert stream is not None  # of methods other than full
            self.inputs.append(argument(args, kwargs, stream))
            self.outputs.append(original(*args, **kwargs))
            return self.outputs[-1]

        return around


class _Growing:
    """A batch that rows join block by block. Before the first of them, blocks are left out."""

    def __init__(self, anatomy: Anatomy, runs: TwoRuns, joining: Counter[int], start: int) -> None:
        self.anatomy = anatomy
        self.runs = runs
        self.joining = joining
        self.start = start
        self.rows = 0
        self.ends: mx.array | None = None

    def around(self, net: Any) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            blocks = enumerate(self.anatomy.blocks)
            with calls_through([(b.module, self._block(i, b.stream)) for i, b in blocks]):
                return net(*args, **kwargs)

        return run

    def _block(self, index: int, where: int | str | None) -> Around:
        last = index == len(self.anatomy.blocks) - 1

        def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            assert where is not None  # of methods other than full
            stream = self._joined(index, argument(args, kwargs, where))
            if not self.rows:
                return with_first_array(self.runs._outputs[index], stream)
            args, kwargs = with_argument(args, kwargs, where, stream)
            output = original(*args, **kwargs)
            if not last:
                return output
            ends = self.ends = first_array(output)
            return with_first_array(output, ends[:, -1:])

        return around

    def _joined(self, index: int, stream: mx.array) -> mx.array:
        """The stream [row, pos, d] with the rows that begin at this block."""
        count = self.joining[index]
        if not count:
            return stream
        own = self.runs._inputs[index][:, self.start :]
        own = mx.broadcast_to(own, (count, *own.shape[1:]))
        joined = mx.concatenate([stream, own]) if self.rows else own
        self.rows += count
        return joined


@contextmanager
def _last_token_only(anatomy: Anatomy) -> Iterator[None]:
    """Give the final norm the last token alone: the logits of all would take long."""
    if anatomy.final_norm is None:
        yield
        return

    def cut(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return original(args[0][:, -1:], *args[1:], **kwargs)

    with calls_through([(anatomy.final_norm, cut)]):
        yield
