"""A compositor that loses no widget's first layout.

Textual builds its map of widgets anew in two places: when the screen is laid out, which then tells
new and resized widgets so (`Show`, `Resize`), and when somebody asks where a widget is, which
tells nobody. A widget that was mounted in between is no news to the layout behind it, and stays as
empty as it was made (github.com/Textualize/textual/issues/5024).
"""

from __future__ import annotations

from textual._compositor import Compositor, CompositorMap, ReflowResult
from textual.geometry import Size
from textual.widget import Widget


class NoticingCompositor(Compositor):
    """Every layout is compared with the layout before it, whatever was asked between them."""

    def __init__(self) -> None:
        super().__init__()
        self._told: CompositorMap = {}

    def reflow(self, parent: Widget, size: Size) -> ReflowResult:
        self._full_map = self._told
        result = super().reflow(parent, size)
        self._told = self._full_map
        return result
