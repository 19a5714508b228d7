"""What comes of a request for a run that will stand beside the one on screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mlxterp_engine.experiments import AnyRequest, LogitLens, ModelCard, Result
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.panes.pane import Ended
from mlxterp_tui.session import Progress


class LensAnswer:
    """Collects a run, and hands it over when it has ended.

    came: told of it, however far it came.
    """

    recorded_as: int | None = None

    def __init__(self, came: Callable[[LensRun], None]) -> None:
        self.run = LensRun()
        self._came = came

    def begin(self, request: AnyRequest, card: ModelCard | None) -> None:
        assert isinstance(request, LogitLens)
        self.run = LensRun(request=request, state="waiting")

    def show(self, parts: Sequence[Progress], card: ModelCard | None) -> None:
        self.run = self.run.with_parts(parts, card)

    def finish(self, result: Result) -> None:
        self._came(replace(self.run.finished(result), recorded_as=self.recorded_as))

    def end(self, state: Ended, reason: str) -> None:
        self._came(replace(self.run.ended(state, reason), recorded_as=self.recorded_as))
