"""The `:` line at the bottom: typed, completed with Tab, recalled with up and down."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from mlxterp_tui.history import History

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static


class CommandBar(Vertical):
    """Hidden until opened; closes itself. Says what was typed, and knows no commands."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Leave the line", show=False, priority=True),
        Binding("tab", "complete(1)", "Next completion", show=False, priority=True),
        Binding("shift+tab", "complete(-1)", "Previous completion", show=False, priority=True),
        Binding("up", "older", "The command before this one", show=False),
        Binding("down", "newer", "The command after this one", show=False),
    ]

    HELP = """\
A command and what it needs, for example

    :metric rank          :target " Paris"       :model my-model.gguf
    :bos on               :export lens.tsv       :theme light

Tab completes, Enter carries it out, Escape leaves.
"""

    class Entered(Message):
        def __init__(self, line: str) -> None:
            super().__init__()
            self.line = line

    class Closed(Message):
        """Left without a command."""

    def __init__(self, history: History, completions: Callable[[str], list[str]]) -> None:
        super().__init__(id="command-bar")
        self.history = history
        self._completions = completions
        self._typed = ""
        self._chosen = -1

    def compose(self) -> ComposeResult:
        yield Static("", id="command-choices")
        with Horizontal():
            yield Static(":", id="command-mark")
            yield Input(id="command-line", compact=True, select_on_focus=False)

    def on_mount(self) -> None:
        self._input.cursor_blink = False
        self.display = False

    def open(self, line: str = "") -> None:
        """Show the line, begun with `line`, and put the cursor at its end."""
        self.display = True
        self._put(line)
        self._begin(line)
        self.screen.set_focus(self._input)

    def action_close(self) -> None:
        self._hide()
        self.post_message(self.Closed())

    def action_complete(self, step: int) -> None:
        found = self._completions(self._typed)
        if not found:
            return
        self._chosen = (self._chosen + step) % len(found)
        self._put(found[self._chosen])
        self._show_choices(found)

    def action_older(self) -> None:
        self._recall(self.history.older(self._input.value))

    def action_newer(self) -> None:
        self._recall(self.history.newer())

    @property
    def _input(self) -> Input:
        return self.query_one("#command-line", Input)

    def _recall(self, line: str | None) -> None:
        if line is not None:
            self._put(line)
            self._begin(line)

    def _put(self, line: str) -> None:
        with self.prevent(Input.Changed):
            self._input.value = line
        self._input.cursor_position = len(line)

    def _begin(self, line: str) -> None:
        self._typed, self._chosen = line, -1
        self._show_choices(self._completions(line))

    def _show_choices(self, found: list[str]) -> None:
        from textual.content import Content

        words = [
            Content.styled(f" {line} ", "reverse" if at == self._chosen else "")
            for at, line in enumerate(found)
        ]
        first = max(0, self._chosen - 3)
        self.query_one("#command-choices", Static).update(Content(" ").join(words[first:]))

    def _hide(self) -> None:
        self.display = False

    @on(Input.Changed)
    def _edited(self, event: Input.Changed) -> None:
        event.stop()
        self._begin(event.value)

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        line = event.value
        if line.strip():
            self.history.add(line)
            self.app.run_worker(self.history.save, group="history", thread=True)
        self._hide()
        self.post_message(self.Entered(line))
