"""What lists of lines have in common: a cursor on one of them, the keys that move it, a click."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView

FAR = 8


def _key(id: str, keys: str, action: str, says: str) -> Binding:
    return Binding(keys, action, says, show=False, id=f"list.{id}")


class CursorList(ScrollView, can_focus=True, inherit_bindings=False):
    """Lines counted from 0 at the top; the cursor may count them otherwise: `line_of`.

    Keys: j k or up/down move, J K by 8, g/G ends, page up/down.
    Messages, of each list's own: `CursorMoved`, and `Chosen` for a click on the cursor's line.
    """

    DEFAULT_CSS = """
    CursorList {
        background: $background;
        color: $foreground;
        scrollbar-size-vertical: 1;
        overflow-x: hidden;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        _key("up", "k,up", "move(-1)", "Up"),
        _key("down", "j,down", "move(1)", "Down"),
        _key("far_up", "K,ctrl+up", f"move(-{FAR})", "Far up"),
        _key("far_down", "J,ctrl+down", f"move({FAR})", "Far down"),
        _key("top", "g,home", "top", "Top"),
        _key("bottom", "G,end", "bottom", "Bottom"),
        _key("page_up", "pageup", "page(-1)", "Page up"),
        _key("page_down", "pagedown", "page(1)", "Page down"),
    ]

    cursor: reactive[int] = reactive(0, repaint=False, init=False)
    """Where the cursor stands; 0 in an empty list."""

    class Said(Message):
        """Something about the place where the cursor stands."""

        def __init__(self, cursor_list: CursorList, cursor: int) -> None:
            super().__init__()
            self.cursor_list, self.cursor = cursor_list, cursor

        @property
        def control(self) -> CursorList:
            return self.cursor_list

    class CursorMoved(Said):
        """The cursor stands on another line."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, type(self)) and message.control is self.control

    class Chosen(Said):
        """The cursor's line was chosen."""

    @property
    def line_count(self) -> int:
        raise NotImplementedError

    def line_of(self, cursor: int) -> int | None:
        """The line of a place of the cursor; None where none shows it."""
        return cursor

    def cursor_on(self, line: int) -> int:
        """The place of the cursor on a line."""
        return line

    def validate_cursor(self, cursor: int) -> int:
        return max(0, min(self.line_count - 1, cursor))

    def watch_cursor(self, old: int, new: int) -> None:
        self.redraw_line(old)
        self.redraw_line(new)
        self.scroll_to_cursor()
        self.post_message(self.CursorMoved(self, new))

    def redraw_line(self, cursor: int) -> None:
        """The line of that place, and no other, shows something else now."""
        line = self.line_of(cursor)
        if line is not None:
            self.refresh(Region(0, line - self.scroll_offset.y, self.size.width, 1))

    def scroll_to_cursor(self) -> None:
        line = self.line_of(self.cursor)
        if line is not None:
            self.scroll_to_region(Region(0, line, 1, 1), animate=False, force=True)

    def choose(self) -> None:
        self.post_message(self.Chosen(self, self.cursor))

    def on_resize(self) -> None:
        self.scroll_to_cursor()

    def action_move(self, lines: int) -> None:
        if self.line_count:
            line = (self.line_of(self.cursor) or 0) + lines
            self.cursor = self.cursor_on(max(0, min(self.line_count - 1, line)))

    def action_page(self, pages: int) -> None:
        self.action_move(pages * max(1, self.size.height - 1))

    def action_top(self) -> None:
        self.action_move(-self.line_count)

    def action_bottom(self) -> None:
        self.action_move(self.line_count)

    def on_click(self, event: events.Click) -> None:
        line = event.y + self.scroll_offset.y
        if 0 <= line < self.line_count:
            before, self.cursor = self.cursor, self.cursor_on(line)
            if self.cursor == before:
                self.choose()
