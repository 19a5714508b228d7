"""A widget alone on a screen, and what stands on that screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.events import Event
from textual.message import Message
from textual.widget import Widget


class Alone(App[None]):
    """One widget; remembers the messages that it sent."""

    CSS = "Screen > * { height: 1fr; }"

    def __init__(self, widget: Widget, fill: Callable[[Any], None]) -> None:
        super().__init__()
        self.widget, self.fill = widget, fill
        self.said: list[Message] = []

    def compose(self) -> ComposeResult:
        yield self.widget

    def on_mount(self) -> None:
        self.fill(self.widget)
        if self.widget.can_focus:
            self.widget.focus()

    def post_message(self, message: Message) -> bool:
        own = not isinstance(message, Event)
        if own and getattr(message, "control", None) is self.widget:
            self.said.append(message)
        return super().post_message(message)

    def lines(self) -> list[str]:
        """The screen as text, without the spaces at the ends."""
        strips = self.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


@pytest.fixture
def alone() -> Callable[..., Alone]:
    """`alone(widget, fill)`: an app that shows it; `fill(widget)` is called when it is mounted."""
    return lambda widget, fill=lambda _: None: Alone(widget, fill)
