"""What the colours of a grid mean: its scale, with words at the ends."""

from __future__ import annotations

import os
from typing import ClassVar

from mlxterp_themes import Ramp
from mlxterp_tui.widgets.colour_depth import ascii_only, depth_of
from mlxterp_tui.widgets.paint import (
    ASCII_BARS,
    BLOCK_BARS,
    default_ramp,
    micro_bar,
    ramp_styles,
    step_of,
)
from mlxterp_tui.widgets.token_text import fit

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

SHORTEST, NARROWEST_TITLE = 6, 12  # columns of the scale and of its title, in a narrow row


class Legend(Widget):
    """`KL(final ‖ row), nats · log  0 ▁▂▃▄▅▆▇█ 100` in one row. No keys, no messages."""

    DEFAULT_CSS = """
    Legend {
        height: 1;
        &>.legend--title { color: $foreground; }
        &>.legend--end { color: $foreground-muted; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"legend--title", "legend--end"}

    def __init__(
        self,
        *,
        ascii_bars: bool | None = None,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._title, self._low, self._high = "", "", ""
        self._log, self._centred = False, False
        self._ramp: Ramp | None = None
        ascii_bars = ascii_only(os.environ) if ascii_bars is None else ascii_bars
        self._bars = ASCII_BARS if ascii_bars else BLOCK_BARS

    def set_scale(
        self,
        title: str,
        low: str,
        high: str,
        *,
        log: bool = False,
        centred: bool = False,
        ramp: Ramp | None = None,
    ) -> None:
        """title: metric and unit. low, high: the values at level 0 and at level 1, in words.

        centred: the small bars say how far it is to the middle, as those of the cells do.
        """
        shown = (title, low, high, log, centred, ramp)
        if shown != (
            self._title, self._low, self._high, self._log, self._centred, self._ramp
        ):  # fmt: skip
            self._title, self._low, self._high, self._log, self._centred, self._ramp = shown
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y or not self._title:
            return Strip.blank(width, self.rich_style)
        return Strip(self._segments(width)).adjust_cell_length(width, self.rich_style)

    def _segments(self, width: int) -> list[Segment]:
        style = self.get_component_rich_style
        ends = cell_len(self._low) + cell_len(self._high) + 4
        title = self._title + (" · log" if self._log else "")
        title = fit(title, min(cell_len(title), max(NARROWEST_TITLE, width - ends - SHORTEST)))
        room = width - cell_len(title) - ends
        return [
            Segment(title + "  ", style("legend--title")),
            Segment(self._low + " ", style("legend--end")),
            *self._scale(max(SHORTEST, min(24, room))),
            Segment(" " + self._high, style("legend--end")),
        ]

    def _scale(self, length: int) -> list[Segment]:
        ramp = self._ramp or default_ramp(self.app.current_theme.dark)
        styles = ramp_styles(ramp, depth_of(self.app))
        levels = [place / (length - 1) for place in range(length)]
        return [
            Segment(
                micro_bar(abs(2 * level - 1) if self._centred else level, self._bars),
                styles[step_of(level, len(styles))].bar,
            )
            for level in levels
        ]
