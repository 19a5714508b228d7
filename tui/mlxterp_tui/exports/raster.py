"""An SVG of the screen in pixels, with a font that comes along: no machine draws it empty."""

from __future__ import annotations

import re
from pathlib import Path

from mlxterp_engine.experiments import RunFailed

# DejaVu Sans Mono, and the braille dots of DejaVu Sans, which it lacks.
FONTS = Path(__file__).parent / "fonts"
FAMILY = "DejaVu Sans Mono"
SCALE = 2.0  # pixels a unit: sharp on the screens of today


def png(svg: bytes, scale: float = SCALE) -> bytes:
    """Characters that the font lacks (Chinese, emoji) come from the machine's fonts, if any."""
    import resvg_py

    drawing = re.sub(r"Fira Code|\barial\b", FAMILY, svg.decode())
    try:
        return bytes(
            resvg_py.svg_to_bytes(
                svg_string=drawing,
                zoom=scale,
                font_files=[str(path) for path in sorted(FONTS.glob("*.ttf"))],
                monospace_family=FAMILY,
                font_family=FAMILY,
            )
        )
    except ValueError as error:
        raise RunFailed(f"the picture could not be drawn: {error}; .svg holds the same") from error
