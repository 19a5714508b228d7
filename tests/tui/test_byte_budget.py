"""What a key costs on the wire: a 31 × 64 grid in a real terminal, one key at a time.

Bytes are asserted, times printed (`pytest -s`): a busy machine must not fail a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
from tui.terminal import Terminal

BUDGET = 300
BUDGET_WITH_WORDS = 1500  # a key, and the cell in words once the cursor rests

GRID_APP = """
from textual.app import App
from mlxterp_tui.widgets import dirty_spans
from mlxterp_tui.widgets.cell_grid import CellGrid
from mlxterp_tui.widgets.cell_painter import Cell

TOKENS = (" the", " Paris", "ing", "⟨e4⟩", "한국어", ",", "\\n", " international")

class Demo(App):
    def compose(self):
        yield CellGrid(corner="block")

    def on_mount(self):
        grid = self.query_one(CellGrid)
        grid.cell_width = 6
        grid.set_labels([str(row) for row in range(31)], [TOKENS[c % 8] for c in range(64)])
        for row in range(31):
            grid.set_row(row, [Cell(TOKENS[(row + c) % 8], (row * c) % 33 / 32) for c in range(64)])
        grid.focus()

if {patched}:
    assert dirty_spans.install()
Demo().run()
"""


COLOURS = {
    "truecolor": {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
    "256": {"TERM": "xterm-256color"},
    "16": {"TERM": "xterm"},
}


@pytest.fixture(scope="module", params=COLOURS)
def terminal(request) -> Iterator[Terminal]:
    terminal = Terminal(["-c", GRID_APP.replace("{patched}", "True")], COLOURS[request.param])
    terminal.wait_for("▸".encode())
    terminal.read_until_quiet(0.5)
    for _ in range(5):
        terminal.press("L")
    terminal.read_until_quiet(1.0)  # on a busy machine the last of it comes late
    yield terminal
    terminal.close()


@pytest.mark.parametrize(
    ("name", "key", "times"),
    [("right", "l", 12), ("down", "j", 8), ("left", "h", 3), ("up", "k", 3)],
)
def test_a_cursor_key_stays_within_the_budget(terminal, name, key, times, request):
    costs = [terminal.press(key) for _ in range(times)]
    sizes, milliseconds = zip(*costs, strict=True)
    print(f"\n{request.node.callspec.id}: {median(sizes):.0f} bytes, {median(milliseconds):.1f} ms")
    assert 0 < max(sizes) <= BUDGET


def test_nothing_is_sent_while_nothing_happens(terminal):
    received, _ = terminal.read_until_quiet(2.0)
    assert received == b""


def test_a_key_that_moves_nothing_sends_nothing(terminal):
    terminal.press("G")
    size, _ = terminal.press("j", patience=1.0)
    assert size == 0


def test_without_the_patch_the_budget_does_not_hold():
    terminal = Terminal(["-c", GRID_APP.replace("{patched}", "False")], COLOURS["truecolor"])
    terminal.wait_for("▸".encode())
    terminal.read_until_quiet(0.5)
    for _ in range(5):
        terminal.press("L")
    terminal.read_until_quiet(1.0)  # on a busy machine the last of it comes late
    size, _ = terminal.press("j")
    terminal.close()
    assert size > 10 * BUDGET


PATCH_APP = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from mlxterp_tui.app import MlxterpApp
from mlxterp_tui.arguments import AppArguments
from mlxterp_tui.widgets import dirty_spans
from recorded_engine import RecordedEngine, Recording

dirty_spans.install()
MlxterpApp(AppArguments(), connect=RecordedEngine(Recording.load("patching")).connect).run()
"""


@pytest.fixture
def patching(tmp_path) -> Iterator[Terminal]:
    """The patch pane on the example, its map whole."""
    tests = str(Path(__file__).parent)
    home = {"MLXTERP_HOME": str(tmp_path), **COLOURS["truecolor"]}
    terminal = Terminal(["-c", PATCH_APP.format(tests=tests)], home)
    terminal.wait_for("31 × 5".encode())
    for key in ("\x1b", "2"):
        terminal.read_until_quiet(0.5)
        terminal.press(key)
    terminal.read_until_quiet(0.5)
    terminal.send("\r")
    terminal.wait_for(b"1530 cells")
    terminal.read_until_quiet(1.0)
    yield terminal
    terminal.close()


def test_a_cursor_key_on_a_patching_map_stays_within_the_budget(patching):
    """The words about the cell follow once the cursor rests: they are counted with the key."""
    sizes = [patching.press(key)[0] for key in "hhjjkl"]
    print(f"\npatching map: {sizes} bytes")
    assert 0 < max(sizes) <= BUDGET_WITH_WORDS
