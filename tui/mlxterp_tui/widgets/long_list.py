"""A list of any length with one line each: only what is seen is ever made or drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from mlxterp_tui.widgets.cursor_list import CursorList

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip

Pieces = Sequence[tuple[str, str]]
"""Texts, each in a style of Textual's markup: `$text-error bold`, or "" for none."""
Draw = Callable[[int, int], Pieces]


class LongList(CursorList):
    """Lines counted from 0; `draw(line, width)` says what stands in one.

    Messages: `LongList.CursorMoved`, `LongList.LineChosen`.
    """

    DEFAULT_CSS = """
    LongList {
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

    class CursorMoved(CursorList.CursorMoved):
        """The cursor stands on another line."""

        @property
        def line(self) -> int:
            return self.cursor

    class LineChosen(CursorList.Chosen):
        """The line under the cursor was clicked."""

    Chosen = LineChosen

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
        self.scroll_to_cursor()
        self.refresh()

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
