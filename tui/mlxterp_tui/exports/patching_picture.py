"""A patching run as SVG: all its maps, side by side where they fit, in the colours of the pane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from mlxterp_engine.experiments import Result
from mlxterp_themes import Theme
from mlxterp_themes.colour import parse_hex
from mlxterp_tui.appearance import Appearance
from mlxterp_tui.contract_words import checks, fitting
from mlxterp_tui.exports.patching_figure import asked_words, differing_words, padding_words
from mlxterp_tui.exports.patching_panels import LABEL, Panel, drawn_maps, panels, run_of
from mlxterp_tui.exports.recording_console import recording_console
from mlxterp_tui.folders import config_file
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.scale import MINUS
from mlxterp_tui.panes.patch.text import ends_words
from mlxterp_tui.widgets.cell_painter import Cell, CellPainter
from mlxterp_tui.widgets.contract_strip import short
from mlxterp_tui.widgets.paint import CellStyle, ramp_styles
from mlxterp_tui.widgets.token_text import fit

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import TerminalTheme

GAP = 3  # columns between panels
LEGEND = 15  # columns of the colours under a map
TITLE_MARGIN = 15  # columns: its letters are wider than the text's
NO_BARS = " "  # a picture has colours
NEXT_TO_NOTHING = ("0", "+.00", f"{MINUS}.00")

Line = list[Segment]


def patching_svg(result: Result, columns: int, title: str) -> str:
    """So many columns of text wide; as many lines as it takes."""
    from rich.segment import Segments

    run, look = run_of(result), Appearance(config_file().parent)
    blocks = [_panel(panel, look) for panel in _all_panels(run, columns)]
    lines = [
        *_heading(run, look.theme),
        *_side_by_side(blocks, columns),
        *_foot(run, look.theme, columns),
    ]
    drawn = [segment for line in lines for segment in [*_fitted(line, columns), Segment.line()]]
    console = recording_console(columns)
    console.print(Segments(drawn), end="")
    short_title = fit(title, columns - TITLE_MARGIN).rstrip()
    return console.export_svg(title=short_title, theme=_terminal(look.theme))


def _all_panels(run: PatchRun, columns: int) -> Iterator[Panel]:
    for found in drawn_maps(run):
        yield from panels(run, found, columns)


def _heading(run: PatchRun, theme: Theme) -> Iterator[Line]:
    words = [asked_words(run), ends_words(run), differing_words(run), padding_words(run)]
    yield from ([Segment(word, _style(theme, "foreground"))] for word in words if word)
    yield []


def _foot(run: PatchRun, theme: Theme, columns: int) -> Iterator[Line]:
    """What the run proved of itself: as many checks as fit, failed ones in any case."""
    yield [
        Segment(
            f"{'✓' if check.ok else '✗'} {check.name} {short(check.error)}  ",
            _style(theme, "secondary" if check.ok else "error"),
        )
        for check in fitting(checks(run.contracts), columns)
    ]
    yield []


def _panel(panel: Panel, look: Appearance) -> list[Line]:
    """Title, labels, rows, and what the colours mean."""
    theme, width = look.theme, panel.width
    muted = _style(theme, "secondary")
    ramp = look.library.ramp(theme.diverging, theme.dark) if panel.scale.diverging else look.ramp
    styles = ramp_styles(ramp, "truecolor")
    failed = _style(theme, "error") + Style(bold=True)
    painter = CellPainter(panel.cell_width, styles, muted, failed, bars=NO_BARS)
    name, words = panel.title
    lines = [[Segment(name, _style(theme, "accent") + Style(bold=True))], [Segment(words, muted)]]
    for lead, labels in panel.head:
        shown = "".join(fit(f" {label}", panel.cell_width) for label in labels)
        lines.append([Segment(panel.label(lead) + shown, muted)])
    for label, cells in panel.rows():
        painted = [segment for cell in cells for segment in painter.segments(_mild(cell))]
        lines.append([Segment(panel.label(label), muted), *painted])
    lines.append([Segment(panel.label("")), *_legend(panel, styles, muted)])
    return [_fitted(line, width) for line in lines]


def _mild(cell: Cell) -> Cell:
    """The colour alone says what rounds to 0."""
    return cell._replace(text="") if cell.text in NEXT_TO_NOTHING else cell


def _legend(panel: Panel, styles: Sequence[CellStyle], muted: Style) -> Iterator[Segment]:
    low, high = panel.ends
    count = min(LEGEND, panel.width - LABEL - cell_len(f" {low}  {high}"))
    steps = [styles[round(i * (len(styles) - 1) / (count - 1))] for i in range(count)]
    yield Segment(f" {low} ", muted)
    yield from (Segment(" ", step.text) for step in steps)
    yield Segment(f" {high}", muted)


def _side_by_side(blocks: Sequence[list[Line]], columns: int) -> Iterator[Line]:
    """As many beside one another as fit, an empty line under each row of them."""
    row: list[list[Line]] = []
    for block in blocks:
        if row and sum(_width(b[0]) + GAP for b in row) + _width(block[0]) > columns:
            yield from _joined(row)
            row = []
        row.append(block)
    yield from _joined(row)


def _joined(row: Sequence[list[Line]]) -> Iterator[Line]:
    widths = [_width(block[0]) for block in row]
    for lines in zip_longest(*row, fillvalue=None):
        yield [
            segment
            for line, width in zip(lines, widths, strict=True)
            for segment in [*(line or [Segment(" " * width)]), Segment(" " * GAP)]
        ]
    yield []


def _fitted(line: Line, width: int) -> Line:
    """Cut or filled to so many columns."""
    return Segment.adjust_line_length(line, width)


def _width(line: Line) -> int:
    return sum(cell_len(segment.text) for segment in line)


def _style(theme: Theme, name: str) -> Style:
    return Style(color=theme.colours[name])


def _terminal(theme: Theme) -> TerminalTheme:
    """The picture's ground is the theme's."""
    ground, ink = (_triple(theme.colours[name]) for name in ("background", "foreground"))
    return TerminalTheme(ground, ink, [ink] * 8)


def _triple(colour: str) -> tuple[int, int, int]:
    red, green, blue = parse_hex(colour)
    return red, green, blue
