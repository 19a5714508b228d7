"""A text to read over everything else: help, errors, a cell in full."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static


class CopyWanted(Message):
    """Somebody asked for a text in the clipboard."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Reader(ModalScreen[str]):
    """Shows a text until it is closed. Ends with "", or with what was chosen: "restart" or
    "command", where `restartable`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark", "leave", "Close"),
        Binding("y", "copy", "Copy"),
        Binding("R", "choose('restart')", "Restart the engine"),
        Binding("colon", "choose('command')", "Command"),
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
        Binding("J,pagedown,space", "page(1)", "Page down", show=False),
        Binding("K,pageup", "page(-1)", "Page up", show=False),
        Binding("g,home", "end(-1)", "To the top", show=False),
        Binding("G,end", "end(1)", "To the end", show=False),
    ]
    DEFAULT_CSS = """
    Reader { align: center middle; background: $background 60%; }
    #reader { width: 92; max-width: 94%; height: auto; max-height: 90%;
              border: round $primary; background: $surface; padding: 1 2; }
    #reader.-error { border: round $error; }
    #reader VerticalScroll { height: auto; max-height: 100%; background: $surface; }
    """

    def __init__(
        self, title: str, body: Content, restartable: bool = False, error: bool = False
    ) -> None:
        super().__init__()
        self._heading = title
        self._body = body
        self._restartable = restartable
        self._error = error

    def compose(self) -> ComposeResult:
        with Vertical(id="reader", classes="-error" if self._error else "") as box:
            box.border_title = self._heading
            box.border_subtitle = self._keys()
            with VerticalScroll(can_focus=False):
                yield Static(self._body)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "choose" or self._restartable

    def action_leave(self) -> None:
        self.dismiss("")

    def action_choose(self, what: str) -> None:
        self.dismiss(what)

    def action_copy(self) -> None:
        self.post_message(CopyWanted(self._body.plain))

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """All but one line, so that the eye finds its place."""
        self.action_scroll(pages * max(1, self.query_one(VerticalScroll).size.height - 1))

    def action_end(self, direction: int) -> None:
        self.action_scroll(direction * self.query_one(VerticalScroll).virtual_size.height)

    def _keys(self) -> str:
        keys = "y copies · Esc closes"
        return f"R restarts the engine · {keys}" if self._restartable else keys
