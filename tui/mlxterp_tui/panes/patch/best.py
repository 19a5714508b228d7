"""The largest cells of a map, with their exact values. Pure."""

from __future__ import annotations

from typing import NamedTuple

from mlxterp_tui.panes.patch.exact import Exact, exact_cells, trust
from mlxterp_tui.panes.patch.maps import At, Measure, PatchMap
from mlxterp_tui.panes.patch.members import Of
from mlxterp_tui.panes.patch.places import brief_place
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.scale import MINUS
from mlxterp_tui.widgets.token_text import fit

from rich.cells import cell_len
from textual.content import Content

TEN = 10
SHORT = 14  # columns of a place that two values stand beside
NOTHING = 1e-6  # what rounding leaves of no effect


class Best(NamedTuple):
    """exact: the value that patching the cell gave, where the map's is an estimate."""

    name: str
    at: At
    value: float
    measure: Measure = "effect"
    exact: Exact | None = None


def best_cells(run: PatchRun, name: str, of: Of = "mean", count: int = TEN) -> list[Best]:
    """Of one map, the largest first: by its size, of a traced one by how far it is from p(answer)
    with noise."""
    found = run.map(name, of)
    if found is None:
        return []
    known = {cell.at: cell for cell in exact_cells(run, name, of)}
    ordered = sorted(found.cells(), key=lambda cell: -size(run, found, cell[1], of))
    return [
        Best(name, at, value, found.measure, known.get(at))
        for at, value in ordered[:count]
        if size(run, found, value, of) > NOTHING
    ]


def size(run: PatchRun, found: PatchMap, value: float, of: Of = "mean") -> float:
    """How much a cell does: the size of its effect; of a probability, what was won over noise."""
    ends = run.ends_of(of)
    if found.measure == "probability" and ends is not None:
        return abs(value - ends.corrupt)
    return abs(value)


def table(run: PatchRun, best: list[Best], cursor: At | None = None, name: str = "") -> Content:
    """A line a cell under a heading: where it is, its value; of estimates the exact one beside it.

    cursor, of the map `name`: the cell that stands out.
    """
    if not best:
        return Content.styled("no cell is known yet", "$foreground-muted")
    estimated = any(one.exact is not None for one in best)
    places = [brief_place(run, one.name, one.at) for one in best]
    if estimated:  # two values stand beside it
        places = [_cut(place.removeprefix("block ")) for place in places]
    title = f"{len(best)} largest" if len(best) > 1 else "largest"
    width = max(len(title), *map(cell_len, places))
    columns = f" {'estimate':>9} {'patched':>9}" if estimated else ""
    room = max(len(digits(one.value, one.measure)) for one in best) + 2
    lines = [Content.styled(f" {title:<{width}}{columns}".rstrip(), "$foreground-muted")]
    for place, one in zip(places, best, strict=True):
        here = one.name == name and one.at == cursor
        padded = ("▸" if here else " ") + place + " " * (width - cell_len(place))
        line = Content.assemble(
            (padded, "$accent bold" if here else ""),
            (f" {digits(one.value, one.measure):>{room}}", "bold" if here else ""),
            *_beside(one, estimated),
        )
        lines.append(line)
    return Content("\n").join(lines)


def strip(run: PatchRun, best: list[Best], cursor: At | None = None, name: str = "") -> Content:
    """The same in one line."""
    pieces = [
        Content.assemble(
            (brief_place(run, one.name, one.at), _style(one, cursor, name)),
            (f" {digits(one.value, one.measure)}", "$foreground-muted"),
        )
        for one in best
    ]
    return Content("  ").join(pieces)


def trust_line(run: PatchRun, name: str) -> Content:
    """How good the estimates of a map are; first a warning where they are not."""
    found = trust(run, name)
    if found is None:
        return Content("")
    figures = (
        f"rank correlation {_figure(found.rank_correlation)}, slope {_figure(found.slope)}, "
        f"largest miss {_figure(found.miss)}"
    )
    words = f"{found.cells} cells patched too: {figures}"
    if not found.disagrees:
        return Content.styled(words, "$foreground-muted")
    warning = "the estimates disagree, take activation patching here; "
    return Content.assemble((warning, "$warning bold"), (words, "$warning"))


def digits(value: float, measure: str) -> str:
    """With its sign and four digits behind the point; a probability or a spread without a sign."""
    if measure == "count":
        return f"{value:.0f}"
    if measure not in ("effect", "gain"):
        return f"{value:.4f}"
    return f"{value:+.4f}".replace("-", MINUS)


def _cut(place: str) -> str:
    return fit(place, min(cell_len(place), SHORT))


def _beside(one: Best, estimated: bool) -> list[tuple[str, str]]:
    if not estimated:
        return []
    if one.exact is None:
        return [(f" {'–':>9}", "$foreground-muted")]
    style = "$warning" if one.exact.is_off else ""
    return [(f" {digits(one.exact.effect, 'effect'):>9}", style)]


def _style(one: Best, cursor: At | None, name: str) -> str:
    return "$accent bold" if one.name == name and one.at == cursor else "bold"


def _figure(value: float) -> str:
    return "–" if value != value else f"{value:.2f}".replace("-", MINUS)
