"""A job in one row: name, bar, percentage, price, time left."""

from __future__ import annotations

import os
from typing import ClassVar, Literal

from mlxterp_tui.widgets.colour_depth import ascii_only
from mlxterp_tui.widgets.paint import bar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

State = Literal["idle", "queued", "running", "done", "failed", "cancelled"]

_WORDS: dict[State, str] = {
    "queued": "waiting",
    "done": "✓ done",
    "failed": "✗ failed",
    "cancelled": "stopped",
}
_STYLES: dict[State, str] = {
    "done": "progress-line--done",
    "failed": "progress-line--failed",
}


class ProgressLine(Widget):
    """The job bar. No keys, no messages; it moves only when it is told to."""

    DEFAULT_CSS = """
    ProgressLine {
        height: 1;
        &>.progress-line--name { text-style: bold; }
        &>.progress-line--bar { color: $primary; }
        &>.progress-line--rest { color: $foreground-muted; }
        &>.progress-line--failed { color: $error; text-style: bold; }
        &>.progress-line--done { color: $success; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "progress-line--name",
        "progress-line--bar",
        "progress-line--rest",
        "progress-line--failed",
        "progress-line--done",
    }

    def __init__(
        self,
        *,
        ascii_bars: bool | None = None,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._blocks = not (ascii_only(os.environ) if ascii_bars is None else ascii_bars)
        self.clear()

    def clear(self) -> None:
        """No job: an empty row."""
        self._state: State = "idle"
        self._job, self._price, self._note = "", "", ""
        self._done: float | None = None
        self._seconds_left: float | None = None
        self.refresh()

    def set_job(
        self,
        job: str,
        state: State = "running",
        *,
        done: float | None = None,
        price: str = "",
        seconds_left: float | None = None,
        note: str = "",
    ) -> None:
        """job: its name. done: 0..1, None while unknown. price: `31 passes · 2 s · 40 MB`.

        note: words for the end, as an error's first line or `x stops it`.
        """
        self._job, self._state, self._done = job, state, done
        self._price, self._seconds_left, self._note = price, seconds_left, note
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y or self._state == "idle":
            return Strip.blank(width, self.rich_style)
        return Strip(self._segments(width)).adjust_cell_length(width, self.rich_style)

    def _segments(self, width: int) -> list[Segment]:
        style = self.get_component_rich_style
        length = max(6, min(20, width // 5))
        rest = [self._price, duration(self._seconds_left), self._note]
        return [
            Segment(self._job + " ", style("progress-line--name")),
            Segment(bar(self._part, length, self._blocks), style("progress-line--bar")),
            Segment(f" {self._word}  ", style(_STYLES.get(self._state, "progress-line--rest"))),
            Segment(" · ".join(filter(None, rest)), style("progress-line--rest")),
        ]

    @property
    def _part(self) -> float:
        return 1.0 if self._state == "done" else self._done or 0.0

    @property
    def _word(self) -> str:
        """The state in a word; while it runs, the percentage."""
        if self._state != "running":
            return _WORDS[self._state]
        return "  … " if self._done is None else f"{self._done:4.0%}"


def duration(seconds: float | None) -> str:
    """`4 s left`, `2 min left`, `1.5 h left`; nothing when unknown."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{max(1, round(seconds))} s left"
    if seconds < 3600:
        return f"{round(seconds / 60)} min left"
    return f"{seconds / 3600:.1f} h left"
