"""Patching as text: what was asked, both ends, the largest cells, and every map in digits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from mlxterp_engine.experiments import Result
from mlxterp_engine.experiments.alignment import align
from mlxterp_tui.exports.columns import columns
from mlxterp_tui.exports.escaping import quoted
from mlxterp_tui.exports.patching_panels import Panel, drawn_maps, panels, run_of, silent
from mlxterp_tui.panes.patch.best import Best, best_cells, digits, trust_line
from mlxterp_tui.panes.patch.maps import PatchMap
from mlxterp_tui.panes.patch.places import block_of, part_of, position_of
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.text import ends_words, heading, which
from mlxterp_tui.widgets.cell_painter import Cell
from mlxterp_tui.widgets.token_text import fit

WIDTH = 100
MOST = 5  # cells of each map
FAILED, NOTHING, ABSENT = "×", "·", ""


def patching_figure(result: Result) -> str:
    """`patching_summary`, and every map in digits; `·` is exactly 0, `×` failed."""
    run = run_of(result)
    maps = drawn_maps(run)
    left = len(run.maps) - len(maps)
    more = [f"and {left} more maps, which csv and npz hold"] if left else []
    return "\n\n".join([_summary(run), *(_drawn(run, found) for found in maps), *more])


def patching_summary(result: Result) -> str:
    """What was asked and measured, and the largest cells of each map."""
    return _summary(run_of(result))


def _summary(run: PatchRun) -> str:
    return "\n".join([*_heading(run), "", columns(list(_largest(run)), right=(1, 3, 4, 5))])


def _heading(run: PatchRun) -> Iterator[str]:
    yield asked_words(run)
    if run.ends is not None:
        yield ends_words(run)
    if differing := differing_words(run):
        yield differing
    if padded := padding_words(run):
        yield padded
    for name in run.names:
        if trusted := trust_line(run, name).plain:
            yield f"{name}: {trusted}"


def differing_words(run: PatchRun) -> str:
    """Where the prompts' tokens differ; of prompts of other lengths the stretches that do."""
    found = align(run.clean, run.corrupt)
    spans = [(difference.clean, difference.corrupt) for difference in found.differences]
    if found.fits:
        spans = [((at, at + 1), (at, at + 1)) for at in found.mismatches]
    return "; ".join(
        f"{a[0]}: {_told(run.clean[slice(*a)])} against {_told(run.corrupt[slice(*b)])}"
        for a, b in spans
    )


def _told(tokens: Sequence[str]) -> str:
    return quoted("".join(tokens)) if tokens else "nothing"


def padding_words(run: PatchRun) -> str:
    """`filled up: corrupt at 3, 4`; nothing of prompts that were equally long."""
    told = run.result.strings.get("padded", {}) if run.result is not None else {}
    places = [f"{which} at {', '.join(map(str, at))}" for which, at in told.items()]
    return f"filled up: {'; '.join(places)}" if places else ""


def asked_words(run: PatchRun) -> str:
    """`mean of 20 pairs · denoise · logit difference …`: what all maps have in common."""
    if not run.names:
        return ""
    name = run.names[0]
    of = which(run, name, "mean")
    words = heading(run, name).removeprefix(f"{of}{name} · ")
    return f"{of.removesuffix(' of ')} · {words}" if of and not run.is_tracing else words


def _largest(run: PatchRun) -> Iterator[list[str]]:
    """A row a cell; columns that no run of this kind has are left out."""
    names = [name for name, found in run.maps.items() if found.measure != "count"]
    rows = [_row(run, best) for name in names for best in best_cells(run, name, count=MOST)]
    titles = ["map", "block", "at", _measure(run), "patched", "± sd"]
    known = [at for at, _ in enumerate(titles) if at < 4 or any(row[at] for row in rows)]
    return ([row[at] for at in known] for row in [titles, *rows])


def _measure(run: PatchRun) -> str:
    if any(found.measure == "probability" for found in run.maps.values()):
        return "p(answer)"
    return "estimate" if run.experiment == "attribution-patching" else "effect"


def _row(run: PatchRun, best: Best) -> list[str]:
    found = run.maps[best.name]
    spread = run.spread_at(best.name, best.at)
    return [
        best.name,
        str(block_of(found, best.at)),
        _where(run, best),
        digits(best.value, found.measure),
        digits(best.exact.effect, "effect") if best.exact else "",
        "" if spread is None or math.isnan(spread) else digits(spread, "spread"),
    ]


def _where(run: PatchRun, best: Best) -> str:
    found = run.maps[best.name]
    position, part = position_of(found, best.at), part_of(found, best.at)
    words = []
    if part is not None:
        words.append(f"{found.kind if found.kind in ('group', 'neuron') else 'head'} {part}")
    if position is not None:
        token = f" {quoted(run.clean[position])}" if position < len(run.clean) else ""
        words.append(f"{position}{token}")
    return " at ".join(words) or found.columns[best.at.column]


def _drawn(run: PatchRun, found: PatchMap) -> str:
    parts = list(panels(run, found, WIDTH))
    before = silent(run, found)
    note = f" (before position {before} nothing differs)" if before else ""
    return "\n\n".join(
        ["\n".join([": ".join(parts[0].title) + note, *_lines(parts[0])])]
        + ["\n".join(_lines(panel)) for panel in parts[1:]]
    )


def _lines(panel: Panel) -> Iterator[str]:
    for lead, labels in panel.head:
        yield _line(panel, lead, labels)
    for label, cells in panel.rows():
        yield _line(panel, label, [_text(cell) for cell in cells])


def _line(panel: Panel, label: str, cells: list[str]) -> str:
    width = panel.cell_width
    return (panel.label(label) + "".join(fit(f" {text}", width) for text in cells)).rstrip()


def _text(cell: Cell) -> str:
    if cell.level is None:
        return ABSENT
    if math.isnan(cell.level):
        return FAILED
    return NOTHING if cell.text == "0" else cell.text
