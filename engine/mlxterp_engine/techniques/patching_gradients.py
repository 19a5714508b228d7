"""Every cell's effect to first order: (a_clean − a_corrupt) · ∂m/∂a, all sites in one backward.

Nanda 2023, https://www.neelnanda.io/mechanistic-interpretability/attribution-patching. The
gradient is that of the corrupt run, so that the estimate is of denoising. With several steps it is
the mean over points between both prompts' embeddings: integrated gradients of the inputs (Hanna et
al. 2024, arXiv 2403.17806), here at the midpoints of equal parts of the line.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments import BadInput, Step
from mlxterp_engine.experiments.patching import BY_POSITION, KINDS
from mlxterp_engine.techniques.patching import Session
from mlxterp_engine.techniques.patching_cells import Asked, shape_of
from mlxterp_engine.techniques.patching_metric import Answers
from mlxterp_engine.tracing.interventions import Edit, Operation
from mlxterp_engine.tracing.resume import Patched, edited, suffix_start
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import numpy as np

Gradients = dict[str, mx.array]


def estimates(
    session: Session, asked: Asked, metric: str, answers: Answers, steps: int
) -> Generator[Step, None, dict[str, np.ndarray]]:
    """The maps asked for, normalised as exact ones are. NaN where a block lacks the site."""
    start = suffix_start(session.runs, session.method)
    sites = [site for site in session.runs.source if site.kind in _kinds(asked)]
    mean: Gradients | None = None
    for step in range(steps):
        at = 0.0 if steps == 1 else (step + 0.5) / steps
        found = _gradients(session, sites, metric, answers, start, at)
        mx.eval(found)
        mean = found if mean is None else {name: mean[name] + found[name] for name in found}
        yield Step(step + 1, steps, "gradients")
    assert mean is not None  # one step at least
    maps = {}
    for name in asked.maps:
        shape = shape_of(session.model.sites, name, session.runs.tokens, asked)
        maps[name] = np.full(shape, np.nan, np.float32)
    for site in sites:
        cells = _contributions(session, site, mean[str(site)] / steps, start)
        maps[_name(site)][site.block, : len(cells)] = cells
    return maps


def _kinds(asked: Asked) -> list[str]:
    return [KINDS[name] for name in asked.maps]


def _name(site: Site) -> str:
    return site.kind.removeprefix("attn.")


def _gradients(
    session: Session, sites: Sequence[Site], metric: str, answers: Answers, start: int, at: float
) -> Gradients:
    """∂m/∂a by site, of the tokens from `start` on. at: how far from corrupt to clean inputs."""
    inputs = _between(session, at, start)
    measured = _measure(session, metric, answers)
    nothing = {str(site): mx.zeros_like(_own(session.runs.source[site], start)) for site in sites}

    def run(added: Gradients) -> mx.array:
        edits = [Edit(site, _adding(added[str(site)])) for site in sites]
        found = edited(
            session.model.net,
            session.model.anatomy,
            session.runs,
            [*inputs, *edits],
            session.method,
        )
        return measured(found)

    return mx.grad(run)(nothing)


def _adding(vector: mx.array) -> Operation:
    """Add to the last tokens that an array holds; of a pattern, to the sources it still reads."""

    def add(x: mx.array) -> mx.array:
        rows, width = vector.shape[-2], min(vector.shape[-1], x.shape[-1])
        before = [(0, 0)] * (x.ndim - 2) + [(x.shape[-2] - rows, 0), (0, 0)]
        return x + mx.pad(vector[..., vector.shape[-1] - width :], before)

    return add


def _own(array: mx.array, start: int) -> mx.array:
    return array[..., start:, :]


def _between(session: Session, at: float, start: int) -> list[Edit]:
    """What makes the first block's input a point between both prompts'."""
    if at == 0:
        return []
    site = Site("resid_pre", 0)
    if site not in session.runs.source:
        raise BadInput(
            "integrated gradients start at the first block's input, which this model does not "
            f"show: {session.model.sites.why_not(site)}; give steps 1"
        )
    own, other = (_own(runs[site], start) for runs in (session.runs.unpatched, session.runs.source))
    return [Edit(site, lambda x: own + at * (other - own))]


def _measure(session: Session, metric: str, answers: Answers) -> Callable[[Patched], mx.array]:
    """A run of one row -> the metric, lazily."""
    linear = session.readout.linear
    if linear is not None:
        return lambda found: linear(_state(found))[0]
    if metric == "logit-diff":
        return lambda found: _logits(found)[answers.answer] - _logits(found)[answers.wrong]
    if metric == "prob":
        return lambda found: mx.softmax(_logits(found))[answers.answer]
    clean = session.runs.logits[1].astype(mx.float32)
    log_p = clean - mx.logsumexp(clean)

    def divergence(found: Patched) -> mx.array:
        logits = _logits(found)
        return (mx.exp(log_p) * (log_p - (logits - mx.logsumexp(logits)))).sum()

    return divergence


def _state(found: Patched) -> mx.array:
    assert found.state is not None  # of methods other than full, which have no linear readout
    return found.state


def _logits(found: Patched) -> mx.array:
    return found.logits[0].astype(mx.float32)


def _contributions(session: Session, site: Site, gradient: mx.array, start: int) -> np.ndarray:
    """By position, or by head: difference · gradient, as a share of the ends' distance."""
    difference = _own(session.runs.source[site] - session.runs.unpatched[site], start)
    by_position = _name(site) in BY_POSITION
    products = difference.astype(mx.float32) * gradient.astype(mx.float32)
    cells = as_numpy(products.sum(axis=(0, 2) if by_position else (0, 2, 3)))
    if by_position:  # before `start` both runs are the same
        cells = np.concatenate([np.zeros(start, np.float32), cells])
    return cells / (session.source - session.unpatched)
