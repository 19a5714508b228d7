"""How a measure goes over the layers, at one position or several: a lens run as lines. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from mlxterp_engine.experiments import LogitLensRow
from mlxterp_tui.panes.lens.metrics import METRICS
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.panes.lens.view import LensView
from mlxterp_tui.token_text import quoted
from mlxterp_tui.widgets.chart_axis import Axis
from mlxterp_tui.widgets.chart_canvas import MARKS, Series
from mlxterp_tui.widgets.chart_sheet import Chart

MOST_LINES = len(MARKS)
MOST_TOKENS = 6  # as many as there are colours
OF_LAST_ROW = 5
# Four measures beside one another, and what that is called.
OVERVIEW = ("rank", "probability", "kl", "entropy")
ALL_AT_ONCE = "overview"
NOT_AMONG_TOP = "below top"
NO_NEXT = "the last position has no next token; k goes to the one before"
NO_LOSS = "this run is older than this measure; r runs it again"


@dataclass(frozen=True)
class Drawn:
    """What is drawn beside the cursor's position: `kept` ones, or `every`. flipped: the measure's
    other scale, linear for log and log for linear."""

    measure: str = "rank"
    kept: tuple[int, ...] = ()
    every: bool = False
    flipped: bool = False

    def cycled(self, step: int) -> Drawn:
        names = [*MEASURES, ALL_AT_ONCE]
        at = (names.index(self.measure) + step) % len(names)
        return replace(self, measure=names[at], flipped=False)

    def keeping(self, pos: int) -> Drawn:
        """The position too, or no longer."""
        kept = tuple(other for other in self.kept if other != pos)
        return replace(self, kept=kept if pos in self.kept else (*kept, pos))

    def positions(self, run: LensRun, view: LensView) -> list[int]:
        """The cursor's first."""
        pinned = [view.pinned.pos] if view.pinned else []
        others = range(run.positions) if self.every else [*self.kept, *pinned]
        found = dict.fromkeys([view.cursor.pos, *others])
        return [pos for pos in found if pos < run.positions][:MOST_LINES]


class Line(NamedTuple):
    """One line to be: its name, and each row's value; None where a row is not known."""

    name: str
    values: list[float | None]


class Measure(NamedTuple):
    """short: in a table's head. title: with {token} for the target or the final token.
    lines: at one position. missing: what a value that is not known is called.
    """

    short: str
    title: str
    log: bool
    lines: Callable[[LensRun, int], list[Line]]
    axis: Callable[[LensRun, bool], Axis]
    one_position: bool = False
    missing: str = ""


NOTHING_BESIDE: Mapping[str, LensRun] = {}


def chart(
    run: LensRun, view: LensView, drawn: Drawn, beside: Mapping[str, LensRun] = NOTHING_BESIDE
) -> Chart:
    """The measure over the layers, a dotted line at the cursor's layer.

    beside: other runs by what they are (the pinned run), drawn at the cursor's position.
    """
    measure = MEASURES[drawn.measure]
    log = measure.log != drawn.flipped
    axis = measure.axis(run, log)._replace(title=measure.title.format(token=_followed(run)))
    return Chart(
        series=lines(run, view, drawn, beside),
        x=Axis("block", whole=True, text=lambda layer: layer_name(run, layer)),
        y=axis,
        cursor=view.cursor.layer,
        empty=_why_empty(run, view, drawn),
    )


def lines(
    run: LensRun, view: LensView, drawn: Drawn, beside: Mapping[str, LensRun] = NOTHING_BESIDE
) -> list[Series]:
    """Those without one known value are left out."""
    measure = MEASURES[drawn.measure]
    places = [view.cursor.pos] if measure.one_position else drawn.positions(run, view)
    found = [_series(run, line, measure) for pos in places for line in measure.lines(run, pos)]
    for name, other in beside.items():
        if view.cursor.pos < other.positions:
            found += [
                _series(other, line._replace(name=f"{name}: {line.name}"), measure)
                for line in measure.lines(other, view.cursor.pos)
            ]
    return [line for line in found if any(value is not None for value in line.ys)][:MOST_LINES]


def layer_name(run: LensRun, layer: float) -> str:
    """As the grid's rows are called."""
    if layer < 0:
        return "embed"
    return "end" if layer >= run.layers else f"{layer:g}"


def table(series: Sequence[Series], run: LensRun) -> str:
    """TSV: a row a layer, a column a line; nothing where it is not known, nan where it failed."""
    rows = [["layer", *(_plain(line.name) for line in series)]]
    for at, layer in enumerate(run.all_layers):
        values = [line.ys[at] for line in series]
        rows.append([str(layer), *("" if value is None else f"{value:.9g}" for value in values)])
    return "".join("\t".join(row) + "\n" for row in rows)


def as_csv(table: str) -> str:
    """A TSV as CSV: quotes where a name needs them."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(line.split("\t") for line in table.splitlines())
    return out.getvalue()


def _plain(name: str) -> str:
    return name.replace("\t", " ").replace("\n", " ")


def _series(run: LensRun, line: Line, measure: Measure) -> Series:
    return Series(line.name, list(run.all_layers), line.values, measure.missing or "not known")


def _why_empty(run: LensRun, view: LensView, drawn: Drawn) -> str:
    if not run.rows:
        return "nothing is known yet; Enter in the prompt runs the lens"
    if drawn.measure == "next-loss":
        older = all(row.next_loss is None for row in run.rows.values())
        return NO_LOSS if older else NO_NEXT
    return "nothing of it is known yet"


# The values of one position, layer by layer.


def values(
    run: LensRun, pos: int, value: Callable[[LogitLensRow, int], float | None]
) -> list[float | None]:
    """[layer], in the order of the run's layers."""
    rows = (run.row(layer) for layer in run.all_layers)
    return [None if row is None else value(row, pos) for row in rows]


def probability_among_top(row: LogitLensRow, pos: int, token_id: int) -> float | None:
    """Of a token; None where it is not among the row's listed ones, which is all that is known."""
    width = row.top_ids.shape[1]
    for at in range(width):
        if row.top_ids.values[pos, at] == token_id:
            return row.top_probs.values[pos, at]
    return None


def _of_metric(name: str) -> Callable[[LensRun, int], list[Line]]:
    metric = METRICS[name]
    return lambda run, pos: [Line(at_position(run, pos), values(run, pos, metric.value))]


def _ranks(run: LensRun, pos: int) -> list[Line]:
    """Of the target; of the position's final token where there is none, or another."""
    final = run.final_token(pos)
    of_final = Line(_answer(run, pos, final), values(run, pos, METRICS["rank"].value))
    if run.target is None:
        return [of_final]
    of_target = Line(_answer(run, pos, run.target), values(run, pos, METRICS["target-rank"].value))
    return [of_target] if final in (None, run.target) else [of_target, of_final]


def _probabilities(run: LensRun, pos: int) -> list[Line]:
    """Of the target; without one of the final token, as far as it is among the listed."""
    if run.target is not None:
        known = values(run, pos, METRICS["target-probability"].value)
        return [Line(_answer(run, pos, run.target), known)]
    last = run.row(run.all_layers[-1])
    if last is None:
        return []
    wanted = last.top_ids.values[pos, 0]
    known = values(run, pos, lambda row, at: probability_among_top(row, at, wanted))
    return [Line(_answer(run, pos, run.final_token(pos)), known)]


def _tops(run: LensRun, pos: int) -> list[Line]:
    """The last row's best tokens, then those that are on top on the way, latest first."""
    tokens: dict[int, str] = {}
    for layer in reversed(run.all_layers):
        row = run.row(layer)
        if row is None:
            continue
        listed = OF_LAST_ROW if not tokens else 1
        for at in range(min(listed, row.top_ids.shape[1])):
            tokens.setdefault(row.top_ids.values[pos, at], row.top_tokens[pos][at])
    return [
        Line(
            quoted(token),
            values(run, pos, lambda row, at, id=id: probability_among_top(row, at, id)),
        )
        for id, token in list(tokens.items())[:MOST_TOKENS]
    ]


def at_position(run: LensRun, pos: int) -> str:
    """' is'@4: as positions are written everywhere."""
    return f"{quoted(run.tokens[pos])}@{pos}"


def _answer(run: LensRun, pos: int, token: str | None) -> str:
    return f"{at_position(run, pos)} → {quoted(token)}" if token else at_position(run, pos)


def _followed(run: LensRun) -> str:
    return quoted(run.target) if run.target else "the final token"


# The axes.


def _rank_axis(run: LensRun, log: bool) -> Axis:
    most = max(1, run.vocabulary - 1)
    return Axis(scale="log1p" if log else "linear", least=0, most=most, reverse=True)


def _probability_axis(run: LensRun, log: bool) -> Axis:
    return Axis(scale="log", least=1e-6, most=1) if log else Axis(least=0, most=1)


def _nats_axis(run: LensRun, log: bool) -> Axis:
    return Axis(scale="log", least=0.01) if log else Axis(least=0)


MEASURES: dict[str, Measure] = {
    "rank": Measure("rank", "rank of {token} (0 = top)", True, _ranks, _rank_axis),
    "probability": Measure(
        "p", "probability of {token}", False, _probabilities, _probability_axis,
        missing=NOT_AMONG_TOP,
    ),
    "top": Measure(
        "p", "probability of the tokens on top", False, _tops, _probability_axis,
        one_position=True, missing=NOT_AMONG_TOP,
    ),
    "kl": Measure("KL", "KL(final ‖ row), nats", True, _of_metric("kl"), _nats_axis),
    "entropy": Measure(
        "entropy", "entropy of the row, nats", False, _of_metric("entropy"), _nats_axis
    ),
    "next-loss": Measure(
        "loss", "loss on the prompt's next token, nats", False, _of_metric("next-loss"), _nats_axis
    ),
}  # fmt: skip
