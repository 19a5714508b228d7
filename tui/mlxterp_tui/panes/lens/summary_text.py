"""The figures of a lens as lines of a table: a number and a small bar for each. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from mlxterp_tui.panes.lens import summary as lens_summary
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.panes.lens.summary import FIGURES, Figure, Mean
from mlxterp_tui.panes.lens.trajectories import layer_name
from mlxterp_tui.token_text import quoted
from mlxterp_tui.widgets.chart_axis import Axis, Span, compact, fitted
from mlxterp_tui.widgets.chart_canvas import Series
from mlxterp_tui.widgets.chart_sheet import Chart
from mlxterp_tui.widgets.paint import bar
from mlxterp_tui.widgets.token_text import fit

NUMBER = 8  # with a space behind it
NARROWEST_BAR, WIDEST_BAR = 3, 12
UNKNOWN, FAILED = "·", "×"


@dataclass(frozen=True)
class Summary:
    """How the figures are looked at. of_layers: else of positions. figure: the one that is drawn
    as a line. with_first: whether the first token goes into the means over positions."""

    of_layers: bool = True
    figure: str = "kl"
    with_first: bool = False

    def cycled(self, step: int) -> Summary:
        return replace(self, figure=lens_summary.cycled(self.figure, step))


class Table(NamedTuple):
    """names: of the lines. columns: [figure][line]. words: what stands behind a line."""

    corner: str
    names: list[str]
    columns: dict[str, list[Mean]]
    words: list[str]


def table(run: LensRun, summary: Summary) -> Table:
    if summary.of_layers:
        names = [layer_name(run, layer) for layer in run.all_layers]
        columns = {
            name: lens_summary.by_layer(run, figure, summary.with_first)
            for name, figure in FIGURES.items()
        }
        return Table("block", names, columns, [""] * len(names))
    names = [f"{pos} {quoted(token)}" for pos, token in enumerate(run.tokens)]
    columns = {name: lens_summary.by_position(run, figure) for name, figure in FIGURES.items()}
    return Table("position", names, columns, [settled(run, pos) for pos in range(run.positions)])


def settled(run: LensRun, pos: int) -> str:
    """The answer, and since which row it is on top for good."""
    first, final = run.settled_from(pos), run.final_token(pos)
    if first is None or final is None:
        return ""
    return f"{quoted(final)} from {layer_name(run, first)} on"


def about(run: LensRun, summary: Summary) -> str:
    """Of what the means are, in words."""
    if not summary.of_layers:
        return f"means over the {len(run.all_layers) - 1} rows before the last"
    number = len(lens_summary.positions(run, summary.with_first))
    if summary.with_first or run.positions == 1:
        return f"means over all {_many(run.positions, 'position')}"
    return f"means over {_many(number, 'position')}, the first token left out"


def known(run: LensRun, found: Table) -> str:
    """What is missing, in words; "" where nothing is."""
    layers, rows = len(run.all_layers), len(run.rows)
    parts = [f"{rows} of {layers} rows known"] if rows < layers else []
    failed = lens_summary.failed_cells(found.columns.values())
    are = "is" if failed == 1 else "are"
    parts += [f"{_many(failed, 'cell')} failed and {are} left out"] if failed else []
    if all(mean.value is None for mean in found.columns["next-loss"]) and rows:
        parts.append("no loss: an older run, or one token")
    return " · ".join(parts)


def _many(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


# Lines.


def widths(found: Table, width: int) -> tuple[int, int, int]:
    """Of the names, of a bar, and of the words: bars get what is left."""
    names = min(16, max(map(len, [found.corner, *found.names]), default=0))
    words = min(26, max(map(len, found.words), default=0))
    room = width - names - (words + 2 if words else 0) - len(FIGURES) * NUMBER
    bars = min(WIDEST_BAR, room // len(FIGURES))
    if bars >= NARROWEST_BAR:
        return names, bars, words
    room += words + 2 if words else 0
    bars = min(WIDEST_BAR, room // len(FIGURES))
    return names, bars if bars >= NARROWEST_BAR else 0, 0


def heading(found: Table, summary: Summary, width: int) -> list[tuple[str, str]]:
    names, bars, words = widths(found, width)
    pieces = [(fit(found.corner, names), "")]
    for name, figure in FIGURES.items():
        style = "$accent bold" if name == summary.figure else ""
        pieces.append((fit(f"{figure.heading:>{NUMBER - 1}}", NUMBER + bars), style))
    return [*pieces, ("  stays on top" if words else "", "")]


def line(
    found: Table, spans: dict[str, Span], summary: Summary, at: int, width: int, blocks: bool
) -> list[tuple[str, str]]:
    """Texts with their styles."""
    names, bars, words = widths(found, width)
    pieces = [(fit(found.names[at], names), "$foreground-muted")]
    for name, means in found.columns.items():
        chosen = name == summary.figure
        pieces.append((f"{number(means[at].value):>{NUMBER - 1}} ", "bold" if chosen else ""))
        part = part_of(means[at].value, spans[name])
        style = "$accent" if chosen else "$primary"
        pieces.append((bar(part, bars, blocks) if bars else "", style))
    return [*pieces, ("  " + fit(found.words[at], words) if words else "", "$foreground-muted")]


def number(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return FAILED if math.isnan(value) else compact(value)


def spans(found: Table, run: LensRun) -> dict[str, Span]:
    """The scale of each column's bars: shares to 1, ranks to the vocabulary's, nats to the most."""
    return {
        name: fitted(_axis(FIGURES[name], run, drawn=False), _values(means))
        for name, means in found.columns.items()
    }


def part_of(value: float | None, span: Span) -> float:
    """0 is no bar."""
    return 0.0 if value is None or math.isnan(value) else span.place(value)


def _values(means: Sequence[Mean]) -> list[float]:
    return [mean.value for mean in means if mean.value is not None]


# The chosen figure as a line.


def chart(run: LensRun, found: Table, summary: Summary, cursor: int) -> Chart:
    figure = FIGURES[summary.figure]
    values = [mean.value for mean in found.columns[figure.name]]
    first = run.all_layers[0] if summary.of_layers else 0
    xs = list(range(first, first + len(values)))
    x = (
        Axis("block", whole=True, text=lambda layer: layer_name(run, layer))
        if summary.of_layers
        else Axis("position", whole=True)
    )
    lines = [Series("mean", xs, values)] if any(value is not None for value in values) else []
    y = _axis(figure, run, drawn=True)._replace(title=figure.about)
    return Chart(lines, x, y, first + cursor, "nothing of it is known")


def _axis(figure: Figure, run: LensRun, drawn: bool) -> Axis:
    if figure.share:
        return Axis(least=0, most=1)
    if figure.name == "rank":
        most = max(1, run.vocabulary - 1)
        return Axis(scale="log1p", least=0, most=most, reverse=drawn)
    if not drawn:
        return Axis(scale="log1p" if figure.log else "linear", least=0)
    return Axis(scale="log", least=0.01) if figure.log else Axis(least=0)


def tsv(found: Table) -> str:
    """Nothing where it is not known, nan where all failed; then how many went into each mean."""
    heads = [found.corner, *found.columns, *(f"{name}_n" for name in found.columns)]
    rows = ["\t".join(heads)]
    for at, name in enumerate(found.names):
        means = [column[at] for column in found.columns.values()]
        values = ["" if mean.value is None else f"{mean.value:.9g}" for mean in means]
        rows.append("\t".join([name, *values, *(str(mean.of) for mean in means)]))
    return "\n".join(rows) + "\n"
