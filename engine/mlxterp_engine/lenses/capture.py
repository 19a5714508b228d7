"""Hidden states of whole sequences, of all layers in one pass, the first token of each left out."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from mlxterp_engine.corpora.sequences import SKIPPED
from mlxterp_engine.experiments import BadInput
from mlxterp_engine.models.anatomy_parts import Anatomy
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import numpy as np

AT_ONCE = 512  # tokens in one pass: enough for a fast matmul, little enough to hold every layer


@dataclass(frozen=True, eq=False)
class Captured:
    """hidden: by layer from the embeddings to the last block but one, each [token, d_model].
    final: [token, d_model], the last block's. next_ids: [token], the token that follows in the
    text; -1 behind a sequence's last one.
    """

    hidden: list[mx.array]
    final: mx.array
    next_ids: np.ndarray

    @property
    def tokens(self) -> int:
        return len(self.next_ids)


def lens_sites(anatomy: Anatomy) -> list[Site]:
    """The states that a lens reads, then the one that they are translated to."""
    return [Site("embed"), *(Site("resid_post", block) for block in range(len(anatomy.blocks)))]


def check_lens(anatomy: Anatomy, name: str) -> None:
    """BadInput where this model has no state to translate to, or none that can be unembedded."""
    if "unembed" in anatomy.missing:
        raise BadInput(f"{name} has no lens: {anatomy.missing['unembed']}")
    for site in lens_sites(anatomy)[1:]:
        assert site.block is not None
        if reason := anatomy.blocks[site.block].missing.get("resid_post"):
            raise BadInput(f"{name} has no lens, for it has no {site}: {reason}")


def capture(net: Any, anatomy: Anatomy, ids: np.ndarray) -> Generator[None, None, Captured]:
    """ids: [sequence, pos]. Yields after each layer, so that it can be stopped there."""
    sites = lens_sites(anatomy)
    run = forward(net, anatomy, mx.array(ids), sites)
    states = [_counted(run.sites.pop(site)) for site in sites]
    del run
    for state in states:
        mx.eval(state)
        yield
    following = np.full((len(ids), ids.shape[1]), -1, np.int32)
    following[:, :-1] = ids[:, 1:]
    return Captured(states[:-1], states[-1], following[:, SKIPPED:].ravel())


def groups(ids: np.ndarray) -> Iterator[np.ndarray]:
    """The sequences [sequence, pos], as many at a time as make about `AT_ONCE` tokens."""
    count = max(1, AT_ONCE // ids.shape[1])
    for start in range(0, len(ids), count):
        yield ids[start : start + count]


def _counted(state: mx.array) -> mx.array:
    """[sequence, pos, d_model] -> [token, d_model] of the tokens that count."""
    return state[:, SKIPPED:].reshape(-1, state.shape[-1])
