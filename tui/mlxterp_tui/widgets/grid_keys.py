"""The keys of a grid. Each has an id, so that a user's keymap can name it."""

from __future__ import annotations

from textual.binding import Binding, BindingType

FAR = 8


def _key(id: str, keys: str, action: str, says: str) -> Binding:
    return Binding(keys, action, says, show=False, id=f"grid.{id}")


GRID_KEYS: list[BindingType] = [
    _key("left", "h,left", "move(0, -1)", "Left"),
    _key("right", "l,right", "move(0, 1)", "Right"),
    _key("up", "k,up", "move(-1, 0)", "Up"),
    _key("down", "j,down", "move(1, 0)", "Down"),
    _key("far_left", "H,ctrl+left", f"move(0, -{FAR})", "Far left"),
    _key("far_right", "L,ctrl+right", f"move(0, {FAR})", "Far right"),
    _key("far_up", "K,ctrl+up", f"move(-{FAR}, 0)", "Far up"),
    _key("far_down", "J,ctrl+down", f"move({FAR}, 0)", "Far down"),
    _key("home", "home", "first_column", "First column"),
    _key("end", "end", "last_column", "Last column"),
    _key("top", "g", "top", "Top row"),
    _key("bottom", "G", "bottom", "Bottom row"),
    _key("page_up", "pageup", "page(-1)", "Page up"),
    _key("page_down", "pagedown", "page(1)", "Page down"),
    _key("narrower", "less_than_sign", "widen(-1)", "Narrower cells"),
    _key("wider", "greater_than_sign", "widen(1)", "Wider cells"),
    _key("fit", "equals_sign", "fit_width", "Cells that fit"),
    _key("choose", "enter", "choose", "Inspect cell"),
]
