"""The keys that matter most where the focus is: made from the live bindings."""

from __future__ import annotations

from mlxterp_tui.keymap import COMMANDS

from textual.content import Content
from textual.screen import Screen

HINTS = {command.name: command.hint for command in COMMANDS if command.hint}


def hint_text(screen: Screen[object], width: int) -> Content:
    """`m metric  t target …`, closest to the focus first, as many as fit."""
    hints: dict[str, str] = {}
    for bound in screen.active_bindings.values():
        name = bound.binding.id or ""
        if name in HINTS and bound.enabled and name not in hints:
            hints[name] = screen.app.get_key_display(bound.binding)
    return fitted([(key, HINTS[name]) for name, key in in_table_order(hints)], width)


def in_table_order(hints: dict[str, str]) -> list[tuple[str, str]]:
    """The pane's own keys first, then those of the screen."""
    order = [command.name for command in COMMANDS]
    places = {command.name: command.where for command in COMMANDS}
    own_first = sorted(hints, key=lambda name: (places[name] in ("app", "main"), order.index(name)))
    return [(name, hints[name]) for name in own_first]


def fitted(hints: list[tuple[str, str]], width: int) -> Content:
    line = Content(" ")
    for key, word in hints:
        piece = Content.assemble((key, "$text-primary bold"), " ", word, "   ")
        if line.cell_length + piece.cell_length > width + 2:
            break
        line = line + piece
    return line
