"""What is drawn is text: nothing in it may steer the terminal."""

from __future__ import annotations

import re

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

# C0 and C1 controls, and marks that turn the direction of what follows. None has a width.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class NoControls(LineFilter):
    """Leaves out control characters of prompts, notes and messages, wherever they are drawn.

    Widgets show them as signs where it matters which they are; this is for all the other places,
    for a prompt out of the log may hold `ESC ]52` as well as a word.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [_without(segment) for segment in segments]


NO_CONTROLS = NoControls()


def _without(segment: Segment) -> Segment:
    text, style, control = segment
    if control or text.isprintable():
        return segment
    return Segment(_STEERING.sub("", text), style)
