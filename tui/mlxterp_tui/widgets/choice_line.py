"""One of a few words, chosen with the keyboard, in one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget


class ChoiceLine(Widget, can_focus=True):
    """All words beside one another, the chosen one marked. Message: `ChoiceLine.Chosen`.

    Keys: left and right (or h, l, space) go to the next word; a letter to the word it begins.
    """

    DEFAULT_CSS = """
    ChoiceLine {
        height: 1;
        color: $foreground-muted;
        &>.choice-line--chosen { color: $foreground; text-style: bold; }
        &>.choice-line--focused { background: $primary 30%; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"choice-line--chosen", "choice-line--focused"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l,space", "choose(1)", "Next word", show=False),
        Binding("left,h", "choose(-1)", "Previous word", show=False),
    ]

    class Chosen(Message):
        """Another word than before."""

        def __init__(self, line: ChoiceLine, word: str) -> None:
            super().__init__()
            self.line, self.word = line, word

        @property
        def control(self) -> ChoiceLine:
            return self.line

    def __init__(self, words: Sequence[str], word: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self._words = tuple(words)
        self._at = self._words.index(word) if word in self._words else 0

    @property
    def word(self) -> str:
        return self._words[self._at]

    def choose(self, at: int) -> None:
        if at != self._at:
            self._at = at
            self.refresh()
            self.post_message(self.Chosen(self, self.word))

    def action_choose(self, step: int) -> None:
        self.choose((self._at + step) % len(self._words))

    def on_key(self, event: events.Key) -> None:
        """The next word that begins with what was typed."""
        letter = (event.character or "").lower()
        order = [(self._at + step) % len(self._words) for step in range(1, len(self._words) + 1)]
        found = [at for at in order if letter and self._words[at].startswith(letter)]
        if found and letter not in "hl ":
            event.stop()
            event.prevent_default()
            self.choose(found[0])

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y:
            return Strip.blank(width, self.rich_style)
        chosen = self.get_component_rich_style(
            "choice-line--focused" if self.has_focus else "choice-line--chosen"
        )
        segments = [
            Segment(f"‹{word}›", chosen)
            if at == self._at
            else Segment(f" {word} ", self.rich_style)
            for at, word in enumerate(self._words)
        ]
        return Strip(segments).adjust_cell_length(width, self.rich_style)
