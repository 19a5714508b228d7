"""A run as SVG: its pane as the screen would show it, all its maps, or its figure where it has
neither."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from mlxterp_tui.exports.escaping import escaped
from mlxterp_tui.exports.figure import figure
from mlxterp_tui.exports.naming import title
from mlxterp_tui.exports.recording_console import recording_console
from mlxterp_tui.logbook import Stored


class Size(NamedTuple):
    """In cells of a terminal."""

    columns: int
    lines: int


SIZE = Size(120, 40)


def svg(stored: Stored, size: Size = SIZE) -> str:
    """The same run and size give the same picture. Not for a running event loop."""
    from mlxterp_tui.panes.registry import PATCHINGS, pane_showing

    experiment = stored.record.request["name"]
    if experiment in PATCHINGS and stored.result is not None:
        from mlxterp_tui.exports.patching_picture import patching_svg

        words = escaped(title(stored.record))
        return keeping_spaces(patching_svg(stored.result, size.columns, words))
    if pane_showing(experiment) is None:
        return keeping_spaces(_of_text(stored, size.columns))
    from mlxterp_tui.exports.still import still

    return keeping_spaces(asyncio.run(still(stored, size.columns, size.lines)))


def keeping_spaces(drawing: str) -> str:
    """rich says it in CSS that spaces count, which librsvg and Inkscape do not read."""
    return drawing.replace("<svg ", '<svg xml:space="preserve" ', 1)


def _of_text(stored: Stored, columns: int) -> str:
    """As many lines as it takes; longer ones are cut, as in a terminal."""
    from rich.text import Text

    assert stored.result is not None
    console = recording_console(columns)
    # The line at the end keeps the last one's descenders inside the picture.
    text = Text(figure(stored.result) + "\n", no_wrap=True, overflow="ellipsis")
    console.print(text, no_wrap=True, overflow="ellipsis", crop=True)
    return console.export_svg(title=escaped(title(stored.record)))
