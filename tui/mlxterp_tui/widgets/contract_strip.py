"""The checks of a result with their measured errors, in one row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

_NAME = "contract-strip--name"


class Check(NamedTuple):
    """An identity that must hold. error and tolerance in the identity's own unit."""

    name: str
    error: float
    tolerance: float
    ok: bool


class ContractStrip(Widget):
    """`✓ last row = logits 3e-5`; when one fails, it comes first, red, with a sentence.

    Takes plain tuples (name, error, tolerance, ok). No keys, no messages.
    """

    DEFAULT_CSS = """
    ContractStrip {
        height: 1;
        &>.contract-strip--held { color: $success; }
        &>.contract-strip--name { color: $foreground-muted; }
        &>.contract-strip--failed { color: $error; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "contract-strip--held",
        "contract-strip--name",
        "contract-strip--failed",
    }

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._checks: list[Check] = []
        self._note = ""

    def set_checks(self, checks: Sequence[tuple[str, float, float, bool]], note: str = "") -> None:
        """The checks, and a note for the right end (`31 × 5 · 0.21 s`)."""
        self._checks = [Check(*check) for check in checks]
        self._note = note
        self.refresh()

    @property
    def failed(self) -> list[Check]:
        return [check for check in self._checks if not check.ok]

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y:
            return Strip.blank(width, self.rich_style)
        checks, note = Strip(self._segments()), self._note_for(width)
        room = width - note.cell_length
        return Strip.join([checks.adjust_cell_length(room, self.rich_style), note])

    def _note_for(self, width: int) -> Strip:
        """The note at the right end; left out rather than a failed check cut short for it."""
        if not self._note or (self.failed and width < 100):
            return Strip([])
        return Strip([Segment(" " + self._note, self.get_component_rich_style(_NAME))])

    def _segments(self) -> list[Segment]:
        style = self.get_component_rich_style
        segments = [
            Segment(failure(check) + "  ", style("contract-strip--failed")) for check in self.failed
        ]
        for check in self._checks:
            if check.ok:
                segments.append(Segment("✓ ", style("contract-strip--held")))
                text = f"{check.name} {short(check.error)}  "
                segments.append(Segment(text, style(_NAME)))
        return segments


def failure(check: Check) -> str:
    """What a failed check says."""
    return (
        f"✗ {check.name}: off by {short(check.error)}, allowed {short(check.tolerance)};"
        " do not trust this result"
    )


def short(number: float) -> str:
    """`3e-5`, `0`, `0.12`: one significant digit below 0.01, two above; `nan` and `inf` too."""
    if number == 0:
        return "0"
    if not math.isfinite(number):
        return str(number)
    if abs(number) >= 0.01:
        return f"{number:.2g}"
    mantissa, exponent = f"{number:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"
