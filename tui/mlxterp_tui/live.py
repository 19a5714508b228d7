"""Running the prompt while it is typed: whether that is wanted, and whether it is quick enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from mlxterp_engine.experiments import AnyRequest
from mlxterp_tui.amounts import seconds

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp

Switch = Literal["auto", "on", "off"]
SWITCHES: tuple[str, ...] = get_args(Switch)
IN_WORDS = {
    "auto": "runs the prompt where a run is quick",
    "on": "runs the prompt, however long a run takes",
    "off": "runs nothing; Enter does",
}
SLOW = 1.5  # seconds; above, `auto` does not run a prompt that nobody has asked for


class Live:
    """switch: `auto` runs what is quick."""

    def __init__(self, app: MlxterpApp, switch: Switch) -> None:
        self._app = app
        self.switch: Switch = switch
        self._told: set[str] = set()

    async def affords(self, request: AnyRequest) -> bool:
        """Whether to run it in passing; said once of a model that it is too slow."""
        if self.switch != "auto":
            return self.switch == "on"
        price = await self._app.session.estimate(request)
        if price is None or price.seconds <= SLOW:
            return True
        if request.model not in self._told:
            self._told.add(request.model)
            self._app.tell(
                f"a run of {request.model} takes about {seconds(price.seconds)}, so typing does "
                "not run it; :live on does, Enter runs it as ever"
            )
        return False
