"""The terminal app: wires screen, engine, config and colours together. Loads no mlx, no numpy."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from mlxterp_engine.experiments import BadInput, EngineError, ModelCard
from mlxterp_engine.experiments.request import CHOICES, LAST_RESORT
from mlxterp_engine.worker.client import Engine
from mlxterp_engine.worker.protocol import EngineStatus
from mlxterp_tui import clipboard, config
from mlxterp_tui.amounts import size
from mlxterp_tui.appearance import Appearance
from mlxterp_tui.arguments import AppArguments
from mlxterp_tui.exporting import export, suggested_exports
from mlxterp_tui.folders import config_file, state_file
from mlxterp_tui.history import History
from mlxterp_tui.keymap import accepted, bindings
from mlxterp_tui.panes.lens_metrics import METRICS
from mlxterp_tui.panes.pane import Pane
from mlxterp_tui.reporting import tells_errors
from mlxterp_tui.runs import Runs
from mlxterp_tui.screens.errors import Trouble, of_lost, troubles_text
from mlxterp_tui.screens.main import MainScreen
from mlxterp_tui.screens.palette import TableCommands
from mlxterp_tui.screens.prompt import PromptPane
from mlxterp_tui.screens.reader import CopyWanted, Reader
from mlxterp_tui.session import Connect, Session
from mlxterp_tui.setting import Setting
from mlxterp_tui.widgets import dirty_spans
from mlxterp_tui.widgets.colour_depth import colour_system, depth_of, use_colour_system
from mlxterp_tui.widgets.paint import textual_theme

import msgspec
from textual import on, work
from textual.app import App
from textual.binding import BindingType


class MlxterpApp(App[None]):
    """One main screen, one session with the engine, and the commands that concern them all."""

    TITLE = "mlxterp"
    CSS_PATH = "screens/main.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar = {TableCommands}
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("app")]

    def __init__(self, arguments: AppArguments, connect: Connect = Engine.attach) -> None:
        super().__init__()
        self.animation_level = "none"
        depth, _ = colour_system(os.environ | _no_color(self.no_color), arguments.color)
        use_colour_system(self, depth)
        self.config, self._config_troubles = config.load(config_file())
        self.setting = _setting(arguments, self.config)
        self.appearance = Appearance(config_file().parent)
        self.prompts = History(state_file("prompts.json"))
        self.commands = History(state_file("commands.json"))
        self.session = Session(connect, self._session_changed)
        self.runs = Runs(self)
        self.troubles: list[Trouble] = []
        self.key_overrides: dict[str, str] = {}
        self._wanted_theme = arguments.theme or self.config.theme
        self._told_of: object = None

    def get_default_screen(self) -> MainScreen:
        return MainScreen()

    def on_mount(self) -> None:
        for theme in self.appearance.library.themes.values():
            self.register_theme(textual_theme(theme, depth_of(self)))
        self._dress()
        self.key_overrides, key_troubles = accepted(self.config.keys)
        self.set_keymap(self.key_overrides)
        self._tell_troubles(
            [*self._config_troubles, *key_troubles, *self.appearance.library.troubles]
        )
        self.call_after_refresh(self._engage)

    @property
    def main(self) -> MainScreen:
        """The screen under whatever is read over it."""
        screen = self.screen_stack[0]
        assert isinstance(screen, MainScreen)
        return screen

    @property
    def _is_open(self) -> bool:
        """False at the very end, when the last news may still come in."""
        return bool(self._screen_stack) and self.main.is_mounted

    # Telling.

    def report(self, error: EngineError) -> None:
        """A notice with the sentence; the details are kept for `:errors`."""
        self.troubles.append(Trouble(str(error), error.details))
        more = "\n(E or :errors for details)" if error.details else ""
        self.notify(f"{error}{more}", severity="error", timeout=8, markup=False)

    def tell(self, sentence: str) -> None:
        self.notify(sentence, markup=False)

    def _tell_troubles(self, sentences: Sequence[str]) -> None:
        """One notice for all that was wrong with the files of the user."""
        self.troubles += [Trouble(sentence) for sentence in sentences]
        if sentences:
            more = f"\n(and {len(sentences) - 1} more: :errors)" if len(sentences) > 1 else ""
            self.notify(sentences[0] + more, severity="warning", timeout=10, markup=False)

    def action_errors(self) -> None:
        self.push_screen(Reader("errors", troubles_text(self.troubles)))

    # The engine.

    @work(group="engage", exclusive=True)
    async def _engage(self) -> None:
        """Find or start the engine, open the model, and ask what stands at the prompt."""
        gc.enable()
        try:
            await self.session.attach()
        except EngineError as error:
            self.report(error)
            return
        self.runs.open(self.setting, self._opened, self._open_last_resort)

    def _open_last_resort(self) -> None:
        """The app opens even where no model can be had: the tiny one came along."""
        if self.session.card is None and self.setting.model != LAST_RESORT:
            self.tell(f"opening {LAST_RESORT} instead, a tiny model; :model NAME opens another")
            self.setting = Setting(model=LAST_RESORT)
            self.runs.open(self.setting, self._opened)

    def _opened(self, card: ModelCard) -> None:
        # What has been built stays; without this, one garbage collection in the middle of a
        # run stops the screen for 40 ms (measured).
        gc.freeze()
        self._session_changed()
        self.main.prompt.count_soon()
        if not self.runs.asked:
            self.main.action_run()

    def _session_changed(self) -> None:
        if not self._is_open:
            return
        self.main.redraw()
        lost = self.session.lost
        if lost is not None and lost is not self._told_of:
            self._told_of = lost
            self._tell_lost(of_lost(lost))

    def _tell_lost(self, trouble: Trouble) -> None:
        self.troubles.append(trouble)
        reader = Reader(
            "the engine is gone", troubles_text([trouble]), restartable=True, error=True
        )
        self.push_screen(reader, self._after_lost)

    def _after_lost(self, chosen: str | None) -> None:
        if chosen == "restart":
            self.action_engine("restart")
        elif chosen == "command":
            self.main.call_later(self.main.action_begin, "")

    def show_run(self) -> None:
        """The row under the pane: the job that the screen waits for, or the last run's checks."""
        if not self._is_open:
            return
        going = self.runs.current
        if going is None:
            self.main.show_checks()
        else:
            self.main.show_job(*going)

    @on(Pane.Changed)
    def _pane_changed(self) -> None:
        self.show_run()

    @on(PromptPane.Edited)
    def _prompt_edited(self, event: PromptPane.Edited) -> None:
        if self.session.card is not None:
            self._count(event.text)

    @work(group="count", exclusive=True)
    async def _count(self, text: str) -> None:
        setting = self.setting
        if not text:
            self.main.prompt.show_tokens([], [])
            return
        try:
            read = await self.session.tokenize(text, setting.bos, setting.chat)
        except EngineError as error:
            self.main.prompt.show_count(str(error))
            return
        self.main.prompt.show_tokens(read.tokens, read.ids)

    def action_cancel(self) -> None:
        self.runs.cancel()

    @on(Pane.CancelWanted)
    def _cancel_wanted(self, event: Pane.CancelWanted) -> None:
        self.runs.cancel(event.info.id)

    @on(Pane.WatchWanted)
    def _watch_wanted(self, event: Pane.WatchWanted) -> None:
        if event.info.experiment == "logit-lens":
            self.main.action_show_pane("lens")
            self.runs.watch(self.main.pane, event.info)
        else:
            self.tell(f"{event.info.experiment} has no pane; its line here shows how far it is")

    @work(group="engine", exclusive=True)
    async def action_engine(self, what: str) -> None:
        try:
            if what == "status":
                self.tell(_status_in_words(await self.session.status()))
                return
            await self.session.stop()
            if what == "restart":
                self._engage()
        except EngineError as error:
            self.report(error)

    # What is set above the prompt.

    def _set(self, **changes: object) -> None:
        """Change the setting, and read and run the prompt again under it."""
        self.setting = msgspec.structs.replace(self.setting, **changes)
        self.main.redraw()
        self.main.prompt.count_soon()
        self.main.action_run()

    def action_bos(self, bos: str) -> None:
        self._set(bos=bos)

    def action_cycle_bos(self) -> None:
        self._set(bos=self.setting.with_next_bos().bos)

    @tells_errors
    def action_chat(self, switch: str) -> None:
        card = self.session.card
        if switch == "on" and card is not None and not card.has_chat_template:
            raise BadInput(f"{card.reference} has no chat template; chat stays off")
        self._set(chat=switch == "on")

    def action_toggle_chat(self) -> None:
        self.action_chat("off" if self.setting.chat else "on")

    def action_model(self, reference: str) -> None:
        """Open another model; this one stays set until that has worked."""
        setting = msgspec.structs.replace(self.setting, model=reference)
        self.runs.open(setting, lambda card: self._set(model=reference))

    # Colours.

    def _dress(self) -> None:
        """The theme and colour map that were asked for; unknown names are told."""
        try:
            self.appearance.choose_theme(self._wanted_theme or self.appearance.theme.name)
            self.appearance.choose_ramp(self.config.ramp)
        except KeyError as error:
            self._tell_troubles([f"there is no theme or colour map {error.args[0]!r}"])
        self.theme = self.appearance.theme.name

    def action_theme(self, name: str) -> None:
        self.appearance.choose_theme(name)
        self.theme = name
        self._remember("theme", name)
        self._recolour()

    def action_ramp(self, name: str) -> None:
        self.appearance.choose_ramp(name)
        self._remember("ramp", name)
        self._recolour()

    def action_cycle_ramp(self) -> None:
        self.appearance.cycle_ramp()
        self._recolour()

    def _recolour(self) -> None:
        for pane in self.main.query(Pane):
            pane.recolour()

    @tells_errors
    def _remember(self, name: str, value: str) -> None:
        try:
            config.save(config_file(), name, value)
        except (OSError, ValueError) as error:
            raise BadInput(f"{name} was not kept in {config_file()}: {error}") from None

    # Lists for completion.

    def choices(self, name: str) -> Sequence[str]:
        """What a command's argument can be."""
        lists = {
            "bos": CHOICES["bos"],
            "switch": ("on", "off"),
            "engine": ("restart", "stop", "status"),
            "metrics": tuple(METRICS),
        }
        if name in lists:
            return lists[name]
        if name == "themes":
            return self.appearance.theme_names
        if name == "ramps":
            return self.appearance.ramp_names
        if name == "exports":
            return suggested_exports(self.main.pane)
        return [self.config.model, self.setting.model]

    # Copies and files.

    @on(CopyWanted)
    def _copy_wanted(self, event: CopyWanted) -> None:
        self._copy(event.text)

    @work(group="copy", exclusive=True)
    async def _copy(self, text: str) -> None:
        done = await asyncio.to_thread(
            clipboard.copy, text, state_file("last-copy.txt"), os.environ
        )
        if done.sequence and self._driver is not None:
            self._driver.write(done.sequence)
        self.tell(done.sentence)

    def action_export(self, name: str) -> None:
        """Write the pane, once the `:` line that asked for it is gone from the picture."""
        self.main.call_after_refresh(self._export, Path(name).expanduser())

    @tells_errors
    def _export(self, path: Path) -> None:
        export(path, self.main.pane, self.export_screenshot)
        self.tell(f"written: {path.absolute()}")

    # The end.

    async def action_quit_app(self) -> None:
        """Leave. The engine goes on with what it has to do."""
        running = self.session.running
        await self.session.hang_up()
        if running:
            names = ", ".join(f"{info.experiment} ({info.id})" for info in running)
            self.exit(message=f"the engine goes on with {names}; mlxterp-tui finds it again")
        else:
            self.exit()


def _setting(arguments: AppArguments, chosen: config.Config) -> Setting:
    return Setting(
        model=arguments.model or chosen.model,
        device=arguments.device,
        dtype=arguments.dtype,
        bos=arguments.bos or chosen.bos,  # type: ignore[arg-type]
    )


def _status_in_words(status: EngineStatus) -> str:
    model = status.model.reference if status.model else "no model"
    return (
        f"engine {status.version}, process {status.pid}: {model}, "
        f"{size(status.memory)} held by MLX (at most {size(status.peak)}), log {status.log}"
    )


def _no_color(no_color: bool) -> dict[str, str]:
    """Textual takes NO_COLOR out of the environment; it still counts."""
    return {"NO_COLOR": "1"} if no_color else {}


def main(arguments: AppArguments) -> int:
    """Run the app until the user leaves; the exit status."""
    dirty_spans.install()
    app = MlxterpApp(arguments)
    app.run()
    return app.return_code or 0
