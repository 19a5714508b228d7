"""Jump letters: a letter on each pane, and typing it puts the focus there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Label

LETTERS = "asdfghjklqwertyuiopzxcvbnm"


class JumpOverlay(ModalScreen[Widget | None]):
    """Shows a letter on each target; dismissed with the widget chosen, or None.

    A widget asks for a letter of its own with an attribute `jump_letter`.
    Keys: a letter jumps, escape or a click leaves. Use `push_jump_overlay`.
    """

    DEFAULT_CSS = """
    JumpOverlay {
        background: $background 40%;
        &>.jump-letter {
            width: auto;
            height: 1;
            padding: 0 1;
            background: $accent;
            color: $background;
            text-style: bold;
        }
        &>.jump-hint {
            dock: bottom;
            width: 100%;
            text-align: center;
            background: $panel;
            color: $foreground;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+o,apostrophe", "leave", "Leave", show=False, id="jump.leave")
    ]

    def __init__(self, targets: Mapping[str, Widget]) -> None:
        """targets: letter to widget, as `jump_targets` finds them."""
        super().__init__()
        self._targets = dict(targets)

    def compose(self) -> ComposeResult:
        for letter, widget in self._targets.items():
            label = Label(letter, classes="jump-letter")
            region = widget.region
            label.styles.offset = (region.x, region.y)
            label.styles.position = "absolute"
            yield label
        yield Label("type a letter to go there, escape to stay", classes="jump-hint")

    def on_key(self, event: events.Key) -> None:
        target = self._targets.get(event.character or "")
        if target is not None:
            event.stop()
            self.dismiss(target)

    def on_click(self) -> None:
        self.dismiss(None)

    def action_leave(self) -> None:
        self.dismiss(None)


def jump_targets(screen: Screen) -> dict[str, Widget]:
    """A letter for each widget on the screen that can take the focus."""
    return letters_for(
        widget
        for widget in screen.focus_chain
        if widget.region.area and screen.region.contains(*widget.region.offset)
    )


def letters_for(widgets: Iterable[Widget]) -> dict[str, Widget]:
    """Letters in order of the home row; a widget's own `jump_letter` first, if it is free."""
    targets: dict[str, Widget] = {}
    waiting: list[Widget] = []
    for widget in widgets:
        wished = getattr(widget, "jump_letter", None)
        if wished and wished not in targets:
            targets[wished] = widget
        else:
            waiting.append(widget)
    free = (letter for letter in LETTERS if letter not in targets)
    return targets | dict(zip(free, waiting, strict=False))


def push_jump_overlay(screen: Screen) -> None:
    """Show the letters over a screen and focus what is chosen."""

    def focus(widget: Widget | None) -> None:
        if widget is not None:
            widget.focus()

    screen.app.push_screen(JumpOverlay(jump_targets(screen)), focus)
