"""The engine from the app's side: found or started, its model opened, lost, restarted."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from mlxterp_engine.experiments import EngineError, ModelCard, RunFailed
from mlxterp_engine.experiments.request import LAST_RESORT
from mlxterp_engine.worker.protocol import EngineStatus
from mlxterp_tui.amounts import size
from mlxterp_tui.screens.errors import Trouble, of_lost, troubles_text
from mlxterp_tui.screens.reader import Reader

import msgspec

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp


class Engagement:
    """Errors are reported by the app; the screen goes on without an engine."""

    def __init__(self, app: MlxterpApp) -> None:
        self._app = app
        self._told_of: object = None
        self._fallen_back_from = ""

    @property
    def wanted_model(self) -> str:
        """What was asked for, also while the model of last resort stands in for it."""
        return self._fallen_back_from or self._app.setting.model

    def begin(self) -> None:
        """Find or start the engine, open the model, and ask what stands at the prompt."""
        self._app.run_worker(self._begin(), group="engage", exclusive=True)

    async def _begin(self) -> None:
        gc.enable()
        app = self._app
        try:
            await app.session.attach()
        except EngineError as error:
            app.report(error)
            return
        app.runs.open(app.setting, self._opened, self._open_last_resort)

    def _open_last_resort(self) -> None:
        """The app opens even where no model can be had: the tiny one came along."""
        app = self._app
        if app.session.card is None and app.setting.model != LAST_RESORT:
            app.tell(f"opening {LAST_RESORT} instead, a tiny model; :model NAME opens another")
            self._fallen_back_from = app.setting.model
            app.setting = msgspec.structs.replace(app.setting, model=LAST_RESORT)
            app.runs.open(app.setting, self._opened)

    def _opened(self, card: ModelCard) -> None:
        # What has been built stays; without this, one garbage collection in the middle of a
        # run stops the screen for 40 ms (measured).
        gc.freeze()
        self.changed()
        self._app.main.prompt.count_soon()
        self._app.run_worker(self._ask_what_stands_there(), group="first", exclusive=True)

    async def _ask_what_stands_there(self) -> None:
        """Unless the last session's run is shown: then nothing is computed until asked for."""
        await self._app.remembering.resumed.wait()
        pane = self._app.main.pane
        asked = self._app.runs.has_asked(pane)
        if pane.runs_at_start and pane.stored is None and not asked:
            self._app.main.ask_prompt()

    def changed(self) -> None:
        """The session is another than before."""
        app = self._app
        if not app.is_open:
            return
        app.main.redraw()
        app.trainings.hear(app.session.jobs.values())
        if app.session.log_trouble:
            app.troubles.once(RunFailed(app.session.log_trouble))
        lost = app.session.lost
        if lost is not None and lost is not self._told_of:
            self._told_of = lost
            self._tell_lost(of_lost(lost))

    def model_chosen(self) -> None:
        """A model was opened by name: nothing stands in any more."""
        self._fallen_back_from = ""

    def _tell_lost(self, trouble: Trouble) -> None:
        self._app.troubles.keep(trouble)
        reader = Reader(
            "the engine is gone", troubles_text([trouble]), restartable=True, error=True
        )
        self._app.push_screen(reader, self._after_lost)

    def _after_lost(self, chosen: str | None) -> None:
        if chosen == "restart":
            self._app.action_engine("restart")
        elif chosen == "command":
            self._app.main.call_later(self._app.main.action_begin, "")

    async def carry_out(self, what: str) -> None:
        """restart, stop, or status."""
        session = self._app.session
        if what == "status":
            self._app.tell(status_in_words(await session.status()))
            return
        await session.stop()
        if what == "restart":
            self.begin()


def status_in_words(status: EngineStatus) -> str:
    model = status.model.reference if status.model else "no model"
    return (
        f"engine {status.version}, process {status.pid}: {model}, "
        f"{size(status.memory)} held by MLX (at most {size(status.peak)}), log {status.log}"
    )
