"""The cell under the cursor in words and numbers: beside the grid, or as a strip under it."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from mlxterp_engine.experiments import LogitLensRow
from mlxterp_tui.panes.lens_metrics import log_rank, nats, probability, rank
from mlxterp_tui.panes.lens_run import LensRun, site
from mlxterp_tui.panes.lens_view import Cell, LensView
from mlxterp_tui.token_text import quoted

BLOCKS = "▁▂▃▄▅▆▇█"
EIGHTHS = " ▏▎▍▌▋▊▉█"


def column(run: LensRun, view: LensView, width: int) -> Content:
    """The inspector as a column of lines."""
    row = run.row(view.cursor.layer)
    if row is None:
        return _unknown(run, view.cursor)
    lines = [
        address(run, view.cursor),
        *_best(row, view.cursor.pos, width),
        Content(""),
        *_numbers(run, row, view.cursor),
        Content(""),
        *_over_layers(run, view, width),
        *_pinned(run, view, width),
    ]
    return Content("\n").join(lines)


def strip(run: LensRun, view: LensView, width: int) -> Content:
    """The inspector in a few whole lines, for screens without room beside the grid."""
    row = run.row(view.cursor.layer)
    if row is None:
        return _unknown(run, view.cursor)
    pos = view.cursor.pos
    best = Content("  ").join(
        Content.assemble((quoted(token), "bold" if at == 0 else ""), " ", (chance, "$text-muted"))
        for at, (token, chance) in enumerate(_candidates(row, pos))
    )
    lines = [
        Content("   ").join([address(run, view.cursor), Content(_measures(row, pos))]),
        best,
        Content("   ").join(_over_layers(run, view, width)),
        *_pinned(run, view, width),
    ]
    return Content("\n").join(line.truncate(width, ellipsis=True) for line in lines)


def address(run: LensRun, cell: Cell) -> Content:
    """The exact site, so that it can be typed and cited."""
    token = quoted(run.tokens[cell.pos]) if cell.pos < run.positions else ""
    return Content.assemble(
        (site(cell.layer), "$text-accent bold"), f" · position {cell.pos} ", (token, "bold")
    )


def spark(levels: list[float | None]) -> str:
    """One character a level in 0..1; a dot where it is not known yet."""
    return "".join("·" if level is None else BLOCKS[min(7, int(level * 8))] for level in levels)


def _unknown(run: LensRun, cell: Cell) -> Content:
    where = address(run, cell) if run.positions else Content("")
    return Content("\n").join([where, Content.styled("not computed yet", "$text-muted")])


def _candidates(row: LogitLensRow, pos: int) -> list[tuple[str, str]]:
    values = row.top_probs.values
    return [(token, probability(values[pos, at])) for at, token in enumerate(row.top_tokens[pos])]


def _best(row: LogitLensRow, pos: int, width: int) -> list[Content]:
    """The best tokens with their probability as digits and as a bar of 0..1."""
    token_room = min(20, max(8, width - 20))
    bar_room = max(0, width - token_room - 12)
    return [
        Content.assemble(
            (f"{at:>2} ", "$text-muted"),
            (set_cell_size(quoted(token), token_room), "bold" if at == 0 else ""),
            f" {chance:>7} ",
            (_bar(row.top_probs.values[pos, at], bar_room), "$text-accent"),
        )
        for at, (token, chance) in enumerate(_candidates(row, pos))
    ]


def _bar(share: float, cells: int) -> str:
    eighths = round(share * cells * 8)
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def _measures(row: LogitLensRow, pos: int) -> str:
    return f"entropy {nats(row.entropy.values[pos])} nats   KL {nats(row.kl.values[pos])} nats"


def _numbers(run: LensRun, row: LogitLensRow, cell: Cell) -> list[Content]:
    lines = [
        _line("entropy", f"{row.entropy.values[cell.pos]:.4f} nats"),
        _line("KL(final ‖ row)", f"{row.kl.values[cell.pos]:.4f} nats"),
    ]
    final = run.final_token(cell.pos)
    if final is not None:
        lines.append(
            _line(f"final {quoted(final)}", f"rank {rank(row.final_rank.values[cell.pos])}")
        )
    if row.target_prob is not None and row.target_rank is not None and run.target:
        values = (row.target_rank.values[cell.pos], row.target_prob.values[cell.pos])
        lines.append(
            _line(f"target {quoted(run.target)}", f"rank {rank(values[0])} · p {values[1]:.3g}")
        )
    return lines


def _line(name: str, value: str) -> Content:
    padding = " " * max(1, 20 - cell_len(name))
    return Content.assemble((name, "$text-muted"), padding, value)


def _over_layers(run: LensRun, view: LensView, width: int) -> list[Content]:
    """Rank of the followed token (target, else final) over all layers, embeddings first."""
    pos = view.cursor.pos
    token = run.target or run.final_token(pos)
    if token is None:
        return []
    levels = [_rank_level(run, layer, pos) for layer in run.all_layers]
    lines = [
        Content.styled(f"rank of {quoted(token)}, embed → {run.layers - 1}", "$text-muted"),
        Content.styled(spark(levels), "$text-accent"),
    ]
    settled = run.settled_from(pos)
    final = run.final_token(pos)
    if settled is not None and final is not None:
        lines.append(Content(f"{quoted(final)} on top from {_layer_in_words(settled)} on"))
    return lines


def _layer_in_words(layer: int) -> str:
    return "the embeddings" if layer < 0 else f"block {layer}"


def _rank_level(run: LensRun, layer: int, pos: int) -> float | None:
    row = run.row(layer)
    if row is None:
        return None
    ranks = row.target_rank if row.target_rank is not None else row.final_rank
    return log_rank(ranks.values[pos], run.vocabulary)


def _pinned(run: LensRun, view: LensView, width: int) -> list[Content]:
    """The pinned cell beside the cursor's: the same measures, and the differences."""
    if view.pinned is None or (pinned := run.row(view.pinned.layer)) is None:
        return []
    row = run.row(view.cursor.layer)
    pos = view.pinned.pos
    token = Content.assemble(
        (quoted(pinned.top_tokens[pos][0]), "bold"),
        f" {probability(pinned.top_probs.values[pos, 0])}",
    )
    lines = [
        Content.assemble(("pinned  ", "$text-warning bold"), address(run, view.pinned)),
        Content.assemble("        ", token, f"   {_measures(pinned, pos)}"),
    ]
    if row is not None:
        lines.append(Content(_differences(row, view.cursor.pos, pinned, pos)))
    return [Content(""), *lines] if width < 60 else [Content("   ").join(lines)]


def _differences(row: LogitLensRow, pos: int, pinned: LogitLensRow, pinned_pos: int) -> str:
    entropy = row.entropy.values[pos] - pinned.entropy.values[pinned_pos]
    kl = row.kl.values[pos] - pinned.kl.values[pinned_pos]
    return f"cursor − pinned: entropy {entropy:+.2f}, KL {kl:+.2f} nats"
