"""The keys that matter most where the focus is: made from the live bindings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlxterp_tui.keymap import COMMANDS, keys_of, named

from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen

HINTS = {command.name: command.hint for command in COMMANDS if command.hint}


def hint_text(screen: Screen[Any], overrides: Mapping[str, str], width: int) -> Content:
    """`m metric  t target …`, closest to the focus first, as many as fit."""
    bound = {active.binding.id for active in screen.active_bindings.values() if active.enabled}
    hints = {name: _key(screen, name, overrides) for name in HINTS if name in bound}
    ordered = [(key, HINTS[name]) for name, key in in_table_order(hints)]
    return fitted(ordered, width, HINTS["help"])


def _key(screen: Screen[Any], name: str, overrides: Mapping[str, str]) -> str:
    """The first of the command's keys, as people write it."""
    key = keys_of(named(name), overrides)[0]
    return screen.app.get_key_display(Binding(key, ""))


def in_table_order(hints: dict[str, str]) -> list[tuple[str, str]]:
    """The pane's own keys first, then those of the screen."""
    order = [command.name for command in COMMANDS]
    places = {command.name: command.where for command in COMMANDS}
    own_first = sorted(hints, key=lambda name: (places[name] in ("app", "main"), order.index(name)))
    return [(name, hints[name]) for name in own_first]


def fitted(hints: list[tuple[str, str]], width: int, always: str = "") -> Content:
    """As many as there is room for; the one with the word `always` is among them."""
    pieces = [(word, Content.assemble((key, "$text-primary bold"), " ", word, "   "))
              for key, word in hints]  # fmt: skip
    last = next((piece for word, piece in pieces if word == always), Content(""))
    line = Content(" ")
    for at, (_, piece) in enumerate(pieces):
        reserved = last.cell_length if always in [other for other, _ in pieces[at + 1 :]] else 0
        if line.cell_length + piece.cell_length + reserved > width + 2:
            return line + last if reserved else line
        line = line + piece
    return line
