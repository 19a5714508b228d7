"""Brings back what the last session left, and keeps up to date what this one will leave."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mlxterp_engine.experiments import BadInput
from mlxterp_tui.config import Config
from mlxterp_tui.folders import state_file
from mlxterp_tui.panes.registry import PANES
from mlxterp_tui.setting import Setting
from mlxterp_tui.workspaces import UNNAMED, Remembered, Workspaces, checked

import msgspec

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp
    from mlxterp_tui.arguments import AppArguments

# A killed terminal loses at most so much; looking costs 0.1 ms, and only changes are written.
SECONDS_BETWEEN_LOOKS = 2.0


class Remembering:
    """One workspace at a time; "" is the one without a name."""

    def __init__(self, app: MlxterpApp, name: str) -> None:
        self._app = app
        self.workspaces = Workspaces(state_file("session"))
        self.name = checked(name)
        self.last, self.trouble = self.workspaces.load(self.name)
        self._kept = self.last
        self._turn = asyncio.Lock()
        self.resumed = asyncio.Event()

    def setting(self, arguments: AppArguments, chosen: Config) -> Setting:
        """What was said on the command line, else as it was left, else as the config says."""
        left = self.last
        return Setting(
            model=arguments.model or left.model or chosen.model,
            device=arguments.device,
            dtype=arguments.dtype,
            bos=arguments.bos or left.bos or chosen.bos,  # type: ignore[arg-type]
            chat=left.chat,
        )

    @property
    def pane(self) -> str:
        """The pane to begin with."""
        homes = {entry.name: entry.home or entry.name for entry in PANES}
        return homes.get(self.last.pane, PANES[0].name)

    def snapshot(self) -> Remembered:
        app = self._app
        main = app.main
        return Remembered(
            prompt=whole_characters(main.prompt.text),
            model=app.engagement.wanted_model,
            bos=app.setting.bos,
            chat=app.setting.chat,
            live=app.live.switch,
            pane=main.pane_name,
            zoomed=main.has_class("-zoomed"),
            runs=self.last.runs | main.shown_runs(),
            pinned_runs=sorted(app.pinned_runs),
            panes=self.last.panes | main.remembered_of_panes(),
        )

    async def keep(self) -> None:
        """Write what has changed since it was last written. A failure is told once."""
        async with self._turn:  # what was asked for last is also written last
            now = self.snapshot()
            if now == self._kept:
                return
            self._kept = now
            try:
                await asyncio.to_thread(self.workspaces.save, self.name, now)
            except OSError as error:
                reason = f"this session is not remembered: {error.strerror or error}"
                self._app.troubles.once(BadInput(reason))

    async def switch(self, name: str) -> None:
        """Leave this workspace as it stands for another one.

        A new one begins as a copy of where we are, without the pinned runs.
        """
        name = checked(name)
        if name == self.name:
            raise BadInput(f"workspace {name or UNNAMED!r} is open already")
        await self.keep()
        if self.workspaces.is_there(name):
            self.last, trouble = self.workspaces.load(name)
            self._app.troubles.of_files([trouble] if trouble else [])
        else:
            self.last = msgspec.structs.replace(self.snapshot(), pinned_runs=[])
        self.name, self._kept = name, Remembered()

    async def resume(self) -> None:
        """What the pane in front last showed, out of the log, long before a model is open."""
        pane, runs = self._app.main.pane, self._app.runs
        run = self.last.runs.get(self._app.main.pane_name)
        try:
            if run is not None:
                await self._app.recorded.resume(run, lambda: not runs.has_asked(pane))
        finally:
            self.resumed.set()

    async def apply(self) -> None:
        """Put what was remembered on the screen, opening its model if it is another one."""
        app, left = self._app, self.last
        app.pinned_runs = set(left.pinned_runs)
        setting = msgspec.structs.replace(app.setting, bos=left.bos or "auto", chat=left.chat)
        if left.model and left.model != setting.model:
            setting = msgspec.structs.replace(setting, model=left.model)
            await app.runs.opened(setting)
        app.setting, app.live.switch = setting, left.live
        app.main.recall(left, self.pane)
        run = left.runs.get(app.main.pane_name)
        if run is None or not await app.recorded.resume(run, lambda: True):
            app.main.ask_prompt()

    def delete(self, name: str) -> None:
        if name == self.name:
            raise BadInput(f"workspace {name!r} is open; :workspace NAME goes to another one")
        self.workspaces.delete(name)


def whole_characters(text: str) -> str:
    """JSON holds no half of a surrogate pair, and a paste may."""
    return text.encode("utf-8", "replace").decode()
