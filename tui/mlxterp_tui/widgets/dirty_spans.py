"""Send to the terminal what changed, and not everything to the left of it.

Textual's `ChopsUpdate.render_segments` cuts a changed span only on the right: it sends a line
again from the widget's left edge, so that a key costs more the further right the cursor is
(measured: 1828 bytes at column 40, 100 with this). It also ends every segment with a reset; here
a segment says only what differs from the one before.

The patch is put in only where Textual's function is the one that it was written for.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import chain

from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.strip import Strip

KNOWN = frozenset({"4c1cdb56", "ff329c72"})
"""Fingerprints of the two functions that may be replaced: those of Textual 8.2.8."""

STOCK_SPANS, STOCK_LINES = ChopsUpdate.render_segments, LayoutUpdate.render_segments


def install() -> bool:
    """Put the patch in for the whole process. False, and nothing done, on another Textual."""
    if any(fingerprint(stock) not in KNOWN for stock in (STOCK_SPANS, STOCK_LINES)):
        return False
    ChopsUpdate.render_segments = render_spans
    LayoutUpdate.render_segments = render_lines
    return True


def uninstall() -> None:
    """Take the patch out again."""
    ChopsUpdate.render_segments = STOCK_SPANS
    LayoutUpdate.render_segments = STOCK_LINES


def fingerprint(function: Callable) -> str:
    """Eight hexadecimal digits of a function's source; nothing when it has none."""
    try:
        source = inspect.getsource(function)
    except OSError:
        return ""
    return hashlib.sha256(source.encode()).hexdigest()[:8]


def render_spans(self: ChopsUpdate, console: Console) -> str:
    """The terminal sequences for the changed spans alone."""
    system = console._color_system or ColorSystem.TRUECOLOR
    sequences: list[str] = []
    for y, x1, x2 in self.spans:
        for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
            if strip is None or x >= x2 or end <= x1:
                continue
            left, right = whole_characters(strip, max(0, x1 - x), min(end, x2) - x)
            sequences.append(f"\x1b[{y + 1};{x + left + 1}H")
            sequences.append(encode(strip.crop(left, right), system))
    return "".join(sequences)


def render_lines(self: LayoutUpdate, console: Console) -> str:
    """The terminal sequences for whole lines, when the screen is drawn anew."""
    system = console._color_system or ColorSystem.TRUECOLOR
    x, top, _, _ = self.region
    return "".join(
        f"\x1b[{y + 1};{x + 1}H{encode(chain.from_iterable(line), system)}"
        for y, line in enumerate(self.strips, top)
    )


def whole_characters(strip: Strip, left: int, right: int) -> tuple[int, int]:
    """The span, grown so that it cuts no wide character in two."""
    length = strip.cell_length
    while 0 < left < length and _cuts_a_character(strip, left):
        left -= 1
    while 0 < right < length and _cuts_a_character(strip, right):
        right += 1
    return left, right


def encode(segments: Iterable[Segment], system: ColorSystem) -> str:
    """Text with escape sequences: each segment's differences to the one before, one reset."""
    written: list[str] = []
    before: Style | None = None
    for text, style, _ in segments:
        if not text:
            continue
        style = style or _PLAIN
        if style._link:
            written.append(_reset(before) + Strip.render_style(style, text, color_system=system))
            before = None
            continue
        written.append(_change(before, style, system) + text)
        before = style
    return "".join(written) + _reset(before)


_PLAIN = Style.null()


def _cuts_a_character(strip: Strip, place: int) -> bool:
    position = 0
    for segment in strip:
        width = segment.cell_length
        if position + width > place:
            return _splits(segment, place - position)
        position += width
    return False


def _splits(segment: Segment, place: int) -> bool:
    """Whether a cut there falls into a wide character: both halves then hold a space instead."""
    if place <= 0 or segment.text.isascii():
        return False
    left, right = segment.split_cells(place)
    return left.text + right.text != segment.text


def _reset(before: Style | None) -> str:
    return "" if before is None or not before else "\x1b[0m"


@lru_cache(4096)
def _change(before: Style | None, style: Style, system: ColorSystem) -> str:
    if before is None or not before:
        codes = Strip.render_ansi(style, system)
        return f"\x1b[{codes}m" if codes else ""
    if before is style or before == style:
        return ""
    if _attributes(before) != _attributes(style) or _loses_a_colour(before, style):
        codes = Strip.render_ansi(style, system)
        return f"\x1b[0;{codes}m" if codes else "\x1b[0m"
    codes = ";".join(_changed_colours(before, style, system))
    return f"\x1b[{codes}m" if codes else ""


def _attributes(style: Style) -> int:
    return style._attributes & style._set_attributes


def _loses_a_colour(before: Style, style: Style) -> bool:
    return (before.color is not None and style.color is None) or (
        before.bgcolor is not None and style.bgcolor is None
    )


def _changed_colours(before: Style, style: Style, system: ColorSystem) -> list[str]:
    codes: list[str] = []
    if style.color is not None and style.color != before.color:
        codes += style.color.downgrade(system).get_ansi_codes()
    if style.bgcolor is not None and style.bgcolor != before.bgcolor:
        codes += style.bgcolor.downgrade(system).get_ansi_codes(foreground=False)
    return codes
