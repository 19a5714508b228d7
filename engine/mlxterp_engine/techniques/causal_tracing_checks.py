"""What a causal trace shows of itself: that what is given back arrives, and arrives whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments import Contract
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.patching import MOVED, STILL
from mlxterp_engine.tracing.patching_rows import Cell, Patch
from mlxterp_engine.tracing.resume import Patched, TwoRuns
from mlxterp_engine.tracing.resume_proof import TOLERANCE
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import numpy as np


class Checks:
    """Gathers over all draws. Errors of probabilities are differences.

    live: places that noise moved; unmoved: those of them that, given back, changed nothing.
    """

    def __init__(self, model: InterpretableModel) -> None:
        self._low = model.anatomy.dtype != mx.float32
        self.live = 0
        self.unmoved = 0
        self.errors: dict[str, float] = {}
        self._runs: TwoRuns | None = None
        self._differences: dict[Site, np.ndarray] = {}

    def take(self, live: int, unmoved: int, errors: Mapping[str, float]) -> None:
        """What was seen before the trace was stopped."""
        self.live, self.unmoved, self.errors = live, unmoved, dict(errors)

    def change(self, runs: TwoRuns, found: Patched) -> mx.array:
        """By row: the most by which a token's last state differs from the noised run's."""
        if found.ends is None or runs.ends is None:
            return mx.zeros((0,))
        own = runs.ends[:1, -found.ends.shape[1] :].astype(mx.float32)
        largest = mx.maximum(mx.abs(own).max(axis=2), 1e-30)
        return (mx.abs(found.ends - own).max(axis=2) / largest).max(axis=1)

    def count(self, runs: TwoRuns, patches: Sequence[Patch], change: np.ndarray) -> None:
        """Rows whose place differs between the runs, and those of them that stayed the same."""
        if not len(change):
            return
        for patch, moved in zip(patches, change, strict=True):
            if max(self._difference(runs, cell) for cell in patch.cells) > MOVED[self._low]:
                self.live += 1
                self.unmoved += int(moved <= STILL[self._low])

    def full(self, restored: float, clean: float) -> None:
        self.errors["patch_full"] = abs(restored - clean)

    def resumed(self, found: np.ndarray, whole: np.ndarray) -> None:
        self.errors["resume_equals_full"] = float(np.abs(found - whole).max())

    def contracts(self) -> dict[str, Contract]:
        found = {
            name: Contract.of(error, TOLERANCE[self._low]) for name, error in self.errors.items()
        }
        if self.live:
            found["patch_changes"] = Contract.of(self.unmoved / self.live, 0.0)
        return found

    def _difference(self, runs: TwoRuns, cell: Cell) -> float:
        """How much noise moved a place, of its site's largest entry."""
        if runs is not self._runs:
            self._runs = runs
            self._differences = _differences(runs)
        moved = self._differences[cell.site]
        return float(moved.max() if cell.position is None else moved[cell.position])


def _differences(runs: TwoRuns) -> dict[Site, np.ndarray]:
    """[pos] of each site."""
    found = {}
    for site, clean in runs.source.items():
        noised = runs.unpatched[site]
        scale = mx.maximum(mx.abs(noised).max(), 1e-30)
        found[site] = mx.abs(clean - noised).max(axis=-1)[0] / scale
    mx.eval(found)
    return {site: as_numpy(moved) for site, moved in found.items()}
