"""How many colours the terminal shows, why we think so, and how to say otherwise.

The names: "truecolor", "256", "16", "none".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from mlxterp_themes.colour import Depth

    from textual.app import App

DEPTHS: tuple[Depth, ...] = ("truecolor", "256", "16", "none")

_TEXTUAL_VARIABLE = "TEXTUAL_COLOR_SYSTEM"
_TEXTUAL_NAMES: dict[str, Depth] = {"truecolor": "truecolor", "256": "256", "standard": "16"}
_TERM_ENDINGS: dict[str, Depth] = {"256color": "256", "16color": "16", "kitty": "256"}


def colour_system(environ: Mapping[str, str], wanted: str = "auto") -> tuple[Depth, str]:
    """The number of colours, and the reason in words.

    wanted: what the user asked for with `--color`; "auto" looks at the environment.
    """
    for depth in DEPTHS:
        if wanted == depth:
            return depth, f"--color {wanted}"
    if "NO_COLOR" in environ:
        return "none", "NO_COLOR is set"
    forced = environ.get(_TEXTUAL_VARIABLE, "auto")
    if forced in _TEXTUAL_NAMES:
        return _TEXTUAL_NAMES[forced], f"{_TEXTUAL_VARIABLE}={forced}"
    return _from_terminal(environ)


def _from_terminal(environ: Mapping[str, str]) -> tuple[Depth, str]:
    term = environ.get("TERM", "").strip().lower()
    if term in ("dumb", "unknown"):
        return "none", f"TERM={term} shows no colours"
    colour_term = environ.get("COLORTERM", "").strip().lower()
    if colour_term in ("truecolor", "24bit"):
        return "truecolor", f"COLORTERM={colour_term}"
    depth = _TERM_ENDINGS.get(term.rpartition("-")[2])
    if depth:
        return depth, f"TERM={term}, and COLORTERM does not promise more"
    named = f"TERM={term}" if term else "TERM is not set"
    return "16", f"{named}, which promises no more, and COLORTERM is not set"


def ascii_only(environ: Mapping[str, str]) -> bool:
    """Whether block characters are better left alone: no UTF-8, or the Linux console's font."""
    term = environ.get("TERM", "").lower()
    if term in ("linux", "dumb") or term.startswith("vt"):
        return True
    locale = next((environ[name] for name in _LOCALE_VARIABLES if environ.get(name)), "C.UTF-8")
    return "utf" not in locale.lower()


_LOCALE_VARIABLES = ("LC_ALL", "LC_CTYPE", "LANG")


def use_colour_system(app: App, depth: Depth) -> None:
    """Make the app paint so many colours. Call it in the app's `__init__`, before it paints."""
    from mlxterp_tui.widgets.no_colour import WithoutColour

    from rich.color import ColorSystem
    from textual.filter import Monochrome, NoColor

    systems = {"256": ColorSystem.EIGHT_BIT, "16": ColorSystem.STANDARD}
    app.console._color_system = systems.get(depth, ColorSystem.TRUECOLOR)
    colourless = (Monochrome, NoColor, WithoutColour)
    app._filters[:] = [kept for kept in app._filters if not isinstance(kept, colourless)]
    app.no_color = depth == "none"
    if depth == "none":
        app._filters.append(WithoutColour())
    _IN_FORCE[app] = depth


_IN_FORCE: WeakKeyDictionary[App, Depth] = WeakKeyDictionary()


def depth_of(app: App) -> Depth:
    """How many colours the app paints: what was set, else what its console found out.

    An app without a screen (a test, a picture) paints them all.
    """
    if app in _IN_FORCE:
        return _IN_FORCE[app]
    if app.is_headless:
        return "truecolor"
    return "none" if app.no_color else _OF_RICH.get(app.console.color_system or "", "truecolor")


_OF_RICH: dict[str, Depth] = {"256": "256", "standard": "16", "windows": "16"}
