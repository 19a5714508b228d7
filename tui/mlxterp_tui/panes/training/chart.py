"""A training as a line chart: one layer, several, or all of them over the depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mlxterp_tui.panes.training.curves import Curves, Points, layer_name, spread
from mlxterp_tui.widgets.chart_axis import Axis
from mlxterp_tui.widgets.chart_canvas import Series
from mlxterp_tui.widgets.chart_sheet import Chart

KL = "KL(final ‖ lens), nats"
EMPTY = "nothing is measured yet"


class View(NamedTuple):
    """about: in the heading. chart: curves, the layer under the cursor, whether the axis is log."""

    about: str
    chart: Callable[[Curves, int, bool], Chart]


def of_layer(curves: Curves, layer: int, log: bool) -> Chart:
    """Training and held-out text together: where they part, the lens learns its text by heart."""
    ends = (0, max(curves.steps, 1))
    lines = [
        _line("training", curves.train_of(layer)),
        _line("held out", curves.held_out_of(layer)),
    ]
    if curves.logit:
        lines.append(Series("logit lens", ends, [curves.logit[layer]] * 2))
    where = name(curves, layer) if curves.layers else ""
    return _chart(lines, _steps(curves), f"{where} · {KL}", log)


def held_out(curves: Curves, layer: int, log: bool) -> Chart:
    lines = [_line(name(curves, at), curves.held_out_of(at)) for at in spread(len(curves.layers))]
    return _chart(lines, _steps(curves), f"held-out text · {KL}", log)


def training(curves: Curves, layer: int, log: bool) -> Chart:
    lines = [_line(name(curves, at), curves.train_of(at)) for at in spread(len(curves.layers))]
    return _chart(lines, _steps(curves), f"training text · {KL}", log)


def over_depth(curves: Curves, layer: int, log: bool) -> Chart:
    """Belrose et al. 2023, figure 2's comparison, by KL: lens, logit lens and a constant."""
    layers = curves.layers
    lines = []
    if curves.held_out:
        lines.append(Series("lens", layers, curves.held_out[-1].values))
    if curves.logit:
        lines.append(Series("logit lens", layers, curves.logit))
        lines.append(Series("unigram", layers, [curves.unigram] * len(layers)))
    if not curves.held_out and curves.train:
        lines.append(Series("lens, training text", layers, curves.train[-1].values))
    axis = Axis("layer", whole=True)
    cursor = layers[layer] if layers else None
    return _chart(lines, axis, f"held-out text · {KL}", log, cursor)


VIEWS = (
    View("one layer", of_layer),
    View("five layers, held out", held_out),
    View("five layers, training", training),
    View("all layers", over_depth),
)
DEPTH = len(VIEWS) - 1


def name(curves: Curves, layer: int) -> str:
    found = layer_name(curves.layers[layer])
    return found if found == "embed" else f"block {found}"


def _line(title: str, points: Points) -> Series:
    return Series(title, [x for x, _ in points], [y for _, y in points])


def _steps(curves: Curves) -> Axis:
    return Axis("step", least=0, most=max(curves.steps, 1), whole=True)


def _chart(
    lines: list[Series], x: Axis, title: str, log: bool, cursor: float | None = None
) -> Chart:
    known = [line for line in lines if line.xs]
    return Chart(known, x, Axis(title, scale="log" if log else "linear"), cursor, EMPTY)
