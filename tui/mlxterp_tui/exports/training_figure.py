"""A lens's training as text: its curves, each layer in full, and what held-out text says."""

from __future__ import annotations

import math
from dataclasses import replace

from mlxterp_engine.experiments import Result
from mlxterp_tui.exports.columns import columns
from mlxterp_tui.panes.training import chart as training_chart
from mlxterp_tui.panes.training import text as training_text
from mlxterp_tui.panes.training.curves import Curves, layer_name
from mlxterp_tui.widgets.chart_sheet import Chart, text_of

WIDTH, HEIGHT = 90, 16


def training_figure(result: Result) -> str:
    """KL over the depth and, where there were steps, over them; then numbers, layer by layer."""
    curves = Curves.of_result(result)
    drawn = [_drawn(replace(training_chart.over_depth(curves, 0, True), cursor=None))]
    if curves.has_history:
        drawn.append(_drawn(training_chart.held_out(curves, 0, True)))
        drawn.append(_drawn(training_chart.training(curves, 0, True)))
    said = [text for text, _ in training_text.verdicts(curves)]
    return "\n\n".join([*drawn, _table(curves), *said])


def _drawn(chart: Chart) -> str:
    return "\n".join(text_of(chart, WIDTH, HEIGHT))


def _table(curves: Curves) -> str:
    """A column that has no numbers is left out."""
    titles = ["layer", "logit lens", "unigram", "training", "held out", "of the logit lens"]
    rows = [
        [
            layer_name(name),
            *map(_nats, (curves.logit[layer], curves.unigram, curves.now(layer))),
            _nats(curves.held_out_now(layer)),
            f"{curves.ratio(layer):.1%}",
        ]
        for layer, name in enumerate(curves.layers)
    ]
    known = [at for at in range(len(titles)) if any(row[at] for row in rows)]
    table = [[row[at] for at in known] for row in [titles, *rows]]
    return "KL in nats:\n" + columns(table, right=range(len(known)))


def _nats(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}"
