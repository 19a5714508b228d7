"""A whole chart as rows of characters: title, legend, lines, axes. Pure; no widget, no colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mlxterp_tui.widgets.chart_axis import Axis, Span, fitted
from mlxterp_tui.widgets.chart_canvas import Canvas, Series, drawn, mark
from mlxterp_tui.widgets.token_text import fit

from rich.cells import cell_len

LEAST_ROWS = 3  # of the lines themselves, before title and legend get any
MARGIN = 2  # columns at the right for the signs of the lines' ends
TICK_EVERY = 3  # rows
WIDEST_NAME = 36
VALUE = 5  # columns, so that the legend seldom moves
PLAIN = Axis()


class Piece(NamedTuple):
    """style: what it is: title, label, axis, cursor, value, sign or the number of a series."""

    text: str
    style: str | int


Row = list[Piece]


@dataclass(frozen=True)
class Chart:
    """What is to be seen. cursor: a place on x, where each line's value is said."""

    series: Sequence[Series] = ()
    x: Axis = PLAIN
    y: Axis = PLAIN
    cursor: float | None = None
    empty: str = "nothing to draw yet"


class Look(NamedTuple):
    """blocks: whether the terminal has braille and lines. coloured: whether it has colours."""

    blocks: bool = True
    coloured: bool = True


IN_COLOUR = Look()


def text_of(chart: Chart, width: int, height: int, blocks: bool = True) -> list[str]:
    """The chart for a file: no colours, no spaces at the ends."""
    rows = sheet(chart, width, height, Look(blocks, coloured=False))
    return ["".join(piece.text for piece in row).rstrip() for row in rows]


def sheet(chart: Chart, width: int, height: int, look: Look = IN_COLOUR) -> list[Row]:
    """`height` rows of at most `width` columns."""
    x, y = _spans(chart)
    if not _has_points(chart) or width < 8 or height < LEAST_ROWS + 2:
        return [[Piece(fit(chart.empty, width), "label")], *([] for _ in range(height - 1))]
    head = [_title(chart.y, width), *_legend(chart, y, width)][: height - LEAST_ROWS - 2]
    rows = height - len(head) - 2
    ticks = _tick_rows(y, rows)
    gutter = max(cell_len(label) for label in ticks.values())
    columns = width - gutter - 1 - (MARGIN if len(chart.series) > 1 else 0)
    braille = look.blocks and (look.coloured or len(chart.series) == 1)
    canvas = drawn(chart.series, x, y, columns, rows, braille)
    ends = _ends(chart.series, y, rows) if len(chart.series) > 1 else {}
    lines = [_plotted(canvas, row) for row in range(rows)]
    if chart.cursor is not None:
        _cross(lines, chart, x, y, look)
    body = [
        [*_gutter(ticks, row, gutter, look), *line, *_end(ends, row)]
        for row, line in enumerate(lines)
    ]
    return [*head, *body, *_foot(chart, x, gutter, columns, look)]


def _spans(chart: Chart) -> tuple[Span, Span]:
    xs = (place for line in chart.series for place in line.xs)
    ys = (value for line in chart.series for value in line.ys if value is not None)
    return fitted(chart.x, xs), fitted(chart.y, ys)


def _has_points(chart: Chart) -> bool:
    return any(len(line.xs) for line in chart.series)


# Above the lines.


def _title(axis: Axis, width: int) -> Row:
    log = " · log" if axis.scale != "linear" else ""
    return [Piece(_cut(axis.title + log, width), "title")]


def _legend(chart: Chart, y: Span, width: int) -> list[Row]:
    """The series with their signs, and at the cursor their values; as many rows as it takes."""
    rows: list[Row] = [[]]
    used = 0
    for number, line in enumerate(chart.series):
        entry = _entry(chart, y, number, line)
        size = sum(cell_len(piece.text) for piece in entry)
        if used and used + size > width:
            rows.append([])
            used = 0
        rows[-1] += entry
        used += size
    return rows


def _entry(chart: Chart, y: Span, number: int, line: Series) -> Row:
    sign = f"{mark(number)} " if len(chart.series) > 1 else ""
    value = _value(line, chart.cursor, y) if chart.cursor is not None else ""
    name = _cut(line.name, WIDEST_NAME)
    return [Piece(sign + name, number), Piece(f" {value:<{VALUE}}" if value else "", "value"),
            Piece("   ", "label")]  # fmt: skip


def _value(line: Series, cursor: float, y: Span) -> str:
    value = line.at(cursor)
    if value is None:
        return line.missing
    return y.axis.text(value) if math.isfinite(value) else "failed"


# The lines, and what stands beside them.


def _tick_rows(y: Span, rows: int) -> dict[int, str]:
    """Labels by row; an end beyond which values lie is always among them."""
    values = y.ticks(max(2, rows // TICK_EVERY + 1))
    ends = [end for end, beyond in ((y.least, y.below), (y.most, y.above)) if beyond]
    labels = {_row(y, value, rows): y.label(value) for value in values}
    return {**labels, **{_row(y, end, rows): y.label(end) for end in ends}}


def _row(y: Span, value: float, rows: int) -> int:
    return round((1.0 - y.place(value)) * (rows - 1))


def _cell(x: Span, place: float, columns: int) -> int:
    return round(x.place(place) * (columns - 1))


def _gutter(ticks: dict[int, str], row: int, width: int, look: Look) -> Row:
    label = ticks.get(row, "")
    line = ("┤" if label else "│") if look.blocks else ("+" if label else "|")
    return [Piece(" " * (width - cell_len(label)) + label, "label"), Piece(line, "axis")]


def _plotted(canvas: Canvas, row: int) -> Row:
    owners = canvas.owners[row]
    return [
        Piece(canvas.character(column, row), owners[column] if owners[column] >= 0 else "axis")
        for column in range(canvas.columns)
    ]


def _cross(lines: list[Row], chart: Chart, x: Span, y: Span, look: Look) -> None:
    """A dotted line at the cursor, behind the lines, and a dot where it meets each of them."""
    assert chart.cursor is not None
    column = _cell(x, chart.cursor, len(lines[0]))
    for line in lines[1::3]:
        if line[column].style == "axis":
            line[column] = Piece("┊" if look.blocks else "|", "cursor")
    if not look.coloured and len(chart.series) > 1:
        return
    for number, series in reversed(list(enumerate(chart.series))):
        value = series.at(chart.cursor)
        if value is not None and math.isfinite(value):
            row = _row(y, value, len(lines))
            lines[row][column] = Piece("●" if look.blocks else "o", number)


def _ends(series: Sequence[Series], y: Span, rows: int) -> dict[int, int]:
    """At which row each series is named at its last known value: the closest row still free."""
    taken: dict[int, int] = {}
    for number, line in enumerate(series):
        known = [value for value in line.ys if value is not None and value == value]
        if not known:
            continue
        wanted = _row(y, known[-1], rows)
        free = [row for row in range(rows) if row not in taken]
        if free:
            taken[min(free, key=lambda row: abs(row - wanted))] = number
    return taken


def _end(ends: dict[int, int], row: int) -> Row:
    number = ends.get(row)
    return [] if number is None else [Piece(f" {mark(number)}", number)]


# Below the lines.


def _foot(chart: Chart, x: Span, gutter: int, columns: int, look: Look) -> list[Row]:
    """The axis with its ticks, and their labels; the cursor's stands out."""
    room = max(2, columns // 8)
    labels = {_cell(x, value, columns): x.label(value) for value in x.ticks(room)}
    line = ["─" if look.blocks else "-"] * columns
    for column in labels:
        line[column] = "┬" if look.blocks else "+"
    corner = "└" if look.blocks else "+"
    axis = [Piece(" " * gutter + corner + "".join(line), "axis")]
    return [axis, _labels(chart, x, labels, gutter + 1, columns)]


def _labels(chart: Chart, x: Span, labels: dict[int, str], start: int, columns: int) -> Row:
    width = start + columns
    line = _Line(width)
    if chart.cursor is not None:
        line.put(start + _cell(x, chart.cursor, columns), x.axis.text(chart.cursor), "cursor")
    line.put_right(chart.x.title, "title")
    for column, label in labels.items():
        line.put(start + column, label, "label")
    return line.pieces()


class _Line:
    """A row into which texts are put where nothing stands yet."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._put: dict[int, Piece] = {}

    def put(self, middle: int, text: str, style: str) -> None:
        """Around the middle, moved so far that it stays inside."""
        size = cell_len(text)
        self._keep(min(max(0, middle - size // 2), self._width - size), text, style)

    def put_right(self, text: str, style: str) -> None:
        if cell_len(text) <= self._width // 3:
            self._keep(self._width - cell_len(text), text, style)

    def _keep(self, start: int, text: str, style: str) -> None:
        end = start + cell_len(text)
        clear = all(
            end < other or start > other + cell_len(piece.text)
            for other, piece in self._put.items()
        )
        if text and start >= 0 and clear:
            self._put[start] = Piece(text, style)

    def pieces(self) -> Row:
        row: Row = []
        at = 0
        for start, piece in sorted(self._put.items()):
            row += [Piece(" " * (start - at), "label"), piece]
            at = start + cell_len(piece.text)
        return row


def _cut(text: str, width: int) -> str:
    return fit(text, min(width, cell_len(text)))
