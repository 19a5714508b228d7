"""Spearman's ρ, draw by draw."""

from __future__ import annotations

import numpy as np


def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[draw, n] and [draw, n] or [n] -> [draw]. Ties share a rank; NaN where all are tied."""
    a, b = _centred(ranks(x)), _centred(ranks(np.broadcast_to(y, x.shape)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(axis=-1) / np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))


def ranks(values: np.ndarray) -> np.ndarray:
    """[draw, n] -> [draw, n], from 0; ties get their mean."""
    order = np.argsort(values, axis=-1)
    ordered = np.take_along_axis(values, order, axis=-1)
    places = np.broadcast_to(np.arange(values.shape[-1], dtype=np.float64), values.shape)
    new = np.ones(values.shape, dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    last = np.ones(values.shape, dtype=bool)
    last[:, :-1] = new[:, 1:]
    begins = np.maximum.accumulate(np.where(new, places, 0), axis=-1)
    ends = np.minimum.accumulate(np.where(last, places, np.inf)[:, ::-1], axis=-1)[:, ::-1]
    found = np.empty(values.shape)
    np.put_along_axis(found, order, (begins + ends) / 2, axis=-1)
    return found


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean(axis=-1, keepdims=True)
