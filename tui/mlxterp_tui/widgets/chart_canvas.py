"""Lines of a chart as characters: braille dots, or one mark a cell where those won't do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from mlxterp_tui.widgets.chart_axis import Span

EMPTY, UNKNOWN, FAILED = " ", "·", "×"
MARKS = "123456789abcdefghijklmnopqrstuvwxyz"
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BLANK = 0x2800


class Series(NamedTuple):
    """A line. xs: never falling. ys: None is not known (yet), NaN failed: both leave a gap.

    missing: what the legend says at a None.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float | None]
    missing: str = "not known"

    def at(self, x: float) -> float | None:
        """The value at the point closest to x; None where that one is not known."""
        if not self.xs:
            return None
        nearest = min(range(len(self.xs)), key=lambda place: abs(self.xs[place] - x))
        return self.ys[nearest]


class Stroke(NamedTuple):
    """Dots of one column, from `top` to `bottom`, both among them."""

    column: int
    top: int
    bottom: int


class Bucket(NamedTuple):
    """What of a line falls into one column of dots, in heights from the top, not yet rounded."""

    column: int
    first: float
    last: float
    top: float
    bottom: float


class Canvas:
    """rows × columns characters; each belongs to the series that was drawn there last, or -1."""

    def __init__(self, columns: int, rows: int, braille: bool) -> None:
        self.columns, self.rows, self.braille = columns, rows, braille
        self.per_column, self.per_row = (2, 4) if braille else (1, 1)
        self.owners = [[-1] * columns for _ in range(rows)]
        self._dots = [bytearray(columns) for _ in range(rows)]
        self._signs: dict[tuple[int, int], str] = {}

    @property
    def dots(self) -> tuple[int, int]:
        """How many there are from left to right, and from top to bottom."""
        return self.columns * self.per_column, self.rows * self.per_row

    def draw(self, stroke: Stroke, owner: int) -> None:
        column, across = divmod(stroke.column, self.per_column)
        for dot in range(stroke.top, stroke.bottom + 1):
            row, down = divmod(dot, self.per_row)
            self._dots[row][column] |= _DOTS[across][down]
            self.owners[row][column] = owner

    def sign(self, column: int, sign: str, owner: int) -> None:
        """A sign in the lowest row where nothing is drawn; one that something failed stands over
        others."""
        rows = range(self.rows - 1, -1, -1) if sign == FAILED else [self.rows - 1]
        for row in rows:
            if self.owners[row][column] < 0:
                self._signs[row, column] = sign
                self.owners[row][column] = owner
                return

    def character(self, column: int, row: int) -> str:
        if (sign := self._signs.get((row, column))) is not None:
            return sign
        dots = self._dots[row][column]
        if not dots:
            return EMPTY
        owner = self.owners[row][column]
        marked = owner >= COLOURS and (column + 5 * owner) % MARK_EVERY == 0
        return mark(owner) if marked or not self.braille else chr(_BLANK + dots)


def mark(series: int) -> str:
    """The character by which a series is known where there are no colours."""
    return MARKS[series % len(MARKS)]


COLOURS = 6  # by which series are told apart; more than that bear their marks on the way
MARK_EVERY = 12  # columns


def drawn(
    series: Sequence[Series], x: Span, y: Span, columns: int, rows: int, braille: bool
) -> Canvas:
    """All series, the first one over the others. What is missing is marked at the foot."""
    canvas = Canvas(columns, rows, braille)
    for owner in reversed(range(len(series))):
        for stroke in strokes(series[owner], x, y, *canvas.dots):
            canvas.draw(stroke, owner)
    for owner, line in enumerate(series):
        for place, sign in _missing(line):
            canvas.sign(round(x.place(place) * (columns - 1)), sign, owner)
    return canvas


def strokes(line: Series, x: Span, y: Span, wide: int, high: int) -> Iterator[Stroke]:
    """The series in dots: many points in one column become one stroke from least to most."""
    for xs, ys in _unbroken(line):
        columns = [round(place * (wide - 1)) for place in x.placed(xs)]
        heights = [(1.0 - place) * (high - 1) for place in y.placed(ys)]
        found = list(buckets(columns, heights))
        for bucket in found:
            yield Stroke(bucket.column, round(bucket.top), round(bucket.bottom))
        for before, after in pairwise(found):
            yield from _between(before, after)
        if len(found) == 1:
            yield from _thick(found[0], wide)


def buckets(columns: Sequence[int], heights: Sequence[float]) -> Iterator[Bucket]:
    """Neighbours in one column taken together."""
    column, first, last, top, bottom = columns[0], *[heights[0]] * 4
    for next_column, height in zip(columns, heights, strict=True):
        if next_column != column:
            yield Bucket(column, first, last, top, bottom)
            column, first, top, bottom = next_column, height, height, height
        elif height < top:
            top = height
        elif height > bottom:
            bottom = height
        last = height
    yield Bucket(column, first, last, top, bottom)


def _unbroken(line: Series) -> Iterator[tuple[list[float], list[float]]]:
    """Stretches of points without a gap."""
    xs: list[float] = []
    ys: list[float] = []
    for place, value in zip(line.xs, line.ys, strict=True):
        if value is not None and math.isfinite(value):
            xs.append(place)
            ys.append(value)
        elif xs:
            yield xs, ys
            xs, ys = [], []
    if xs:
        yield xs, ys


def _missing(line: Series) -> Iterator[tuple[float, str]]:
    for place, value in zip(line.xs, line.ys, strict=True):
        if value is None:
            yield place, UNKNOWN
        elif not math.isfinite(value):
            yield place, FAILED


def _between(before: Bucket, after: Bucket) -> Iterator[Stroke]:
    """A straight line, without holes however steep."""
    steps = abs(after.column - before.column)
    slope = (after.first - before.last) / steps
    direction = 1 if after.column > before.column else -1
    heights = [round(before.last + slope * step) for step in range(steps + 1)]
    for step, (here, there) in enumerate(pairwise(heights)):
        column = before.column + direction * step
        middle = (here + there) // 2
        if here <= there:
            yield Stroke(column, here, middle)
            yield Stroke(column + direction, min(middle + 1, there), there)
        else:
            yield Stroke(column, middle + 1, here)
            yield Stroke(column + direction, there, middle)


def _thick(point: Bucket, wide: int) -> Iterator[Stroke]:
    """A point alone, large enough to be seen."""
    height = round(point.last)
    for column in (point.column, min(wide - 1, point.column + 1)):
        yield Stroke(column, max(0, height - 1), height)
