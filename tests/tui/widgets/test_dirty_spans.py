"""The dirty-span patch shows what Textual's own functions show, for fewer bytes.

Every update of a scene is written to two emulated terminals, one by each way.
"""

from __future__ import annotations

from collections.abc import Iterator

from mlxterp_tui.widgets import dirty_spans
from mlxterp_tui.widgets.cell_grid import Cell, CellGrid
from mlxterp_tui.widgets.colour_depth import use_colour_system

import pyte
import pytest
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.app import App, ComposeResult
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import Footer, Label, Static

SIZE = (70, 18)
TOKENS = (" the", "한국어", " Paris", "日", "e\u0301t", "👍", "⟨e4⟩", "\n")


class Box(ModalScreen[None]):
    """A modal whose edges fall into the middle of wide characters beneath."""

    CSS = "Box { align: center middle; } Box Label { width: 15; height: 5; border: round red; }"

    def compose(self) -> ComposeResult:
        yield Label("over it 日本語 all")


class Scene(App[None]):
    """A grid of wide and narrow tokens, text, and two terminals that watch."""

    CSS = """
    Screen { layers: base over; }
    CellGrid { height: 12; margin: 1 3; }
    #over { layer: over; offset: 20 5; width: 9; height: 3; background: blue 50%; }
    """

    def __init__(self, depth: str = "truecolor") -> None:
        super().__init__()
        use_colour_system(self, depth)  # type: ignore[arg-type]
        self.stock, self.patched = Terminal(), Terminal()

    def compose(self) -> ComposeResult:
        yield CellGrid(corner="block", ascii_bars=False)
        yield Label("日本語 text 한국어", id="text")
        over = Static("[b]日本[/b] x", id="over")
        over.display = False
        yield over
        yield Footer()

    def on_mount(self) -> None:
        grid = self.query_one(CellGrid)
        grid.set_labels([str(row) for row in range(31)], [TOKENS[c % 8] for c in range(40)])
        for row in range(31):
            grid.set_row(row, [Cell(TOKENS[(row + c) % 8], (row + c) % 9 / 8) for c in range(40)])
        grid.tooltip = "a tooltip 日本"
        grid.focus()

    def _display(self, screen, renderable) -> None:
        if isinstance(renderable, ChopsUpdate):
            self.stock.feed(dirty_spans.STOCK_SPANS(renderable, self.console))
            self.patched.feed(dirty_spans.render_spans(renderable, self.console))
        elif isinstance(renderable, LayoutUpdate):
            self.stock.feed(dirty_spans.STOCK_LINES(renderable, self.console))
            self.patched.feed(dirty_spans.render_lines(renderable, self.console))
        else:
            assert not isinstance(renderable, CompositorUpdate)
        super()._display(screen, renderable)


class Terminal:
    """What a terminal of that size shows, and how many bytes it was sent."""

    def __init__(self) -> None:
        self.screen = pyte.Screen(*SIZE)
        self.stream = pyte.Stream(self.screen)
        self.received = 0

    def feed(self, text: str) -> None:
        self.received += len(text.encode())
        self.stream.feed(text)

    def cells(self) -> list[list[tuple]]:
        width, height = SIZE
        return [[tuple(self.screen.buffer[y][x]) for x in range(width)] for y in range(height)]


def differences(app: Scene) -> list[str]:
    """Where the two terminals differ."""
    lines = zip(app.stock.cells(), app.patched.cells(), strict=True)
    return [
        f"{x},{y}: stock {one}, patched {other}"
        for y, (stock, patched) in enumerate(lines)
        for x, (one, other) in enumerate(zip(stock, patched, strict=True))
        if one != other
    ]


@pytest.fixture
def nothing_remembered(monkeypatch) -> None:
    """Styles and strips remember their sequences; one process then paints only in one depth."""

    def render(strip: Strip, console) -> str:
        system = console._color_system
        return "".join(_sequence(style, text, system) for text, style, _ in strip)

    monkeypatch.setattr(Strip, "render", render)


def _sequence(style: Style | None, text: str, system: ColorSystem) -> str:
    codes = "" if style is None else Strip.render_ansi(style, system)
    return f"\x1b[{codes}m{text}\x1b[0m" if codes else text


KEYS = [*"lllljjjhk", "L", "L", "end", "G", "pageup", "home", "g", ">", ">", "<", "=", *"jl"]


@pytest.mark.usefixtures("nothing_remembered")
@pytest.mark.parametrize("depth", ["truecolor", "256", "16", "none"])
async def test_every_key_leaves_the_same_screen(depth):
    app = Scene(depth)
    async with app.run_test(size=SIZE) as pilot:
        for key in KEYS:
            await pilot.press(key)
            await pilot.pause()
            assert not differences(app), key


@pytest.mark.usefixtures("nothing_remembered")
async def test_a_modal_a_layer_and_new_text_leave_the_same_screen():
    app = Scene()
    async with app.run_test(size=SIZE) as pilot:
        for change in (
            lambda: app.push_screen(Box()),
            lambda: app.screen.query_one(Label).update("日 other"),
            lambda: app.pop_screen(),
            lambda: setattr(app.query_one("#over"), "display", True),
            lambda: setattr(app.query_one(CellGrid), "cursor", (6, 3)),
            lambda: setattr(app.query_one("#over"), "offset", (23, 6)),
            lambda: setattr(app.query_one(CellGrid), "bottom_up", True),
            lambda: app.query_one("#text", Label).update("한 x 語"),
            lambda: setattr(app.query_one("#over"), "display", False),
            lambda: app.notify("日本 toast"),
        ):
            change()
            await pilot.pause()
            assert not differences(app)


@pytest.mark.usefixtures("nothing_remembered")
async def test_a_tooltip_and_a_dragged_scrollbar_leave_the_same_screen():
    app = Scene()
    async with app.run_test(size=SIZE, tooltips=True) as pilot:
        await pilot.hover(CellGrid, offset=(12, 4))
        while not app.screen.query("Tooltip").first().display:
            await pilot.pause(0.02)
        assert not differences(app)
        grid = app.query_one(CellGrid)
        for y in (3, 9, 1):
            grid.scroll_to(y=y, x=y * 4, animate=False)
            await pilot.pause()
            assert not differences(app)


async def test_a_key_far_to_the_right_costs_a_fraction_of_the_bytes():
    app = Scene()
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("l", "l", "l", "l", "j", "j")
        await pilot.pause()
        stock, patched = app.stock.received, app.patched.received
        await pilot.press("j")
        await pilot.pause()
        assert 0 < app.patched.received - patched < (app.stock.received - stock) / 3


@pytest.fixture
def stock_textual() -> Iterator[None]:
    yield
    dirty_spans.uninstall()


def test_the_patch_goes_in_and_comes_out(stock_textual):
    assert dirty_spans.install()
    assert ChopsUpdate.render_segments is dirty_spans.render_spans
    dirty_spans.uninstall()
    assert ChopsUpdate.render_segments is dirty_spans.STOCK_SPANS


def test_another_textual_is_left_as_it_is(monkeypatch, stock_textual):
    monkeypatch.setattr(dirty_spans, "KNOWN", frozenset({"4c1cdb56"}))
    assert not dirty_spans.install()
    assert ChopsUpdate.render_segments is dirty_spans.STOCK_SPANS


RED, BLUE = Style.parse("red"), Style.parse("bold blue on white")


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([Segment("a"), Segment("b")], "ab"),
        ([Segment("a", RED), Segment("b", RED)], "\x1b[31mab\x1b[0m"),
        ([Segment("a", RED), Segment("b")], "\x1b[31ma\x1b[0mb"),
        ([Segment("a", RED), Segment("b", Style.parse("green"))], "\x1b[31ma\x1b[32mb\x1b[0m"),
        ([Segment("a", BLUE), Segment("b", RED)], "\x1b[1;34;47ma\x1b[0;31mb\x1b[0m"),
        ([Segment("a", RED), Segment("", BLUE), Segment("b", RED)], "\x1b[31mab\x1b[0m"),
    ],
)
def test_a_segment_says_only_what_differs_from_the_one_before(segments, expected):
    assert dirty_spans.encode(segments, ColorSystem.STANDARD) == expected


@pytest.mark.parametrize(
    ("span", "grown"), [((0, 6), (0, 6)), ((2, 6), (1, 6)), ((1, 4), (1, 5)), ((4, 5), (3, 5))]
)
def test_a_span_cuts_no_wide_character(span, grown):
    strip = Strip([Segment("a日"), Segment("本b")])
    assert dirty_spans.whole_characters(strip, *span) == grown
