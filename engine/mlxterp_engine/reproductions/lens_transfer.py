"""Translators on other layers' states: what it costs to read a layer with another layer's lens.

Belrose et al. 2023 (arXiv 2303.08112): the transfer penalty of translator i on layer j is the loss
of layer j's states through translator i less their loss through their own. (Quoted from memory.)
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.lenses.translators import Translators
from mlxterp_engine.reproductions.lens_marginals import log_probs
from mlxterp_engine.reproductions.lens_quality import Seen, loss

import numpy as np


def spread_rows(rows: int, most: int) -> list[int]:
    """At most so many rows of a lens, evenly spread, the first and the last among them."""
    return sorted({round(row) for row in np.linspace(0, rows - 1, min(rows, most))})


def transfer_losses(
    model: InterpretableModel, seen: Seen, translators: Translators, rows: Sequence[int]
) -> Generator[None, None, np.ndarray]:
    """Mean loss of the next token, nats: [translator of row i, states of row j]."""
    found = np.empty((len(rows), len(rows)))
    for i, source in enumerate(rows):
        for j, target in enumerate(rows):
            states = translators.translate(seen.hidden[target], source - 1)
            found[i, j] = loss(log_probs(model.unembed(states)), seen.next_ids).mean()
            yield
    return found


def penalties(losses: np.ndarray) -> np.ndarray:
    """[..., i, j]: losses less those of each layer's own translator, the diagonal."""
    return losses - np.diagonal(losses, axis1=-2, axis2=-1)[..., None, :]


def apart(rows: Sequence[int]) -> np.ndarray:
    """[i, j]: how many layers lie between two of them."""
    places = np.asarray(rows)
    return np.abs(places[:, None] - places[None, :])
