"""Colour themes and colour maps as data. Knows nobody: standard library only."""

from mlxterp_themes.colour import RGB, Depth, Shade, blend, contrast, luminance
from mlxterp_themes.library import DEFAULT_THEME, Library, load_themes
from mlxterp_themes.ramp import Ramp
from mlxterp_themes.theme import Theme

__all__ = [
    "DEFAULT_THEME",
    "RGB",
    "Depth",
    "Library",
    "Ramp",
    "Shade",
    "Theme",
    "blend",
    "contrast",
    "load_themes",
    "luminance",
]
