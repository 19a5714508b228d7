"""The prompt: one line or several, its history, and how the model will read it."""

from __future__ import annotations

from typing import ClassVar

from mlxterp_tui.history import History
from mlxterp_tui.keymap import bindings
from mlxterp_tui.screens.line_input import LineInput
from mlxterp_tui.widgets.token_strip import TokenStrip

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

# Long enough that a fast typist asks once, short enough that nobody waits.
SECONDS_BEFORE_COUNTING = 0.05
SECONDS_BEFORE_RUNNING = 0.2


class PromptPane(Vertical):
    """Asks for a prompt, or two; knows neither engine nor panes."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("prompt")]

    HELP_TITLE = "prompt"
    HELP = """\
The text that every pane is about. While you type, the lens follows (`:live off` stops that); such
runs are not kept. Enter runs the pane on it, and the log keeps that run. The line below shows the
tokens as the model will read them, with their ids: line breaks as ⏎, bytes of unfinished
characters as ⟨e4⟩. Leading and trailing spaces count. Up and down walk through earlier prompts.

Example: The capital of France is
"""

    class Submitted(Message):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Edited(Message):
        """The texts have rested for a moment. second: None where there is no second prompt."""

        def __init__(self, text: str, second: str | None) -> None:
            super().__init__()
            self.text, self.second = text, second

    class Typed(Message):
        """Somebody has typed, and then made a pause."""

    class SecondPastedLines(Message):
        """What was pasted into the second prompt had several lines."""

    def __init__(self, history: History, text: str) -> None:
        """text: what stands there at first, all selected: typing replaces it."""
        super().__init__(id="prompt")
        self.history = history
        self._pause: Timer | None = None
        self._rest: Timer | None = None
        self._placed: set[str] = {text}  # what stands there without anybody's having typed it
        self._first_text = text
        line = "" if "\n" in text else text
        self._line = LineInput(line, id="prompt-line", compact=True)
        self._line.cursor_blink = False
        self.tokens = TokenStrip(id="prompt-tokens", empty="its tokens will stand here")
        self.tokens.can_focus = False

    def compose(self) -> ComposeResult:
        with Horizontal(id="prompt-row"):
            yield Static("❯", id="prompt-mark")
            yield self._line
            yield Static("", id="token-count")
        yield self.tokens

    def on_mount(self) -> None:
        self.border_title = "prompt"
        if "\n" in self._first_text:
            self._open_editor(self._first_text)
        self.count_soon()

    def show_ids(self, short: bool) -> None:
        """Ids under the tokens; on short screens beside them, all in one row."""
        for strip in self.query(TokenStrip):
            strip.ids = "beside" if short else "under"
            strip.wrap = not short

    @property
    def text(self) -> str:
        editor = self._editor
        return self._line.value if editor is None else editor.text  # type: ignore[attr-defined]

    @text.setter
    def text(self, text: str) -> None:
        if text != self.text:
            self._placed.add(text)
        if "\n" in text and self._editor is None:
            self._open_editor(text)
        elif self._editor is not None:
            self._editor.load_text(text)  # type: ignore[attr-defined]
        else:
            self._line.value = text
            self._line.cursor_position = len(text)

    @property
    def field(self) -> Widget:
        """Where the user types."""
        return self._editor or self._line

    def select_all(self) -> None:
        """So that typing starts a new prompt, and an arrow key edits this one."""
        self.field.action_select_all()  # type: ignore[attr-defined]

    def show_tokens(self, tokens: list[str], ids: list[int]) -> None:
        self.tokens.set_tokens(tokens, ids)
        self.show_count(f"{len(ids)} token{'' if len(ids) == 1 else 's'}")

    def show_count(self, words: str) -> None:
        self.query_one("#token-count", Static).update(words)
        self.border_subtitle = words

    # The second prompt.

    @property
    def second(self) -> str | None:
        """None where there is no second prompt."""
        found = self.query("#second-line").results(Input)
        return next((line.value for line in found), None)

    async def open_second(self, text: str, typing: bool = True) -> None:
        """A second prompt under the first, begun with a text; it gets the keys when typing."""
        from mlxterp_tui.screens.second_prompt import SecondPrompt

        if self.second is None:
            self._placed.add(text)
            await self.mount(SecondPrompt(text, self.tokens.ids, self.tokens.wrap))
        if typing:
            self.query_one("#second-line").focus()
        self.count_soon()

    def place_second(self, text: str) -> None:
        """Let it stand there, without anybody's having typed it."""
        if self.second is None:
            self.call_later(self.open_second, text, False)
        elif text != self.second:
            self._placed.add(text)
            self.query_one("#second-line", Input).value = text

    async def close_second(self) -> None:
        await self.query("#second-prompt").remove()

    def show_second_tokens(self, tokens: list[str], ids: list[int]) -> None:
        for strip in self.query("#second-tokens").results(TokenStrip):
            strip.set_tokens(tokens, ids)

    # Keys.

    def action_submit(self) -> None:
        self._stop_resting()
        if self.text:
            self.history.add(self.text)
            self.app.run_worker(self.history.save, group="history", thread=True)
        self.post_message(self.Submitted(self.text))

    def action_older(self) -> None:
        self._recall(self.history.older(self.text))

    def action_newer(self) -> None:
        self._recall(self.history.newer())

    def action_lines(self) -> None:
        if self._editor is None:
            self._open_editor(self.text)
        else:
            self._close_editor(" ".join(self.text.splitlines()))

    @property
    def _editor(self) -> Widget | None:
        found = self.query("#prompt-editor")
        return found.first() if found else None

    def _recall(self, text: str | None) -> None:
        if text is not None and not self.query("#second-line:focus"):
            self.text = text
            self._type_soon()

    def _open_editor(self, text: str) -> None:
        from mlxterp_tui.screens.prompt_editor import PromptEditor

        editor = PromptEditor(text, id="prompt-editor", compact=True, show_cursor=True)
        editor.cursor_blink = False
        self._line.display = False
        self.add_class("-lines")
        self.query_one("#prompt-row").mount(editor, before="#token-count")
        editor.focus()
        self.count_soon()  # an editor tells of changes, not of what it begins with

    def _close_editor(self, text: str) -> None:
        self.query("#prompt-editor").remove()
        self._line.display = True
        self.remove_class("-lines")
        self._line.value = text
        self._line.focus()

    # What is typed.

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_submit()

    @on(LineInput.PastedLines)
    def _pasted(self, event: LineInput.PastedLines) -> None:
        event.stop()
        if event.line is self._line:
            self._open_editor(event.text)
        else:
            event.line.value = " ".join(event.text.splitlines())
            self.post_message(self.SecondPastedLines())

    @on(Input.Changed)
    def _line_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._changed(event.value)

    def on_text_area_changed(self, event: Message) -> None:
        event.stop()
        self._changed(event.text_area.text)  # type: ignore[attr-defined]

    def _changed(self, text: str) -> None:
        self.count_soon()
        if text in self._placed:
            self._placed.discard(text)
        else:
            self._placed.clear()
            self._type_soon()

    def count_soon(self) -> None:
        """Ask for the tokens once the typing rests."""
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(SECONDS_BEFORE_COUNTING, self._rested)

    def _rested(self) -> None:
        self.post_message(self.Edited(self.text, self.second))

    def _type_soon(self) -> None:
        """Tell of what was typed, after a pause."""
        self._stop_resting()
        self._rest = self.set_timer(SECONDS_BEFORE_RUNNING, self._tell_typed)

    def _tell_typed(self) -> None:
        self.post_message(self.Typed())

    def _stop_resting(self) -> None:
        if self._rest is not None:
            self._rest.stop()
