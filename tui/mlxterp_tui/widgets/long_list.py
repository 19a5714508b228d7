"""A list of any length with one line each: only what is seen is ever made or drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

Pieces = Sequence[tuple[str, str]]
"""Texts, each in a style of Textual's markup: `$text-error bold`, or "" for none."""
Draw = Callable[[int, int], Pieces]


class LongList(ScrollView, can_focus=True, inherit_bindings=False):
    """Lines counted from 0; `draw(line, width)` says what stands in one.

    Keys: j k or up/down move, J K by 8, g/G ends, page up/down, enter chooses.
    Messages: `LongList.CursorMoved`, `LongList.LineChosen`.
    """

    DEFAULT_CSS = """
    LongList {
        background: $background;
        color: $foreground;
        scrollbar-size-vertical: 1;
        overflow-x: hidden;
        &>.long-list--line { color: $foreground; }
        &>.long-list--cursor { background: $primary 30%; text-style: bold; }
        &>.long-list--blurred { background: $primary 15%; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "long-list--line",
        "long-list--cursor",
        "long-list--blurred",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k,up", "move(-1)", "Up", show=False, id="long-list.up"),
        Binding("j,down", "move(1)", "Down", show=False, id="long-list.down"),
        Binding("K,ctrl+up", "move(-8)", "Far up", show=False, id="long-list.far_up"),
        Binding("J,ctrl+down", "move(8)", "Far down", show=False, id="long-list.far_down"),
        Binding("g,home", "top", "Top", show=False, id="long-list.top"),
        Binding("G,end", "bottom", "Bottom", show=False, id="long-list.bottom"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="long-list.page_up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="long-list.page_down"),
    ]

    cursor: reactive[int] = reactive(0, repaint=False, init=False)
    """The line under the cursor; 0 in an empty list."""

    class CursorMoved(Message):
        """The cursor stands on another line."""

        def __init__(self, long_list: LongList, line: int) -> None:
            super().__init__()
            self.long_list, self.line = long_list, line

        @property
        def control(self) -> LongList:
            return self.long_list

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, LongList.CursorMoved) and message.control is self.control

    class LineChosen(Message):
        """The line under the cursor was clicked."""

        def __init__(self, long_list: LongList, line: int) -> None:
            super().__init__()
            self.long_list, self.line = long_list, line

        @property
        def control(self) -> LongList:
            return self.long_list

    def __init__(self, draw: Draw, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._draw = draw
        self._count = 0
        self._styles: dict[tuple[str, str], Style] = {}

    @property
    def line_count(self) -> int:
        return self._count

    def set_lines(self, count: int, cursor: int = 0) -> None:
        """There are so many lines now, and all may have changed."""
        self._count = count
        self.virtual_size = Size(0, count)
        self.set_reactive(LongList.cursor, self.validate_cursor(cursor))
        self._scroll_to_line(self.cursor)
        self.refresh()

    def redraw_line(self, line: int) -> None:
        """That line shows something else now."""
        self.refresh(Region(0, line - self.scroll_offset.y, self.size.width, 1))

    def validate_cursor(self, cursor: int) -> int:
        return max(0, min(self._count - 1, cursor))

    def watch_cursor(self, old: int, new: int) -> None:
        self.redraw_line(old)
        self.redraw_line(new)
        self._scroll_to_line(new)
        self.post_message(self.CursorMoved(self, new))

    def _scroll_to_line(self, line: int) -> None:
        self.scroll_to_region(Region(0, line, 1, 1), animate=False, force=True)

    def on_resize(self) -> None:
        self._scroll_to_line(self.cursor)

    def on_focus(self) -> None:
        self.redraw_line(self.cursor)

    def on_blur(self) -> None:
        self.redraw_line(self.cursor)

    def render_line(self, y: int) -> Strip:
        line = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        if line >= self._count or not width:
            return Strip.blank(width, self.rich_style)
        over = self._over(line)
        segments = [
            Segment(text, self._style(style, over)) for text, style in self._draw(line, width)
        ]
        return Strip(segments).adjust_cell_length(width, self._style("", over))

    def _over(self, line: int) -> str:
        if line != self.cursor:
            return ""
        return "long-list--cursor" if self.has_focus else "long-list--blurred"

    def _style(self, name: str, over: str) -> Style:
        """Remembered: Textual's own way of drawing text took four times as long (measured)."""
        found = self._styles.get((name, over))
        if found is None:
            ground = self.get_visual_style("long-list--line", *([over] if over else []))
            found = (ground + self._get_style(name)).rich_style if name else ground.rich_style
            self._styles[name, over] = found
        return found

    def notify_style_update(self) -> None:
        self._styles.clear()
        super().notify_style_update()

    def action_move(self, lines: int) -> None:
        self.cursor += lines

    def action_page(self, pages: int) -> None:
        self.action_move(pages * max(1, self.size.height - 1))

    def action_top(self) -> None:
        self.cursor = 0

    def action_bottom(self) -> None:
        self.cursor = self._count - 1

    def on_click(self, event: events.Click) -> None:
        line = event.y + self.scroll_offset.y
        if not 0 <= line < self._count:
            return
        if line == self.cursor:
            self.post_message(self.LineChosen(self, line))
        self.cursor = line
