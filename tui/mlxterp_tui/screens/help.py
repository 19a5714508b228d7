"""Help for the part of the screen that has the focus: what it shows, and its keys as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.app import App
from textual.binding import ActiveBinding
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import Widget


def help_text(text: str, keys: dict[str, list[tuple[str, str]]]) -> Content:
    """What the part shows, then its keys."""
    return Content("\n\n").join([Content(flowing(text)), keys_text(keys)])


def flowing(text: str) -> str:
    """Paragraphs without their line breaks, so that they fit any width; indented lines stay."""
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(
        paragraph if paragraph.startswith(" ") else " ".join(paragraph.splitlines())
        for paragraph in paragraphs
    )


def keys_text(groups: dict[str, list[tuple[str, str]]]) -> Content:
    """Groups one under the other, the keys of all in one column."""
    wide = max((len(keys) for lines in groups.values() for keys, _ in lines), default=0)
    blocks = [
        Content("\n").join(
            [
                Content.styled(title, "$text-accent bold"),
                *(
                    Content.assemble((f"  {keys:<{wide}}", "bold"), f"  {what}")
                    for keys, what in lines
                ),
            ]
        )
        for title, lines in groups.items()
        if lines
    ]
    return Content("\n\n").join(blocks)


def helped(focused: Widget | None, screen: DOMNode) -> tuple[str, str]:
    """Title and text of the closest part of the screen, from the focus outwards, that has any."""
    for node in focused.ancestors_with_self if focused else [screen]:
        text = getattr(node, "HELP", "")
        if text:
            return getattr(node, "HELP_TITLE", ""), text
    return "help", ""


def live_keys(
    app: App[Any], active: Mapping[str, ActiveBinding]
) -> dict[str, list[tuple[str, str]]]:
    """The bindings that work right now: the pane's own, those of moving about, the others."""
    groups: dict[str, dict[str, list[str]]] = {}
    for bound in active.values():
        if not bound.binding.description or bound.binding.system:
            continue
        actions = groups.setdefault(_place(bound.node), {})
        keys = actions.setdefault(bound.binding.description, [])
        keys.append(app.get_key_display(bound.binding))
    return {
        place: [(" ".join(keys), what) for what, keys in groups[place].items()]
        for place in sorted(groups, key=_rank)
    }


MOVING, EVERYWHERE = "moving about", "everywhere"


def _place(node: DOMNode) -> str:
    """A pane by its title; the widgets within a pane only move about."""
    if isinstance(node, Screen | App):
        return EVERYWHERE
    return str(getattr(node, "HELP_TITLE", "")) or MOVING


def _rank(place: str) -> int:
    return {MOVING: 1, EVERYWHERE: 2}.get(place, 0)
