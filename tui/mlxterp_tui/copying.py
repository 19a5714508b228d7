"""Copies and files that leave the screen."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from mlxterp_tui import clipboard
from mlxterp_tui.folders import state_file

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp


async def copy(app: MlxterpApp, text: str) -> None:
    """Put a text where the user can paste it from, and say where that is."""
    done = await asyncio.to_thread(clipboard.copy, text, state_file("last-copy.txt"), os.environ)
    if done.sequence and app._driver is not None:
        app._driver.write(done.sequence)
    app.tell(done.sentence)
