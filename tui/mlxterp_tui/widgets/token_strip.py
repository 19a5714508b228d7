"""Tokens as chips with visible boundaries, with their ids on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mlxterp_themes import Ramp
from mlxterp_tui.widgets.colour_depth import depth_of
from mlxterp_tui.widgets.paint import default_ramp, ramp_styles, step_of
from mlxterp_tui.widgets.token_text import fit, legible

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

Ids = Literal["none", "beside", "under"]

_BOUNDARY = "│"


@dataclass(frozen=True)
class Chip:
    """Where a token is drawn: its line, its first column, its width without the boundary."""

    index: int
    line: int
    x: int
    width: int


class TokenStrip(Widget, can_focus=True):
    """Tokens beside each other, wrapped or (wrap=False) in one row that follows the cursor.

    Keys: h l or arrows move, home/end, enter or a click on the cursor chooses.
    Messages: `TokenStrip.CursorMoved`, `TokenStrip.TokenChosen`.
    """

    DEFAULT_CSS = """
    TokenStrip {
        height: auto;
        &>.token-strip--even { background: $panel; color: $foreground; }
        &>.token-strip--odd { background: $surface; color: $foreground; }
        &>.token-strip--boundary { color: $foreground-disabled; }
        &>.token-strip--id { color: $foreground-muted; }
        &>.token-strip--cursor { text-style: bold reverse; }
        &>.token-strip--empty { color: $foreground-muted; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "token-strip--even",
        "token-strip--odd",
        "token-strip--boundary",
        "token-strip--id",
        "token-strip--cursor",
        "token-strip--empty",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h,left", "move(-1)", "Left", show=False, id="tokens.left"),
        Binding("l,right", "move(1)", "Right", show=False, id="tokens.right"),
        Binding("home", "first", "First", show=False, id="tokens.home"),
        Binding("end", "last", "Last", show=False, id="tokens.end"),
        Binding("enter", "choose", "Choose", show=False, id="tokens.choose"),
    ]

    cursor: reactive[int | None] = reactive(None, repaint=False, init=False)
    """The highlighted token; None for none."""
    ids: reactive[Ids] = reactive("none", repaint=False, init=False)
    """Whether and where the ids are shown."""
    wrap: reactive[bool] = reactive(True, repaint=False, init=False)
    """Whether tokens go on in the next line when a line is full."""
    ramp: reactive[Ramp | None] = reactive(None)
    """The colour map for shades; None is the default."""

    class CursorMoved(Message):
        """The cursor stands on another token."""

        def __init__(self, strip: TokenStrip, index: int) -> None:
            super().__init__()
            self.strip, self.index = strip, index

        @property
        def control(self) -> TokenStrip:
            return self.strip

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, TokenStrip.CursorMoved) and message.strip is self.strip

    class TokenChosen(Message):
        """A token was chosen with enter or a click."""

        def __init__(self, strip: TokenStrip, index: int) -> None:
            super().__init__()
            self.strip, self.index = strip, index

        @property
        def control(self) -> TokenStrip:
            return self.strip

    def __init__(
        self,
        *,
        wrap: bool = True,
        ids: Ids = "none",
        empty: str = "",
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """empty: what stands here while there are no tokens."""
        super().__init__(name=name, id=id, classes=classes)
        self._empty = empty
        self._tokens: list[str] = []
        self._token_ids: list[int] = []
        self._shades: list[float | None] = []
        self._chips: list[Chip] = []
        self._left = 0
        self.set_reactive(TokenStrip.wrap, wrap)
        self.set_reactive(TokenStrip.ids, ids)

    def set_tokens(self, tokens: Sequence[str], ids: Sequence[int] = ()) -> None:
        """Exact token strings, made legible here; ids as many or none. Takes shades away."""
        if ids and len(ids) != len(tokens):
            raise ValueError(f"{len(ids)} ids for {len(tokens)} tokens")
        self._tokens, self._token_ids, self._shades = [*map(legible, tokens)], list(ids), []
        self._left = 0
        if self.cursor is not None and self.cursor >= len(self._tokens):
            self.cursor = None
        self._lay_out()

    def set_shades(self, levels: Sequence[float | None]) -> None:
        """A level 0..1 for each token's background; None leaves one plain, [] all."""
        self._shades = list(levels)
        self.refresh()

    @property
    def token_count(self) -> int:
        return len(self._tokens)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        chips = lay_chips(self._widths(), width, self.wrap)
        lines = chips[-1].line + 1 if chips else 1
        return lines * self._line_height

    @property
    def _line_height(self) -> int:
        return 2 if self.ids == "under" and self._token_ids else 1

    def _widths(self) -> list[int]:
        return [max(map(cell_len, self._texts(index))) for index in range(len(self._tokens))]

    def _texts(self, index: int) -> tuple[str, ...]:
        """What one chip shows: one text a line."""
        token = self._tokens[index]
        if not self._token_ids or self.ids == "none":
            return (token,)
        number = str(self._token_ids[index])
        return (token, number) if self.ids == "under" else (f"{token} {number}",)

    def _lay_out(self) -> None:
        self._chips = lay_chips(self._widths(), self.size.width, self.wrap)
        self._follow_cursor()
        self.refresh(layout=True)

    def on_resize(self) -> None:
        self._chips = lay_chips(self._widths(), self.size.width, self.wrap)
        self._left = 0
        self._follow_cursor()
        self.refresh()

    def watch_ids(self) -> None:
        self._lay_out()

    def watch_wrap(self) -> None:
        self._lay_out()

    def validate_cursor(self, cursor: int | None) -> int | None:
        if cursor is None or not self._tokens:
            return None
        return max(0, min(len(self._tokens) - 1, cursor))

    def watch_cursor(self, old: int | None, new: int | None) -> None:
        self._follow_cursor()
        self.refresh()
        if new is not None:
            self.post_message(self.CursorMoved(self, new))

    def _follow_cursor(self) -> None:
        if self.wrap:
            self._left = 0
        elif self.cursor is not None and self._chips:
            chip = self._chips[self.cursor]
            farthest = chip.x + chip.width + 2 - self.size.width
            self._left = max(0, min(chip.x - 1, max(self._left, farthest)))
            self._left = min(self._left, max(0, self._length - self.size.width))

    @property
    def _length(self) -> int:
        """Columns that all chips take in one row."""
        return self._chips[-1].x + self._chips[-1].width + 1 if self._chips else 0

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if not self._tokens:
            text = fit(self._empty if y == 0 else "", width)
            return Strip([Segment(text, self.get_component_rich_style("token-strip--empty"))])
        line, part = divmod(y, self._line_height)
        segments: list[Segment] = []
        for chip in self._chips:
            if chip.line == line:
                segments += self._chip(chip, part)
        strip = Strip(segments).crop(self._left).adjust_cell_length(width, self.rich_style)
        if self.wrap:
            return self._with_edges(strip, part == 0, False, self._is_last_with_more(line))
        return self._with_edges(strip, y == 0, self._left > 0, self._left + width < self._length)

    def _is_last_with_more(self, line: int) -> bool:
        """Whether tokens go on below this line, where there is no room for them."""
        return line == self.size.height // self._line_height - 1 < self._chips[-1].line

    def _with_edges(self, strip: Strip, first: bool, left: bool, right: bool) -> Strip:
        """A sign at each end beyond which there are more tokens."""
        style, width = self.get_component_rich_style("token-strip--id"), self.size.width
        return Strip.join(
            [
                Strip([Segment("‹" if first else " ", style)] if left else []),
                strip.crop(int(left), width - int(right)),
                Strip([Segment("›" if first else " ", style)] if right else []),
            ]
        )

    def _chip(self, chip: Chip, part: int) -> list[Segment]:
        style = self.get_component_rich_style
        text = fit(self._texts(chip.index)[part], chip.width)
        ground = self._shade(chip.index)
        if ground is None:
            ground = style("token-strip--odd" if chip.index % 2 else "token-strip--even")
        if part:
            ground = style("token-strip--id")
        if chip.index == self.cursor:
            ground += style("token-strip--cursor")
        boundary = _BOUNDARY if part == 0 else " "
        return [Segment(text, ground), Segment(boundary, style("token-strip--boundary"))]

    def _shade(self, index: int) -> Style | None:
        level = self._shades[index] if index < len(self._shades) else None
        if level is None:
            return None
        ramp = self.ramp or default_ramp(self.app.current_theme.dark)
        styles = ramp_styles(ramp, depth_of(self.app))
        return styles[step_of(level, len(styles))].text

    def action_move(self, by: int) -> None:
        self.cursor = by - 1 if self.cursor is None and by > 0 else (self.cursor or 0) + by

    def action_first(self) -> None:
        self.cursor = 0

    def action_last(self) -> None:
        self.cursor = len(self._tokens) - 1

    def action_choose(self) -> None:
        if self.cursor is not None:
            self.post_message(self.TokenChosen(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        line, x = event.y // self._line_height, event.x + self._left
        for chip in self._chips:
            if chip.line == line and chip.x <= x <= chip.x + chip.width:
                self.cursor = chip.index
                self.action_choose()


def lay_chips(widths: Sequence[int], room: int, wrap: bool) -> list[Chip]:
    """A place for each chip, each followed by a boundary of one column."""
    chips: list[Chip] = []
    line = x = 0
    for index, width in enumerate(widths):
        width = min(width, max(1, room - 1)) if wrap else width
        if wrap and x and x + width + 1 > room:
            line, x = line + 1, 0
        chips.append(Chip(index, line, x, width))
        x += width + 1
    return chips
