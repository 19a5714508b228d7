"""What the colours of a map mean: one scale for all its cells, with its ends in words. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlxterp_tui.panes.patch.maps import PatchMap
from mlxterp_tui.panes.patch.run import Ends

_STEPS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
MINUS = "−"
LEAST = 0.1  # of the way between both ends: what is smaller than that should not glow


@dataclass(frozen=True)
class ColourScale:
    """low, high: the values at both ends of the colours. diverging: 0 is in their middle."""

    low: float
    high: float
    low_words: str
    high_words: str
    diverging: bool = False

    def level(self, value: float) -> float:
        """The value's place on the colours, 0..1 (beyond: more than the scale has); NaN stays."""
        return (value - self.low) / (self.high - self.low)

    def size(self, value: float) -> float:
        """How much it is, 0..1 (or beyond), whichever way it goes."""
        level = self.level(value)
        return abs(2 * level - 1) if self.diverging else max(0.0, level)


def scale_of(found: PatchMap, ends: Ends | None = None) -> ColourScale:
    """Effects: the zero in the middle, as far as the largest cell goes, up to a round number, so
    that it stays while the map fills in. Probabilities: from that with noise to the clean one;
    what was won over noise, and all else: from 0."""
    if found.measure == "effect":
        most = rounded_up(max(found.largest, LEAST))
        return ColourScale(-most, most, f"{MINUS}{most:g}", f"+{most:g}", diverging=True)
    if found.measure in ("spread", "gain", "count"):
        most = rounded_up(found.largest)
        return ColourScale(0.0, most, "0", f"{most:g}")
    if ends is None or ends.clean == ends.corrupt:
        return ColourScale(0.0, 1.0, "0", "1")
    low, high = ends.corrupt, ends.clean
    return ColourScale(low, high, probability(low), probability(high))


def rounded_up(value: float) -> float:
    """To 1, 1.2, 1.5, 2 … 8, 10 times a power of ten; 1 of nothing."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(value))
    step = next((s for s in _STEPS if value <= s * unit * (1 + 1e-9)), 10.0)
    return float(f"{step * unit:.2g}")


def in_cell(value: float, measure: str) -> str:
    """In four columns: its sign and two digits; a probability without a sign, three digits.

    What rounds to nothing has no sign, so that signs stand where there is something; 0 is exact.
    """
    if measure == "probability":
        return probability(value)
    if measure == "count":
        return f"{value:.0f}"
    if measure == "spread":
        return _digits(abs(value))
    if value == 0:
        return "0"
    size = abs(value)
    text = f"{size:.3f}".removeprefix("0") if measure == "gain" else _digits(size)
    if not float(text):
        return text
    return f"{MINUS if value < 0 else '+'}{text}"


def probability(value: float) -> str:
    """.412, 1.00, 3e-4."""
    if value >= 0.9995:
        return f"{value:.2f}"
    if value >= 0.001:
        return f"{value:.3f}".removeprefix("0")
    return f"{value:.0e}".replace("e-0", "e-") if value > 0 else "0"


def _digits(value: float) -> str:
    """.58, 1.2, 12, 123."""
    if value < 0.995:
        return f"{value:.2f}".removeprefix("0")
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
