"""Scores of attention patterns: what a head looks at, as one number.

Patterns are [..., destination, source] with rows that sum to 1; a score averages some of their
entries and drops the last two axes, so it lies in 0..1. `length` is S, the length of a block of
tokens that is repeated once: 2·S tokens in all. Olsson et al. 2022,
https://transformer-circuits.pub/2022/in-context-learning-and-induction-heads, average over
three earlier copies of a block; with one, as here, mean entry and summed mass are the same.

An induction score says that a head attends so, not that it copies what it finds there.
"""

from __future__ import annotations

from mlxterp_engine.experiments.errors import BadInput

import numpy as np


def induction_score(pattern: np.ndarray, length: int) -> np.ndarray:
    """Mean over destinations i ≥ S of the entry at i − S + 1: what followed last time."""
    destinations = _second_block(pattern, length)
    return _entries(pattern, destinations, destinations - length + 1)


def duplicate_token_score(pattern: np.ndarray, length: int) -> np.ndarray:
    """Mean over destinations i ≥ S of the entry at i − S: the same token last time."""
    destinations = _second_block(pattern, length)
    return _entries(pattern, destinations, destinations - length)


def previous_token_score(pattern: np.ndarray) -> np.ndarray:
    """Mean over destinations i ≥ 1 of the entry at i − 1."""
    destinations = _after_the_first(pattern)
    return _entries(pattern, destinations, destinations - 1)


def first_token_score(pattern: np.ndarray) -> np.ndarray:
    """Mean over destinations i ≥ 1 of the entry at 0: the sink. Row 0 could look nowhere else."""
    destinations = _after_the_first(pattern)
    return _entries(pattern, destinations, np.zeros_like(destinations))


def _entries(pattern: np.ndarray, destinations: np.ndarray, sources: np.ndarray) -> np.ndarray:
    return np.asarray(pattern)[..., destinations, sources].mean(axis=-1)


def _second_block(pattern: np.ndarray, length: int) -> np.ndarray:
    count = _positions(pattern)
    if length < 1 or count != 2 * length:
        raise BadInput(
            f"a pattern over {count} positions is no block of {length} tokens repeated once; "
            f"give a pattern over {2 * max(length, 1)} positions"
        )
    return np.arange(length, count)


def _after_the_first(pattern: np.ndarray) -> np.ndarray:
    count = _positions(pattern)
    if count < 2:
        raise BadInput("a pattern over one position has no earlier token; give two or more")
    return np.arange(1, count)


def _positions(pattern: np.ndarray) -> int:
    """BadInput for what is no [..., destination, source] of one length."""
    shape = np.shape(pattern)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise BadInput(f"a pattern is [..., destination, source], square; this one is {shape}")
    return shape[-1]
