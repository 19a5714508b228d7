"""Runs in which one sender each is heard, measured; and what they prove of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments import Contract
from mlxterp_engine.techniques.patching import MOVED, STILL, Session
from mlxterp_engine.tracing.patching_rows import Cell
from mlxterp_engine.tracing.paths import Delivered, Paths, delivered
from mlxterp_engine.tracing.resume import Method
from mlxterp_engine.tracing.resume_proof import TOLERANCE

import mlx.core as mx
import numpy as np


@dataclass(eq=False)
class Senders:
    """Runs of senders, measured, and what they prove.

    live: senders whose z differs; unmoved: those of them after which nothing else arrived.
    kept: the metric of a run with nothing sent, once it is known.
    """

    session: Session
    paths: Paths
    live: int = 0
    unmoved: int = 0
    kept: float | None = None

    def effects(self, senders: Sequence[Cell | None]) -> np.ndarray:
        """[sender], float32; NaN where the metric is not finite."""
        session = self.session
        found = self._delivered(senders, session.method)
        measured = session.readout.lazily(found.patched)
        mx.eval(measured, found.change)
        raw = session.readout.of(measured)
        self._count_unmoved(senders, as_numpy(found.change))
        if None in senders:
            self.kept = float(raw[list(senders).index(None)])
        return session.normalised(raw)

    def contracts(self, senders: Sequence[Cell], effect: np.ndarray) -> dict[str, Contract]:
        """senders: those that were run; effect [layer, head]."""
        session, contracts = self.session, {}
        if self.live:
            contracts["patch_changes"] = Contract.of(self.unmoved / self.live, 0.0)
        if self.kept is not None:
            error = abs(self.kept - session.unpatched) / session.largest
            contracts["freeze_identity"] = Contract.of(error, TOLERANCE[session.low])
        if session.method != "full" and senders:
            error = self._resume_error(senders, effect)
            contracts["resume_equals_full"] = Contract.of(error, TOLERANCE[session.low])
        return contracts

    def _delivered(self, senders: Sequence[Cell | None], method: Method) -> Delivered:
        model, runs = self.session.model, self.session.runs
        return delivered(model.net, model.anatomy, runs, senders, self.paths, method)

    def _count_unmoved(self, senders: Sequence[Cell | None], change: np.ndarray) -> None:
        if not len(change):
            return
        low, last = self.session.low, self.session.runs.tokens - 1
        for sender, moved in zip(senders, change, strict=True):
            if sender is None:
                continue
            read = sender if self.paths.receivers else replace(sender, position=last)
            if self.session.difference(read) > MOVED[low]:
                self.live += 1
                self.unmoved += int(moved <= STILL[low])

    def _resume_error(self, senders: Sequence[Cell], effect: np.ndarray) -> float:
        """Of the strongest sender and of one in the middle, by whole passes; of the metric."""
        session = self.session
        size = {sender: abs(effect[_index(sender)]) for sender in senders}
        chosen = [max(size, key=lambda s: np.nan_to_num(size[s])), senders[len(senders) // 2]]
        whole = self._delivered(chosen, "full").patched
        expected = session.readout.by_logits(as_numpy(whole.logits))
        span = session.source - session.unpatched
        found = np.array([effect[_index(s)] for s in chosen]) * span + session.unpatched
        largest = max(np.abs(expected).max(), session.largest)
        return float(np.abs(found - expected).max() / largest)


def _index(sender: Cell) -> tuple[int, int]:
    assert sender.site.part is not None  # a head's z
    return sender.block, sender.site.part[0]
