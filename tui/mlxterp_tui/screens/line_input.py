"""One line of text, for a prompt."""

from __future__ import annotations

from mlxterp_tui.widgets.own_keys import carry_out

from textual import events
from textual.message import Message
from textual.widgets import Input


class LineInput(Input):
    """A paste of several lines is not cut: it asks for a larger editor. Keys typed in one burst
    are carried out in their order.
    """

    class PastedLines(Message):
        def __init__(self, line: LineInput, text: str) -> None:
            super().__init__()
            self.line, self.text = line, text

    async def _on_key(self, event: events.Key) -> None:
        await carry_out(self, event)

    def _on_paste(self, event: events.Paste) -> None:
        if len(event.text.splitlines()) > 1:
            event.stop()
            event.prevent_default()
            before, after = self.value[: self.cursor_position], self.value[self.cursor_position :]
            self.post_message(self.PastedLines(self, before + event.text + after))
