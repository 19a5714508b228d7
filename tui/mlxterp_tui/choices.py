"""What the argument of a `:` command can be: for completion, and to refuse what is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

from mlxterp_engine.experiments.patching import Metric
from mlxterp_engine.experiments.request import CHOICES
from mlxterp_tui.exporting import suggested_exports
from mlxterp_tui.live import SWITCHES
from mlxterp_tui.panes.lens.metrics import METRICS
from mlxterp_tui.panes.lens.question import STATES
from mlxterp_tui.workspaces import UNNAMED

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp

FIXED = {
    "bos": CHOICES["bos"],
    "switch": ("on", "off"),
    "live": SWITCHES,
    "engine": ("restart", "stop", "status"),
    "trainings": ("ridge", "tuned"),
    "metrics": tuple(METRICS),
    "states": STATES,
    "edits": ("show", "off"),
    "effect-metrics": get_args(Metric),
}


def choices(app: MlxterpApp, name: str) -> Sequence[str]:
    """The list of that name, as it is now."""
    if name in FIXED:
        return FIXED[name]
    workspaces = app.remembering.workspaces
    match name:
        case "themes":
            return app.appearance.theme_names
        case "ramps":
            return app.appearance.ramp_names
        case "exports":
            return suggested_exports(app.main.pane)
        case "workspaces":
            return [UNNAMED, *workspaces.names()]
        case "named-workspaces":
            return workspaces.names()
        case "deleted-workspaces":
            return workspaces.deleted()
        case "measures":
            from mlxterp_tui.panes.lens.trajectories import ALL_AT_ONCE, MEASURES

            return [*MEASURES, ALL_AT_ONCE]
        case "lenses":
            return app.main.pane.lenses
        case "ablations":
            return app.main.pane.ablations
        case "maps":
            return app.main.pane.maps
        case "methods":
            from mlxterp_tui.panes.patch.question import methods

            return methods()
        case "tags":
            return app.main.known_tags
        case _:
            return [app.config.model, app.setting.model]
