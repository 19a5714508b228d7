"""What the command line hands to the app."""

from __future__ import annotations

from typing import Literal

from mlxterp_engine.experiments.request import Bos, Device, DTypeChoice

import msgspec

Colour = Literal["auto", "truecolor", "256", "16", "none"]

COLOUR_CHOICES = ("auto", "truecolor", "256", "16", "none")


class AppArguments(msgspec.Struct, frozen=True, kw_only=True):
    """What to open and how to draw it. None: as the config says, else the default."""

    model: str | None = None
    device: Device = "auto"
    dtype: DTypeChoice = "auto"
    bos: Bos | None = None
    theme: str | None = None
    workspace: str = ""
    color: Colour = "auto"
