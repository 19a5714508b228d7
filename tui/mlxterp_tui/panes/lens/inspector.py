"""The cell under the cursor in words and numbers: beside the grid, or as a strip under it."""

from __future__ import annotations

from collections.abc import Sequence

from mlxterp_engine.experiments import LogitLensRow
from mlxterp_tui.panes.lens.metrics import log_rank, nats, probability, rank
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.panes.lens.view import Cell, LensView
from mlxterp_tui.token_text import quoted
from mlxterp_tui.widgets.bar_list import BarList, BarRow
from mlxterp_tui.widgets.mini_line import MiniLine

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

NAME_CELLS = 20


class LensColumn(Vertical):
    """The inspector with a column of its own."""

    DEFAULT_CSS = """
    LensColumn { width: 46; padding: 0 1 0 2; }
    LensColumn Static {
        margin: 1 0 0 0; height: auto; text-wrap: nowrap; text-overflow: ellipsis;
    }
    LensColumn #cell-address { margin: 0; }
    """

    def compose(self) -> ComposeResult:
        yield Static(id="cell-address")
        yield Static(id="cell-compared")
        yield BarList(id="cell-best")
        yield Static(id="cell-numbers")
        yield Static(id="cell-over-layers")
        yield MiniLine(id="cell-ranks")
        yield Static(id="cell-settled", classes="close")
        yield Static(id="cell-pinned")

    def show(self, run: LensRun, view: LensView, compared: Sequence[str] = ()) -> None:
        """compared: the cell in this run and in another one, in words."""
        cell = view.cursor
        row = run.row(cell.layer)
        write(self, "#cell-address", address(run, cell))
        write(self, "#cell-compared", Content("\n").join([*map(Content, compared)]))
        self.query_one("#cell-compared").display = bool(compared)
        self.query_one(BarList).set_rows(best(run, row, cell.pos) if row else [])
        write(self, "#cell-numbers", numbers(run, row, cell) if row else not_known())
        write(self, "#cell-over-layers", followed(run, cell.pos))
        self.query_one(MiniLine).set_values(
            rank_levels(run, cell.pos), current=run.index(cell.layer)
        )
        write(self, "#cell-settled", settled(run, cell.pos))
        write(self, "#cell-pinned", Content("\n").join(pinned(run, view)))


class LensStrip(Vertical):
    """The inspector in a few whole lines, for screens without room beside the grid."""

    DEFAULT_CSS = """
    LensStrip { height: auto; padding: 0 1; background: $surface; }
    LensStrip Static { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    LensStrip MiniLine { background: $surface; }
    """

    def compose(self) -> ComposeResult:
        yield Static(id="strip-cell")
        yield Static(id="strip-best")
        yield MiniLine(id="strip-ranks")
        yield Static(id="strip-pinned")

    def show(self, run: LensRun, view: LensView, compared: Sequence[str] = ()) -> None:
        """compared: the cell in this run and in another one, in words."""
        cell = view.cursor
        row = run.row(cell.layer)
        measured = measures(row, cell.pos) if row else "not computed yet"
        write(self, "#strip-cell", Content("   ").join([address(run, cell), Content(measured)]))
        write(self, "#strip-best", best_in_line(row, cell.pos) if row else Content(""))
        self.query_one(MiniLine).set_values(
            rank_levels(run, cell.pos),
            current=run.index(cell.layer),
            label=followed(run, cell.pos).plain,
            note=settled_from(run, cell.pos),
        )
        lines = [*map(Content, compared), *pinned(run, view)]
        write(self, "#strip-pinned", Content("   ").join(lines))
        self.query_one("#strip-pinned").display = bool(lines)


def write(inspector: Widget, selector: str, text: Content) -> None:
    """Put a text in its place: nothing is sent for the same again, nothing moves but for lines."""
    place = inspector.query_one(selector, Static)
    shown = place.content
    if isinstance(shown, Content) and shown.is_same(text):
        return
    as_high = isinstance(shown, Content) and shown.plain.count("\n") == text.plain.count("\n")
    place.update(text, layout=not as_high or not shown)


def in_full(run: LensRun, view: LensView) -> Content:
    """Everything about the cell as one text, in the digits that it was computed with."""
    row = run.row(view.cursor.layer)
    if row is None:
        return Content("\n").join([address(run, view.cursor), not_known()])
    values = row.top_probs.values
    listed = [
        Content(f"{at:>3}  {row.top_ids.values[view.cursor.pos, at]:>6}  "
                f"{values[view.cursor.pos, at]:<12.6g} {quoted(token)}")
        for at, token in enumerate(row.top_tokens[view.cursor.pos])
    ]  # fmt: skip
    heading = Content.styled("rank      id  probability  token", "$foreground-muted")
    lines = [address(run, view.cursor), Content(""), heading, *listed, Content("")]
    return Content("\n").join([*lines, numbers(run, row, view.cursor), *pinned(run, view)])


def address(run: LensRun, cell: Cell) -> Content:
    """The exact site, so that it can be typed and cited."""
    token = quoted(run.tokens[cell.pos]) if cell.pos < run.positions else ""
    return Content.assemble(
        (run.site(cell.layer), "$accent bold"), f" · position {cell.pos} ", (token, "bold")
    )


def not_known() -> Content:
    return Content.styled("not computed yet", "$foreground-muted")


def best(run: LensRun, row: LogitLensRow, pos: int) -> list[BarRow]:
    """The best tokens; the followed one stands out."""
    values = row.top_probs.values
    wanted = run.target or run.final_token(pos)
    return [
        BarRow(token, values[pos, at], probability(values[pos, at]), token == wanted)
        for at, token in enumerate(row.top_tokens[pos])
    ]


def best_in_line(row: LogitLensRow, pos: int) -> Content:
    values = row.top_probs.values
    return Content("  ").join(
        Content.assemble(
            (quoted(token), "bold" if at == 0 else ""),
            (f" {probability(values[pos, at])}", "$foreground-muted"),
        )
        for at, token in enumerate(row.top_tokens[pos])
    )


def measures(row: LogitLensRow, pos: int) -> str:
    ranked = rank(row.final_rank.values[pos])
    entropy, kl = nats(row.entropy.values[pos]), nats(row.kl.values[pos])
    return f"entropy {entropy} · KL {kl} nats · rank {ranked}"


def numbers(run: LensRun, row: LogitLensRow, cell: Cell) -> Content:
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
        place, chance = row.target_rank.values[cell.pos], row.target_prob.values[cell.pos]
        lines.append(
            _line(f"target {quoted(run.target)}", f"rank {rank(place)} · p {probability(chance)}")
        )
    return Content("\n").join(lines)


def followed(run: LensRun, pos: int) -> Content:
    """Whose rank the line over the layers shows."""
    token = run.target or run.final_token(pos)
    return Content(f"rank of {quoted(token)}" if token else "rank of the final token")


def rank_levels(run: LensRun, pos: int) -> list[float | None]:
    """Rank of the target, else of the final token, on the log scale; embeddings first."""
    return [_rank_level(run.row(layer), pos, run.vocabulary) for layer in run.all_layers]


def settled_from(run: LensRun, pos: int) -> str:
    """Since when the final token is on top for good."""
    first = run.settled_from(pos)
    if first is None:
        return ""
    if run.state_read != "resid_post":
        return f"on top from {run.site(first)} on"
    return f"on top from {'the embeddings' if first < 0 else f'block {first}'} on"


def settled(run: LensRun, pos: int) -> Content:
    since, final = settled_from(run, pos), run.final_token(pos)
    return Content(f"{quoted(final)} {since}" if final and since else "")


def pinned(run: LensRun, view: LensView) -> list[Content]:
    """The pinned cell beside the cursor's: its measures, and the differences."""
    if view.pinned is None or (kept := run.row(view.pinned.layer)) is None:
        return []
    pos = view.pinned.pos
    token = quoted(kept.top_tokens[pos][0])
    row = run.row(view.cursor.layer)
    lines = [
        Content.assemble(("● ", "$warning bold"), address(run, view.pinned)),
        Content(f"pinned: {token} {probability(kept.top_probs.values[pos, 0])}"),
        Content(measures(kept, pos)),
    ]
    return lines if row is None else [*lines, _differences(row, view.cursor.pos, kept, pos)]


def _differences(row: LogitLensRow, pos: int, kept: LogitLensRow, kept_pos: int) -> Content:
    entropy = row.entropy.values[pos] - kept.entropy.values[kept_pos]
    kl = row.kl.values[pos] - kept.kl.values[kept_pos]
    return Content(f"cursor − pinned: entropy {entropy:+.2f} KL {kl:+.2f}")


def _line(name: str, value: str) -> Content:
    padding = " " * max(1, NAME_CELLS - cell_len(name))
    return Content.assemble((name, "$foreground-muted"), padding, value)


def _rank_level(row: LogitLensRow | None, pos: int, vocabulary: int) -> float | None:
    if row is None:
        return None
    ranks = row.final_rank if row.target_rank is None else row.target_rank
    return log_rank(ranks.values[pos], vocabulary)
