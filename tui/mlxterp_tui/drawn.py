"""A widget that shows a pure function of its size."""

from __future__ import annotations

from collections.abc import Callable

from textual.content import Content
from textual.widget import Widget

Draw = Callable[[int, int], Content]


class Drawn(Widget):
    """Draws `draw(width, height)`; call `refresh()` when what it reads has changed.

    A refresh that would show the same is not sent to the terminal.
    """

    def __init__(self, draw: Draw, id: str | None = None) -> None:
        super().__init__(id=id)
        self._draw = draw
        self._last: Content | None = None

    def render(self) -> Content:
        return self._draw(self.size.width, self.size.height)

    def redraw(self) -> None:
        """Repaint, if there is anything new to show."""
        drawn = self.render()
        if self._last is None or not drawn.is_same(self._last):
            self._last = drawn
            self.refresh()
