"""A terminal that is written on and then taken as a picture."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def recording_console(columns: int) -> Console:
    """Of 24-bit colours, and shown nowhere."""
    from rich.console import Console

    return Console(
        record=True,
        file=io.StringIO(),
        width=columns,
        force_terminal=True,
        color_system="truecolor",
    )
