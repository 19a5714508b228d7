"""What a key costs on the wire: a 31 × 64 grid in a real terminal, one key at a time.

Bytes are asserted, times printed (`pytest -s`): a busy machine must not fail a test.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from statistics import median

import pytest

COLUMNS, LINES = 400, 50
BUDGET = 300

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


class Terminal:
    """A pseudo-terminal with an app in it."""

    def __init__(self, code: str, environ: dict[str, str]) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        os.set_blocking(ours, False)
        self.fd = ours
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**_clean(os.environ), "TEXTUAL_ANIMATIONS": "none", **environ},
            start_new_session=True,
        )
        os.close(theirs)

    def read_until_quiet(self, quiet: float, first: float | None = None) -> tuple[bytes, float]:
        """What arrives until nothing does for so many seconds, and when the last of it came.

        first: how long to wait for the first of it, where that may be longer.
        """
        received, start = b"", time.perf_counter()
        last, patience = start, quiet if first is None else first
        while select.select([self.fd], [], [], patience)[0]:
            try:
                received += os.read(self.fd, 1 << 16)
            except OSError:
                break
            last, patience = time.perf_counter(), quiet
        return received, last - start

    def wait_for(self, text: bytes) -> None:
        """Read until that text came."""
        received, end = b"", time.monotonic() + 30
        while text not in received:
            assert time.monotonic() < end, f"no {text!r} in {received[-500:]!r}"
            received += self.read_until_quiet(0.1)[0]

    def press(self, key: str, patience: float = 10.0) -> tuple[int, float]:
        """Bytes and milliseconds that a key costs; waits so long for the first byte."""
        os.write(self.fd, key.encode())
        received, seconds = self.read_until_quiet(0.1, first=patience)
        return len(received), seconds * 1000

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.fd)


def _clean(environ) -> dict[str, str]:
    left_out = ("NO_COLOR", "COLORTERM", "TEXTUAL_COLOR_SYSTEM", "LC_ALL")
    kept = {name: value for name, value in environ.items() if name not in left_out}
    return kept | {"LANG": "C.UTF-8"}


COLOURS = {
    "truecolor": {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
    "256": {"TERM": "xterm-256color"},
    "16": {"TERM": "xterm"},
}


@pytest.fixture(scope="module", params=COLOURS)
def terminal(request) -> Iterator[Terminal]:
    terminal = Terminal(GRID_APP.replace("{patched}", "True"), COLOURS[request.param])
    terminal.wait_for("▸".encode())
    terminal.read_until_quiet(0.5)
    for _ in range(5):
        terminal.press("L")
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
    terminal = Terminal(GRID_APP.replace("{patched}", "False"), COLOURS["truecolor"])
    terminal.wait_for("▸".encode())
    terminal.read_until_quiet(0.5)
    for _ in range(5):
        terminal.press("L")
    size, _ = terminal.press("j")
    terminal.close()
    assert size > 10 * BUDGET
