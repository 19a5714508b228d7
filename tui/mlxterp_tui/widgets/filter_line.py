"""A line that narrows a list while it is typed into."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static


class FilterLine(Horizontal):
    """`/ words`, and at the right what is wrong with them. Knows nothing of the list.

    Messages: `Typed` for each change, `Entered` for enter, `MoveWanted` for up and down.
    """

    DEFAULT_CSS = """
    FilterLine { height: 1; }
    FilterLine .filter-mark { width: 2; color: $primary; }
    FilterLine Input { width: 1fr; border: none; padding: 0; background: $background; }
    FilterLine .filter-said { width: auto; color: $error; padding: 0 0 0 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move(1)", "Down the list", show=False),
        Binding("up", "move(-1)", "Up the list", show=False),
    ]

    class Typed(Message):
        """text: without the spaces around it."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Entered(Message):
        """Done: the list is wanted now."""

    class MoveWanted(Message):
        """The list is to be walked without leaving the line."""

        def __init__(self, lines: int) -> None:
            super().__init__()
            self.lines = lines

    def __init__(self) -> None:
        super().__init__()
        self._line = Input(compact=True, select_on_focus=False)
        self._line.cursor_blink = False
        self._said = Static("", classes="filter-said")

    def compose(self) -> ComposeResult:
        yield Static("/", classes="filter-mark")
        yield self._line
        yield self._said

    @property
    def text(self) -> str:
        return self._line.value

    @text.setter
    def text(self, text: str) -> None:
        self._line.value = text

    def focus_line(self) -> None:
        self.screen.set_focus(self._line)

    def say(self, words: str) -> None:
        """What is wrong with the text; "" for nothing."""
        self._said.update(words)

    def action_move(self, lines: int) -> None:
        self.post_message(self.MoveWanted(lines))

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(event.value.strip()))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Entered())
