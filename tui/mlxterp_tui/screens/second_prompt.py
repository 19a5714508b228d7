"""The second prompt: a line under the first one, for panes that look at two."""

from __future__ import annotations

from mlxterp_tui.screens.line_input import LineInput
from mlxterp_tui.widgets.token_strip import TokenStrip

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static


class SecondPrompt(Vertical):
    """One line, and its tokens; the first prompt listens to it."""

    DEFAULT_CSS = """
    SecondPrompt { height: auto; }
    #second-row { height: auto; }
    #second-mark { width: 2; color: $secondary; }
    #second-line { width: 1fr; background: $background; border: none; padding: 0; }
    #second-tokens { max-height: 3; }
    """

    def __init__(self, text: str, ids: str, wrap: bool) -> None:
        """ids, wrap: as the first prompt shows its tokens."""
        super().__init__(id="second-prompt")
        self.line = LineInput(text, id="second-line", compact=True)
        self.line.cursor_blink = False
        self.tokens = TokenStrip(id="second-tokens", empty="the second prompt's tokens")
        self.tokens.can_focus = False
        self.tokens.ids, self.tokens.wrap = ids, wrap

    def compose(self) -> ComposeResult:
        with Horizontal(id="second-row"):
            yield Static("❯", id="second-mark")
            yield self.line
        yield self.tokens
