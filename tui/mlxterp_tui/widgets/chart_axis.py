"""An axis of a chart: where a value lies on it, which values are marked, and how they are said."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

Scale = Literal["linear", "log", "log1p"]

STEPS = (1.0, 2.0, 5.0, 10.0)
FEW_DECADES = 2.5  # below so many decades, 2 and 5 are marked too
FEWEST_TICKS = 3
NOTHING_BELOW = 1e-12


def compact(value: float) -> str:
    """Few characters: 0, .05, 12.5, 1446, 49.2k, 3e-5."""
    size = abs(value)
    if size >= 9999.5:
        for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if size >= unit * 0.9995:
                return f"{value / unit:.3g}{name}"
    if size >= 999.5:
        return f"{value:.0f}"
    if value == 0:
        return "0"
    if size < 1e-3:
        return f"{value:.2g}".replace("e-0", "e-")
    return f"{value:.3g}".replace("0.", ".", 1) if size < 1 else f"{value:.3g}"


class Axis(NamedTuple):
    """What is known of an axis before there is anything on it.

    title: what it measures, with its unit. scale: equal steps are equal differences, or equal
    factors; "log1p" is for counts and ranks: 0 has a place, far from it steps are factors.
    least, most: its ends; None goes by the data, out to a round value, so that a growing line
    seldom moves the others. A value beyond an end is drawn on it; its label then says ≤ or ≥.
    reverse: the least value on top, or at the right. whole: only whole numbers are marked, and
    the ends are the data's own. text: a value as a tick and the legend say it.
    """

    title: str = ""
    scale: Scale = "linear"
    least: float | None = None
    most: float | None = None
    reverse: bool = False
    whole: bool = False
    text: Callable[[float], str] = compact


@dataclass(frozen=True)
class Span:
    """An axis with its ends. below, above: whether values lie beyond them."""

    axis: Axis
    least: float
    most: float
    below: bool = False
    above: bool = False

    def place(self, value: float) -> float:
        """0 at the left or bottom end, 1 at the other; the nearer end for what lies beyond."""
        return self.placed([value])[0]

    def placed(self, values: Iterable[float]) -> list[float]:
        """The place of each."""
        scaled = _SCALES[self.axis.scale]
        low, high = scaled(self.least), scaled(self.most)
        width = high - low
        parts = [min(1.0, max(0.0, (scaled(value) - low) / width)) for value in values]
        return [1.0 - part for part in parts] if self.axis.reverse else parts

    def ticks(self, most: int) -> list[float]:
        """At most so many round values, the least first."""
        return list(_thinned(_round_values(self), max(2, most)))

    def label(self, value: float) -> str:
        """The value in words; ≤ or ≥ where it stands for all beyond it."""
        text = self.axis.text(value)
        if self.below and value <= self.least:
            return "≤" + text
        return "≥" + text if self.above and value >= self.most else text


def fitted(axis: Axis, values: Iterable[float]) -> Span:
    """The axis with ends that hold the finite values; 0 to 1 where there are none."""
    known = [value for value in values if math.isfinite(value)]
    placed = [value for value in known if value > 0] if axis.scale == "log" else known
    if axis.scale == "log1p":
        placed = [max(0.0, value) for value in known]
    least = axis.least if axis.least is not None else min(placed, default=_start(axis))
    most = axis.most if axis.most is not None else max(placed, default=least + 1.0)
    least, most = _rounded(axis, least, most) if least < most else _apart(axis, least)
    below = any(value < least for value in known)
    return Span(axis, least, most, below, any(value > most for value in known))


def _start(axis: Axis) -> float:
    return 1.0 if axis.scale == "log" else 0.0


def _rounded(axis: Axis, least: float, most: float) -> tuple[float, float]:
    """Both ends moved out to round values; those that were given stay."""
    if axis.whole:
        return least, most
    if axis.scale == "linear":
        step = _step(least, most)
        low, high = math.floor(least / step) * step, math.ceil(most / step) * step
    else:
        counts = axis.scale == "log1p"
        low = 0.0 if counts and least < 1 else max(v for v in _one_two_five(least) if v <= least)
        high = min(value for value in _one_two_five(most) if value >= most)
    return (
        low if axis.least is None else least,
        high if axis.most is None else most,
    )


def _one_two_five(value: float) -> Iterator[float]:
    """1, 2 and 5 times powers of ten, around the value."""
    power = math.floor(math.log10(max(value, NOTHING_BELOW)))
    for exponent in (power - 1, power, power + 1):
        yield from (factor * 10.0**exponent for factor in STEPS)


def _apart(axis: Axis, value: float) -> tuple[float, float]:
    """Ends around a value that stands alone; one that was given stays."""
    if axis.scale == "log":
        low, high = value / 2, value * 2
    elif axis.scale == "log1p":
        low, high = value, value + 1
    else:
        low, high = value - 0.5, value + 0.5
    if axis.least is not None:
        return axis.least, axis.least + (high - low)
    return (low, high) if axis.most is None else (axis.most - (high - low), axis.most)


_SCALES: dict[Scale, Callable[[float], float]] = {
    "linear": float,
    "log": lambda value: math.log(max(value, NOTHING_BELOW)),
    "log1p": lambda value: math.log1p(max(value, 0.0)),
}


def _round_values(span: Span) -> list[float]:
    if span.axis.scale == "linear":
        return list(_even(span))
    decades = list(_decades(span))
    return decades if len(decades) >= FEWEST_TICKS else list(_even(span))


def _step(least: float, most: float, about: int = 6) -> float:
    """1, 2 or 5 times a power of ten, about six of which lie between the ends."""
    width = (most - least) / about
    power = 10.0 ** math.floor(math.log10(width))
    return next(power * step for step in STEPS if power * step >= width * (1 - 1e-9))


def _even(span: Span) -> Iterator[float]:
    """Multiples of the step."""
    step = _step(span.least, span.most)
    if span.axis.whole:
        step = max(1.0, round(step))
    first, last = math.ceil(span.least / step - 1e-9), math.floor(span.most / step + 1e-9)
    for times in range(first, last + 1):
        yield times * step


def _decades(span: Span) -> Iterator[float]:
    """Powers of ten, with 2 and 5 times them where there are few; 0 first, where it has a place."""
    if span.axis.scale == "log1p" and span.least <= 0:
        yield 0.0
    low = max(span.least, NOTHING_BELOW if span.axis.scale == "log" else 1.0)
    if span.most < low:
        return
    few = math.log10(span.most / low) < FEW_DECADES
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(span.most)) + 1):
        for factor in (1, 2, 5) if few else (1,):
            value = factor * 10.0**power
            if low * (1 - 1e-9) <= value <= span.most * (1 + 1e-9):
                yield value


def _thinned(values: list[float], most: int) -> list[float]:
    """Every n-th, the first among them."""
    step = max(1, -(-len(values) // most))
    return values[::step]
