"""One line of text, for a prompt."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.widgets import Input


class LineInput(Input):
    """A paste of several lines is not cut: it asks for a larger editor."""

    class PastedLines(Message):
        def __init__(self, line: LineInput, text: str) -> None:
            super().__init__()
            self.line, self.text = line, text

    def _on_paste(self, event: events.Paste) -> None:
        if len(event.text.splitlines()) > 1:
            event.stop()
            event.prevent_default()
            before, after = self.value[: self.cursor_position], self.value[self.cursor_position :]
            self.post_message(self.PastedLines(self, before + event.text + after))
