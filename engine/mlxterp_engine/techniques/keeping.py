"""Work that was stopped goes on: what is done of it is kept while it runs, a moment apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import metadata
from typing import Any, Generic, TypeVar

from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.runlog.unfinished import Unfinished

import msgspec

EVERY = 2.0  # seconds between two writes: so much is lost when a process is killed
COMPUTED_BY = ("mlxterp-tui", "mlx", "numpy")

Kept = TypeVar("Kept", bound=msgspec.Struct)


class Keeper(Generic[Kept]):
    """Keeps one piece of work, or without a store nothing. name: a hash of all that its numbers
    depend on. goes_on: whether what there is already is looked at."""

    def __init__(
        self,
        kind: type[Kept],
        store: Unfinished | None = None,
        name: str = "",
        goes_on: bool = True,
    ) -> None:
        self._kind = kind
        self._store = store
        self._name = name
        self._goes_on = goes_on
        self._written = time.monotonic()

    def kept(self, fits: Callable[[Kept], bool]) -> Kept | None:
        """What there is of work that was stopped, where it fits."""
        data = self._store.read(self._name) if self._store and self._goes_on else None
        try:
            found = None if data is None else msgspec.msgpack.decode(data, type=self._kind)
        except msgspec.DecodeError:
            return None
        return found if found is not None and fits(found) else None

    def note(self, now: Callable[[], Kept], at_last: bool = False) -> None:
        """Write down what is done, unless that was a moment ago."""
        if self._store is None or not (at_last or time.monotonic() - self._written > EVERY):
            return
        self._store.write(self._name, msgspec.msgpack.encode(now()))
        self._written = time.monotonic()


def computed_by(model: InterpretableModel) -> tuple[Any, ...]:
    """The weights, where and by what they are computed with: a part of a name."""
    card = model.card
    versions = [metadata.version(package) for package in COMPUTED_BY]
    return card.sha256, card.device, card.dtype, versions
