"""Write on, token by token, with mlx-lm's samplers and key-value caches, edited or not.

The contract `cache_equals_full`: the logits of the cached generation are those of one whole
pass over prompt and new tokens under the same edits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mlxterp_engine.experiments.errors import BadInput, RunFailed
from mlxterp_engine.models.anatomy_parts import Anatomy
from mlxterp_engine.models.calls import calls_through
from mlxterp_engine.models.mlx_lm_file import mlx_lm_file
from mlxterp_engine.tracing.cached_edits import for_generation, within
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.interventions import Edit
from mlxterp_engine.tracing.proofs import relative_error
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx

make_prompt_cache = mlx_lm_file("models.cache").make_prompt_cache
make_sampler = mlx_lm_file("sample_utils").make_sampler

# In float32, in 16-bit floats. One token at a time and many at once are products of other
# shapes, whose sums are rounded in another order: 2e-6 over the default model's 30 blocks.
TOLERANCE = (1e-4, 5e-2)
KEPT = 256  # steps whose logits are kept for the contract, spread over a longer generation
CHUNK = 64  # tokens of the prompt read at once


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn; the draw of step n depends on the seed and n alone.

    temperature 0: the likeliest token. top_p 1, top_k 0 and min_p 0 leave the choice open;
    where they limit it, they come before the temperature, as in mlx-lm.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Read:
    """So many tokens of the prompt have been read."""

    done: int
    total: int


@dataclass(frozen=True)
class NewToken:
    """One more token. logprob: nats, under the model as edited, before any sampling limits."""

    id: int
    logprob: float


@dataclass(eq=False)
class Generated:
    """The new tokens, the end token included where one was drawn.

    kept: logits [vocab] by step, of as many steps as the contract compares. edits: as they were
    applied. stopped: whether an end token was drawn.
    """

    prompt: list[int]
    edits: list[Edit]
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    kept: dict[int, mx.array] = field(default_factory=dict)
    stopped: bool = False


@dataclass(frozen=True, eq=False)
class _Drawn:
    """One step, being computed: all lazy. normaliser: log Σ exp(logits), finite if they are."""

    logits: mx.array
    normaliser: mx.array
    token: mx.array
    logprob: mx.array


def generate(
    net: Any,
    anatomy: Anatomy,
    prompt: Sequence[int],
    edits: Sequence[Edit] = (),
    *,
    max_tokens: int,
    sampling: Sampling | None = None,
    end_ids: Collection[int] = (),
    chunk: int = CHUNK,
) -> Generator[Read | NewToken, None, Generated]:
    """Yields how far the prompt is read, then each new token; may be closed between any two.

    Negative positions of edits count back from the end of the prompt, "prompt" and "new" mean
    what they say; the last new token is never read. Sets MLX's random seed at each draw.
    RunFailed where logits are not finite, or where the generation ended before an edit's turn.
    """
    if max_tokens < 1 or not prompt:
        raise BadInput(f"{max_tokens} tokens after {len(prompt)} can't be generated; give both > 0")
    made = for_generation(net, anatomy, edits, len(prompt), len(prompt) + max_tokens - 1)
    reader = _Reader(net, anatomy, made)
    draw = _drawer(sampling or Sampling(), anatomy.vocab_size)
    result = Generated(list(prompt), made)
    for done in reader.read_but_last(mx.array([result.prompt]), chunk):
        yield Read(done, len(prompt))
    first = draw(reader.read(mx.array([result.prompt[-1:]])), 0)
    yield Read(len(prompt), len(prompt))
    for step, drawn in _one_ahead(first, reader, draw, max_tokens):
        yield _taken(result, drawn, step)
        result.stopped = result.ids[-1] in end_ids
        last = result.stopped or step + 1 == max_tokens
        if last or step % -(-max_tokens // KEPT) == 0:
            result.kept[step] = drawn.logits
        if last:
            break
    _check_reached(result)
    return result


def _one_ahead(
    first: _Drawn, reader: _Reader, draw: Callable[[mx.array, int], _Drawn], max_tokens: int
) -> Iterator[tuple[int, _Drawn]]:
    """Each step; the one after is already being computed while it is looked at."""
    drawn = first
    for step in range(max_tokens - 1):
        following = draw(reader.read(drawn.token[None]), step + 1)
        yield step, drawn
        drawn = following
    yield max_tokens - 1, drawn


def finish(parts: Generator[Any, None, Generated]) -> Generated:
    """Run a generation to its end without looking at its parts."""
    while True:
        try:
            next(parts)
        except StopIteration as end:
            return end.value


def cache_error(net: Any, anatomy: Anatomy, made: Generated) -> Generator[int, None, float]:
    """max|difference| / max|reference| of the kept logits against those of one whole pass.

    Yields the blocks as they are computed, so that it can be closed between them.
    """
    ids = [*made.prompt, *made.ids[:-1]]
    steps = mx.array([len(made.prompt) - 1 + step for step in made.kept])
    blocks = [Site("resid_post", b) for b, block in enumerate(anatomy.blocks) if _has_end(block)]
    edits = within(made.edits, len(ids))
    with _unembedding_only(steps, anatomy, edits):
        run = forward(net, anatomy, mx.array([ids]), blocks, edits)
    compared = run.logits.shape[1] == len(made.kept)
    reference = run.logits[0] if compared else run.logits[0, steps]
    for number, site in enumerate(blocks):
        mx.eval(run.sites.pop(site))
        yield number
    del run
    return relative_error(mx.stack(list(made.kept.values())), reference)


@contextmanager
def _unembedding_only(steps: mx.array, anatomy: Anatomy, edits: Sequence[Edit]) -> Iterator[None]:
    """Give the final norm these positions alone: a long prompt's logits would take gigabytes.

    Not where an edit counts positions behind the last block; there all are unembedded.
    """
    norm = anatomy.final_norm
    if norm is None or any(edit.site.block is None and edit.site.kind != "embed" for edit in edits):
        yield
        return

    def cut(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return original(args[0][:, steps], *args[1:], **kwargs)

    with calls_through([(norm, cut)]):
        yield


class _Reader:
    """Reads on and on: the network, its caches, and how much they hold."""

    def __init__(self, net: Any, anatomy: Anatomy, edits: Sequence[Edit]) -> None:
        self._net = net
        self._anatomy = anatomy
        self._edits = edits
        self._cache = make_prompt_cache(net)
        self._offset = 0

    def read(self, ids: mx.array) -> mx.array:
        """ids [1, pos] -> the last one's logits [vocab]."""
        offset, self._offset = self._offset, self._offset + ids.shape[1]
        if not self._edits:
            return self._net(ids, cache=self._cache)[0, -1]
        run = forward(
            self._net, self._anatomy, ids, (), self._edits, cache=self._cache, offset=offset
        )
        return run.logits[0, -1]

    def read_but_last(self, ids: mx.array, chunk: int) -> Iterator[int]:
        """Fill the caches with all of ids [1, pos] but the last; yields how many are in."""
        last = ids.shape[1] - 1
        for start in range(0, last, chunk):
            end = min(start + chunk, last)
            self.read(ids[:, start:end])
            mx.eval([cache.state for cache in self._cache])
            yield end


def _drawer(sampling: Sampling, vocab_size: int) -> Callable[[mx.array, int], _Drawn]:
    """(logits [vocab], step) -> what was drawn, its computation begun."""
    _check(sampling, vocab_size)
    sampler = make_sampler(
        sampling.temperature, sampling.top_p, sampling.min_p, top_k=sampling.top_k
    )

    def draw(logits: mx.array, step: int) -> _Drawn:
        logits = logits.astype(mx.float32)
        normaliser = mx.logsumexp(logits)
        logprobs = logits - normaliser
        mx.random.seed((sampling.seed << 32) + step)
        token = sampler(logprobs[None])
        drawn = _Drawn(logits, normaliser, token, logprobs[token[0]])
        mx.async_eval(drawn.logits, drawn.normaliser, drawn.token, drawn.logprob)
        return drawn

    return draw


def _check(sampling: Sampling, vocab_size: int) -> None:
    if not 0 <= sampling.temperature < float("inf"):
        raise BadInput(f"temperature is {sampling.temperature}; give 0 (greedy) or more")
    if not 0 < sampling.top_p <= 1:
        raise BadInput(f"top_p is {sampling.top_p}; give a number above 0, up to 1 (no limit)")
    if not 0 <= sampling.min_p <= 1:
        raise BadInput(f"min_p is {sampling.min_p}; give a number from 0 to 1")
    if not 0 <= sampling.top_k < vocab_size:
        raise BadInput(
            f"top_k is {sampling.top_k}; give a whole number from 0 (off) to {vocab_size - 1}, "
            "one less than the vocabulary"
        )


def _taken(result: Generated, drawn: _Drawn, step: int) -> NewToken:
    """Wait for a step's token, check it, and keep it."""
    if not math.isfinite(float(drawn.normaliser)):
        raise RunFailed(
            f"the logits for new token {step + 1} are not finite"
            + ("; make the interventions smaller" if result.edits else "")
        )
    new = NewToken(int(drawn.token), float(drawn.logprob))
    result.ids.append(new.id)
    result.logprobs.append(new.logprob)
    return new


def _check_reached(result: Generated) -> None:
    read = len(result.prompt) + len(result.ids) - 1
    for edit in result.edits:
        if not edit.reaches(0, read):
            raise RunFailed(
                f"nothing consumed the edit at {edit.site}: the generation ended after "
                f"{len(result.ids)} new tokens, before its positions"
            )


def _has_end(block: Any) -> bool:
    return "resid_post" not in block.missing
