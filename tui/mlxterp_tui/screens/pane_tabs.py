"""The row of panes with the keys that bring them forward."""

from __future__ import annotations

from textual.content import Content


def pane_tabs(panes: list[tuple[str, bool]]) -> Content:
    """panes: number and title, and whether it is in front."""
    return Content("").join(
        Content.styled(
            f" {title} " if front else f"{title} ",
            "$foreground on $primary 30% bold" if front else "$foreground-muted",
        )
        for title, front in panes
    )
