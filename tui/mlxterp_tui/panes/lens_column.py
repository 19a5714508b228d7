"""One position over all layers, as a list: what each layer would say next there."""

from __future__ import annotations

from rich.cells import set_cell_size
from textual.content import Content

from mlxterp_tui.panes.lens_metrics import nats, probability, rank
from mlxterp_tui.panes.lens_run import LensRun
from mlxterp_tui.panes.lens_view import LensView, layer_label, shown_layers
from mlxterp_tui.token_text import quoted

TOKEN_CELLS = 13


def heading(width: int) -> Content:
    text = f"{'layer':>5} {'top token':<{TOKEN_CELLS}} {'p':>7} {'KL':>6} {'rank':>6}"
    return Content.styled(text, "$text-muted").truncate(width)


def line(run: LensRun, view: LensView, layer: int, width: int) -> Content:
    """layer, its top token and probability, KL to the final row, rank of the final token."""
    label = f"{layer_label(layer):>5} "
    row = run.row(layer)
    if row is None:
        return Content.styled(f"{label}·", "$text-muted")
    pos = view.cursor.pos
    settled = run.settled_from(pos)
    mark = "bold" if settled is not None and layer >= settled else ""
    text = Content.assemble(
        (label, "$text-muted"),
        (set_cell_size(quoted(row.top_tokens[pos][0]), TOKEN_CELLS), mark),
        f" {probability(row.top_probs.values[pos, 0]):>7}",
        f" {nats(row.kl.values[pos]):>6}",
        f" {rank(row.final_rank.values[pos]):>6}",
    )
    text = text.truncate(width)
    return text.stylize("reverse") if layer == view.cursor.layer else text


def lines(run: LensRun, view: LensView, width: int, height: int) -> list[Content]:
    """As many rows as fit, the cursor's among them."""
    shown = shown_layers(view, run)
    at = next((i for i, layer in enumerate(shown) if layer == view.cursor.layer), 0)
    room = max(1, height - 1)
    first = min(max(0, at - room // 2), max(0, len(shown) - room))
    return [heading(width), *(line(run, view, x, width) for x in shown[first : first + room])]
