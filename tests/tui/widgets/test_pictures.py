"""All widgets together, as pictures: sizes, themes, and terminals with fewer colours.

A changed picture is shown side by side with the old one in the report that the failing run
names; when the new one is right, `pytest --snapshot-update` keeps it.
"""

from __future__ import annotations

import math

from mlxterp_themes import load_themes
from mlxterp_tui.widgets.bar_list import BarList, BarRow
from mlxterp_tui.widgets.cell_grid import CellGrid
from mlxterp_tui.widgets.cell_painter import Cell
from mlxterp_tui.widgets.colour_depth import use_colour_system
from mlxterp_tui.widgets.column_list import ColumnList, ColumnRow
from mlxterp_tui.widgets.contract_strip import ContractStrip
from mlxterp_tui.widgets.legend import Legend
from mlxterp_tui.widgets.mini_line import MiniLine
from mlxterp_tui.widgets.paint import textual_theme
from mlxterp_tui.widgets.progress_line import ProgressLine
from mlxterp_tui.widgets.token_strip import TokenStrip

import pytest
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical

TOKENS = ("The", " capital", " of", " France", " is", " 한국어", "\n", "⟨e4⟩")
IDS = (504, 3575, 282, 4649, 314, 1021, 198, 161)
GUESSES = (" the", " first", "ing", "⟨e4⟩", " Paris", "\n", " 日本", "e\u0301t", " internationally")
LAYERS = ("embed", *map(str, range(30)))


class Gallery(App[None]):
    """A lens that is half there, and everything that stands around it."""

    CSS = """
    #middle { height: 1fr; }
    #left { width: 2fr; }
    #right { width: 1fr; padding: 0 1; }
    #right > * { margin-bottom: 1; }
    CellGrid { height: 2fr; }
    ColumnList { height: 1fr; }
    """

    def __init__(self, theme: str, depth) -> None:
        super().__init__()
        use_colour_system(self, depth)
        library = load_themes()
        ours = library.theme(theme)
        self.register_theme(textual_theme(ours, depth))
        self.theme = theme
        self.ramp = library.ramp(ours.ramp, ours.dark)

    def compose(self) -> ComposeResult:
        yield TokenStrip(ids="under")
        with Horizontal(id="middle"):
            with Vertical(id="left"):
                yield CellGrid(corner="block", bottom_up=True, ramp=self.ramp, ascii_bars=False)
                yield Legend(ascii_bars=False)
                yield ColumnList(bottom_up=True, ramp=self.ramp, ascii_bars=False)
            with Vertical(id="right"):
                yield BarList(ascii_bars=False)
                yield MiniLine(label="rank", ascii_bars=False)
                yield BarList(empty="no target yet")
        yield ContractStrip()
        yield ProgressLine(ascii_bars=False)

    def on_mount(self) -> None:
        self._fill_grid(self.query_one(CellGrid))
        self._fill_column(self.query_one(ColumnList))
        tokens = self.query_one(TokenStrip)
        tokens.set_tokens(TOKENS, IDS)
        tokens.cursor = 4
        rows = [
            (" Paris", 0.412),
            (" the", 0.104),
            ("\n", 0.03),
            (" 한국어", 0.01),
            ("⟨e4⟩", 0.001),
        ]
        self.query_one(BarList).set_rows(
            [BarRow(text, p / 0.412, f"{p:.3f}", text == " Paris") for text, p in rows]
        )
        ranks = [None, None, *(layer / 28 for layer in range(29))]
        self.query_one(MiniLine).set_values(ranks, current=27, note="rank 0")
        self.query_one(Legend).set_scale("KL, nats", "0", "100", log=True, ramp=self.ramp)
        checks = [("trace identity", 0.0, 0.0, True), ("last row = logits", 0.12, 5e-4, False)]
        self.query_one(ContractStrip).set_checks(checks)
        price = "1 pass · 40 MB"
        self.query_one(ProgressLine).set_job("logit-lens", done=0.6, price=price, seconds_left=3)

    def _fill_grid(self, grid: CellGrid) -> None:
        grid.set_labels(LAYERS, TOKENS)
        for row in range(len(LAYERS)):
            if row not in (25, 26):
                grid.set_row(row, [self._cell(row, column) for column in range(len(TOKENS))])
        grid.set_marks({(27, 4): "◆", (29, 1): "•"})
        grid.cursor = (28, 3)
        grid.focus()

    def _cell(self, row: int, column: int) -> Cell:
        guess = GUESSES[(row + 2 * column) % len(GUESSES)]
        failed = (row, column) == (24, 2)
        return Cell(guess, math.nan if failed else (row + 2 * column) % 31 / 30)

    def _fill_column(self, column: ColumnList) -> None:
        column.set_labels(LAYERS)
        for row in range(len(LAYERS)):
            texts = [GUESSES[(row + place) % len(GUESSES)] for place in range(3)]
            column.set_row(row, ColumnRow(texts, row / 30, f"{row / 30:.3f}"))
        column.cursor = 28


@pytest.mark.parametrize(
    ("theme", "depth", "size"),
    [
        ("dark", "truecolor", "80x24"),
        ("dark", "truecolor", "120x40"),
        ("dark", "truecolor", "200x50"),
        ("light", "truecolor", "120x40"),
        ("safe-dark", "truecolor", "120x40"),
        ("safe-light", "truecolor", "80x24"),
        ("contrast", "truecolor", "80x24"),
        ("dark", "256", "80x24"),
        ("light", "16", "80x24"),
        ("dark", "none", "80x24"),
    ],
)
def test_the_widgets_look_as_they_did(snap_compare, theme, depth, size):
    assert snap_compare(Gallery(theme, depth), terminal_size=tuple(map(int, size.split("x"))))
