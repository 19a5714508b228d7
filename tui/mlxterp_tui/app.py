"""The terminal app: wires screen, engine, config and colours together. Loads no mlx, no numpy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from mlxterp_engine.experiments import BadInput, EngineError
from mlxterp_engine.worker.client import Engine
from mlxterp_engine.worker.protocol import Tokenized
from mlxterp_tui import config, live
from mlxterp_tui.appearance import Appearance
from mlxterp_tui.arguments import AppArguments
from mlxterp_tui.choices import choices
from mlxterp_tui.copying import copy
from mlxterp_tui.engagement import Engagement
from mlxterp_tui.exporting import export
from mlxterp_tui.folders import config_file, state_file
from mlxterp_tui.history import History
from mlxterp_tui.keymap import accepted, bindings
from mlxterp_tui.live import Live
from mlxterp_tui.logbook import Logbook
from mlxterp_tui.panes.pane import Pane
from mlxterp_tui.panes.registry import TRAININGS, pane_showing
from mlxterp_tui.remembering import SECONDS_BETWEEN_LOOKS, Remembering
from mlxterp_tui.reporting import tells_errors
from mlxterp_tui.runs import Runs
from mlxterp_tui.screens.errors import troubles_text
from mlxterp_tui.screens.main import MainScreen
from mlxterp_tui.screens.palette import TableCommands
from mlxterp_tui.screens.prompt import PromptPane
from mlxterp_tui.screens.reader import CopyWanted, Reader
from mlxterp_tui.session import Connect, Session
from mlxterp_tui.trainings import Trainings
from mlxterp_tui.troubles import Troubles
from mlxterp_tui.widgets import dirty_spans, escape_keys
from mlxterp_tui.widgets.colour_depth import colour_system, depth_of, use_colour_system
from mlxterp_tui.widgets.no_controls import NO_CONTROLS
from mlxterp_tui.widgets.paint import textual_theme

import msgspec
from textual import on, work
from textual.app import App
from textual.binding import BindingType
from textual.filter import LineFilter

if TYPE_CHECKING:
    from mlxterp_tui.panes.patch.pane import PatchPane
    from mlxterp_tui.panes.patchscope.pane import PatchscopePage
    from mlxterp_tui.recorded import Recorded


class MlxterpApp(App[None]):
    """One main screen, one session with the engine, and the commands that concern them all."""

    TITLE = "mlxterp"
    CSS_PATH = "screens/main.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar = {TableCommands}
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("app")]

    def __init__(
        self,
        arguments: AppArguments,
        connect: Connect = Engine.attach,
        logbook: Logbook | None = None,
    ) -> None:
        super().__init__()
        self.animation_level = "none"
        depth, _ = colour_system(os.environ | _no_color(self.no_color), arguments.color)
        use_colour_system(self, depth)
        self.config, self._config_troubles = config.load(config_file())
        self.appearance = Appearance(config_file().parent)
        self.prompts = History(state_file("prompts.json"))
        self.commands = History(state_file("commands.json"))
        self.remembering = Remembering(self, arguments.workspace)
        self.setting = self.remembering.setting(arguments, self.config)
        self.pinned_runs = set(self.remembering.last.pinned_runs)
        self.engagement = Engagement(self)
        self.session = Session(connect, self.engagement.changed)
        self.runs = Runs(self)
        self.live = Live(self, self.remembering.last.live)
        self.trainings = Trainings(self)
        self.logbook = logbook or Logbook()
        self.logbook.tell = self._log_mended
        self.hypothesis = ""
        self.troubles = Troubles(self.notify)
        self.key_overrides: dict[str, str] = {}
        self._wanted_theme = arguments.theme or self.config.theme

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), NO_CONTROLS]

    def get_default_screen(self) -> MainScreen:
        return MainScreen()

    def on_mount(self) -> None:
        for theme in self.appearance.library.themes.values():
            self.register_theme(textual_theme(theme, depth_of(self)))
        self._dress()
        self.key_overrides, key_troubles = accepted(self.config.keys)
        self.set_keymap(self.key_overrides)
        remembering = [
            trouble
            for trouble in (
                self.remembering.trouble, self.prompts.trouble, self.commands.trouble
            )
            if trouble
        ]  # fmt: skip
        self.troubles.of_files(
            [
                *self._config_troubles, *key_troubles, *self.appearance.library.troubles,
                *remembering,
            ]
        )  # fmt: skip
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """The first frame is there: everything else."""
        self.engagement.begin()
        self.set_interval(SECONDS_BETWEEN_LOOKS, self.keep_session)

    def resume(self) -> None:
        """Once the pane in front is painted: what it last showed, out of the log."""
        self.call_after_refresh(
            self.run_worker, self.remembering.resume, group="resume", exclusive=True
        )

    @cached_property
    def recorded(self) -> Recorded:
        """Imported when first wanted: the first frame needs nothing of the log."""
        from mlxterp_tui.recorded import Recorded

        return Recorded(self)

    def keep_session(self) -> None:
        if self.is_open:
            self.run_worker(self.remembering.keep(), group="keep")

    @property
    def main(self) -> MainScreen:
        """The screen under whatever is read over it."""
        screen = self.screen_stack[0]
        assert isinstance(screen, MainScreen)
        return screen

    @property
    def is_open(self) -> bool:
        """False at the very end, when the last news may still come in."""
        return self.is_running and bool(self._screen_stack) and self.main.is_mounted

    # Telling.

    def report(self, error: EngineError) -> None:
        self.troubles.report(error)

    def tell(self, sentence: str) -> None:
        self.notify(sentence, markup=False)

    def _log_mended(self, notice: str) -> None:
        if self.is_open:
            self.troubles.of_files([notice])

    def action_errors(self) -> None:
        self.push_screen(Reader("errors", troubles_text(list(self.troubles))))

    # The engine.

    def show_run(self) -> None:
        """The row under the pane: the job that the screen waits for, or the last run's checks."""
        if not self.is_open:
            return
        going = self.runs.current
        if going is None:
            self.main.show_checks()
        else:
            self.main.show_job(*going)

    @on(Pane.Changed)
    def _pane_changed(self) -> None:
        if self.is_open:
            self.main.pane.run_changed()
            self.main.redraw_status()
        self.show_run()

    @on(PromptPane.Edited)
    def _prompt_edited(self, event: PromptPane.Edited) -> None:
        if self.session.card is not None:
            self._count(event.text, event.second)

    @work(group="count", exclusive=True)
    async def _count(self, text: str, second: str | None) -> None:
        try:
            read, other = await self._tokens(text), await self._tokens(second or "")
        except EngineError as error:
            self.main.prompt.show_count(str(error))
            return
        if self.is_open:
            self.main.prompt.show_tokens(read.tokens, read.ids)
            self.main.prompt.show_second_tokens(other.tokens, other.ids)
            self.main.pane.prompts_read(read, other)

    async def _tokens(self, text: str) -> Tokenized:
        """As the model will read it."""
        if not text:
            return Tokenized([], [])
        return await self.session.tokenize(text, self.setting.bos, self.setting.chat)

    def action_cancel(self) -> None:
        self.runs.cancel()

    @on(Pane.CancelWanted)
    def _cancel_wanted(self, event: Pane.CancelWanted) -> None:
        self.runs.cancel(event.info.id)

    @on(Pane.WatchWanted)
    def _watch_wanted(self, event: Pane.WatchWanted) -> None:
        if event.info.experiment in TRAININGS:
            self.trainings.watch(event.info)
            return
        name = pane_showing(event.info.experiment)
        if name is not None:
            self.main.action_show_pane(name)
            self.runs.watch(self.main.pane, event.info)
        else:
            self.tell(f"{event.info.experiment} has no pane; its line here shows how far it is")

    @work(group="engine", exclusive=True)
    async def action_engine(self, what: str) -> None:
        try:
            await self.engagement.carry_out(what)
        except EngineError as error:
            self.report(error)

    # What is set above the prompt.

    def _set(self, **changes: object) -> None:
        """Change the setting, and read and run the prompt again under it."""
        self.setting = msgspec.structs.replace(self.setting, **changes)
        self.main.redraw()
        self.main.prompt.count_soon()
        self.main.ask_prompt()

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
        self.runs.open(setting, lambda card: self._set_model(reference))

    def _set_model(self, reference: str) -> None:
        self.engagement.model_chosen()
        self._set(model=reference)

    def action_live(self, switch: str) -> None:
        """Whether the pane follows the prompt while it is typed."""
        self.live.switch = switch  # type: ignore[assignment]
        self.tell(f"typing {live.IN_WORDS[switch]}")

    @tells_errors
    def action_train(self, words: str) -> None:
        self.trainings.asked(words)

    def action_training_form(self) -> None:
        self.trainings.open_form()

    @tells_errors
    def action_read_state(self) -> None:
        """The state under the lens's cursor, by a patchscope."""
        self._patchscope().read_cursor()

    @tells_errors
    def action_patchscope(self, words: str) -> None:
        self._patchscope().read_words(words)

    def _patchscope(self) -> PatchscopePage:
        self.main.action_show_pane("patchscope")
        return self.main.pane  # type: ignore[return-value]

    def action_pairs(self, words: str) -> None:
        self._patch().action_pairs(words)

    def action_facts(self, words: str) -> None:
        self._patch().action_facts(words)

    def _patch(self) -> PatchPane:
        self.main.action_show_pane("patch")
        return self.main.pane  # type: ignore[return-value]

    # Words about runs.

    def action_hypothesis(self, words: str) -> None:
        """Written into the log before the next run begins."""
        self.hypothesis = "" if words == "off" else words
        self.main.redraw()

    def action_outcome(self, words: str) -> None:
        self.recorded.annotate("outcome kept", lambda record: {"outcome": words})

    def action_note(self, words: str) -> None:
        note = "" if words == "off" else words
        self.recorded.annotate("note kept", lambda record: {"note": note})

    def action_tag(self, words: str) -> None:
        self.recorded.tag(words)

    @tells_errors
    def action_show_recorded(self, words: str) -> None:
        self.recorded.open_number(words)

    # Workspaces.

    @work(group="workspace", exclusive=True)
    async def action_workspace(self, name: str) -> None:
        try:
            await self.remembering.switch(name)
            await self.remembering.apply()
        except EngineError as error:
            self.report(error)

    @tells_errors
    def action_delete_workspace(self, name: str) -> None:
        self.remembering.delete(name)
        self.tell(f"workspace {name} is deleted; :workspace-restore {name} brings it back")

    @tells_errors
    def action_restore_workspace(self, name: str) -> None:
        self.remembering.workspaces.restore(name)
        self.tell(f"workspace {name} is back")

    # Colours.

    def _dress(self) -> None:
        """The theme and colour map that were asked for; unknown names are told."""
        try:
            self.appearance.choose_theme(self._wanted_theme or self.appearance.theme.name)
            self.appearance.choose_ramp(self.config.ramp)
        except KeyError as error:
            self.troubles.of_files([f"there is no theme or colour map {error.args[0]!r}"])
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

    def choices(self, name: str) -> Sequence[str]:
        """What a command's argument can be."""
        return choices(self, name)

    # Copies and files.

    @on(CopyWanted)
    def _copy_wanted(self, event: CopyWanted) -> None:
        self.run_worker(copy(self, event.text), group="copy", exclusive=True)

    def action_export(self, name: str) -> None:
        """Write the pane, once the `:` line that asked for it is gone from the picture."""
        path = Path(os.path.expanduser(name))
        self.main.call_after_refresh(lambda: self.run_worker(export(self, path), group="export"))

    # The end.

    async def action_quit_app(self) -> None:
        """Leave. The engine goes on with what it has to do."""
        running = self.session.running
        await self.remembering.keep()
        await self.session.hang_up()
        self.logbook.close()
        if running:
            names = ", ".join(f"{info.experiment} ({info.id})" for info in running)
            self.exit(message=f"the engine goes on with {names}; mlxterp-tui finds it again")
        else:
            self.exit()


def _no_color(no_color: bool) -> dict[str, str]:
    """Textual takes NO_COLOR out of the environment; it still counts."""
    return {"NO_COLOR": "1"} if no_color else {}


def main(arguments: AppArguments) -> int:
    """Run the app until the user leaves; the exit status."""
    dirty_spans.install()
    escape_keys.install()
    app = MlxterpApp(arguments)
    app.run()
    return app.return_code or 0
