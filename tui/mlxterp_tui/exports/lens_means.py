"""A lens in figures, as text: means over the positions for each layer."""

from __future__ import annotations

from mlxterp_engine.experiments import LogitLens, Result, request_from
from mlxterp_tui.exports.columns import columns
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.panes.lens.stored import rows_of
from mlxterp_tui.panes.lens.summary import FIGURES
from mlxterp_tui.panes.lens.summary_text import Summary, about, known, number, table

NEEDED = {"token_ids", "layer", "top_ids", "top_probs", "entropy", "kl", "final_rank"}


def lens_means(result: Result) -> str:
    """The last row on top, as in the pane; "" where the result lacks what it takes."""
    if not set(result.arrays) >= NEEDED:
        return ""
    run, summary = _run(result), Summary()
    found = table(run, summary)
    rows = [[found.corner, *(figure.heading for figure in FIGURES.values())]]
    for at in reversed(range(len(found.names))):
        means = [column[at] for column in found.columns.values()]
        rows.append([found.names[at], *(number(mean.value) for mean in means)])
    told = " · ".join(filter(None, [about(run, summary), known(run, found)]))
    return f"{told}:\n{columns(rows, right=range(len(rows[0])))}"


def _run(result: Result) -> LensRun:
    parameters = dict(result.meta.experiment)
    request = request_from(str(parameters.pop("name")), parameters)
    assert isinstance(request, LogitLens)
    card = result.meta.model
    run = LensRun(request, layers=card.layers, vocabulary=card.vocab_size)
    tokens, ids = result.meta.tokens[0], result.arrays["token_ids"].tolist()
    return run.read(tokens, ids).with_rows(rows_of(result))
