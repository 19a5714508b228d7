"""Progress on standard error: a bar on a terminal, else a line for each 10 %."""

from __future__ import annotations

import re
import time
from typing import TextIO

from mlxterp_engine.experiments import Step
from mlxterp_engine.worker.client import Progress as Event

WIDTH = 30
_CLEAR = "\r\x1b[K"
# What changes from step to step within a stage: counts, losses, and from the first on the time.
_NUMBERS = re.compile(r",.*|[\d.]+")


class Progress:
    """Call it with each event; leave the `with` to clear the bar.

    patience: seconds in which no lines are written unless the run itself has begun. A wrong
    value that only the loaded model can see is then one line, and nothing else, in a log.
    """

    def __init__(self, stream: TextIO, patience: float = 0.0) -> None:
        self._stream = stream
        self._draw = self._bar if stream.isatty() else self._line
        self._told: tuple[str, int] | None = None
        self._quiet_until = time.monotonic() + patience

    def __call__(self, event: Event) -> None:
        if isinstance(event, Step):
            self._draw(event.what, _per_cent(event))
        else:
            self._quiet_until = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._told is not None and self._stream.isatty():
            self._write(_CLEAR)

    def _bar(self, what: str, per_cent: int) -> None:
        if (what, per_cent) != self._told:
            self._told = what, per_cent
            full = WIDTH * per_cent // 100
            self._write(f"{_CLEAR}{'█' * full}{'░' * (WIDTH - full)} {per_cent:3} % {what}")

    def _line(self, what: str, per_cent: int) -> None:
        stage = _NUMBERS.sub("", what), per_cent // 10
        if stage != self._told and time.monotonic() >= self._quiet_until:
            self._told = stage
            self._write(f"{per_cent:3} % {what}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _per_cent(step: Step) -> int:
    return min(100, max(0, int(100 * step.done / step.total))) if step.total > 0 else 0
