"""The main screen: one prompt, one model, many views of the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from mlxterp_engine.experiments import BadInput, Price, Step
from mlxterp_tui.command_line import completions, parse
from mlxterp_tui.drawn import Drawn
from mlxterp_tui.keymap import Command, Where, bindings, commands_at
from mlxterp_tui.panes.pane import Pane
from mlxterp_tui.panes.registry import PANES, TABS, in_row, label
from mlxterp_tui.reporting import tells_errors
from mlxterp_tui.screens import help
from mlxterp_tui.screens.command_bar import CommandBar
from mlxterp_tui.screens.hint_line import hint_text
from mlxterp_tui.screens.noticing_compositor import NoticingCompositor
from mlxterp_tui.screens.pane_tabs import pane_tabs
from mlxterp_tui.screens.prompt import SECONDS_BEFORE_RUNNING, PromptPane
from mlxterp_tui.screens.reader import Reader
from mlxterp_tui.screens.run_line import RunLine
from mlxterp_tui.screens.status_line import status_text, training_in_words
from mlxterp_tui.widgets.jump_overlay import push_jump_overlay
from mlxterp_tui.workspaces import Remembered

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import AwaitMount

if TYPE_CHECKING:
    from mlxterp_engine.runlog.record import RunRecord
    from mlxterp_tui.app import MlxterpApp

EXAMPLE_PROMPT = "The capital of France is"
RUNS_PANE = "#runs"
# Below this height the boxes go, so that the grid keeps its rows.
SHORT = 30


class MainScreen(Screen[None]):
    """Lays out and passes on. What is set, and the engine, are the app's."""

    AUTO_FOCUS = None
    HELP_TITLE = "mlxterp"
    HELP = "Type a prompt above, press Enter, and look at what the model does with it."
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("main"),
        *(
            Binding(str(number), f"go_to_pane({entry.name!r})", f"{entry.title} pane", show=False)
            for number, entry in enumerate(TABS, 1)
        ),
    ]

    app: MlxterpApp

    def __init__(self) -> None:
        super().__init__(id="main")
        self._compositor = NoticingCompositor()
        self._panes: dict[str, Pane] = {}
        self._at = self._behind = PANES[0].name
        self._mounting: AwaitMount | None = None

    def compose(self) -> ComposeResult:
        self._at = self.app.remembering.pane
        prompt = self.app.remembering.last.prompt or self.app.prompts.last or EXAMPLE_PROMPT
        yield Drawn(self._draw_status, id="status")
        yield PromptPane(self.app.prompts, prompt)
        with Horizontal(id="pane-row"):
            yield Drawn(self._draw_tabs, id="pane-tabs")
            yield Container(id="pane-header")
        yield Drawn(self._draw_stored, id="stored")
        yield Container(id="panes")
        yield RunLine()
        yield Drawn(self._draw_hints, id="hints")

    def on_mount(self) -> None:
        self.set_class(self.app.remembering.last.zoomed, "-zoomed")
        self.action_show_pane(self._at)
        self.set_focus(self.pane if self.has_class("-zoomed") else self.prompt.field)

    def on_resize(self, event: events.Resize) -> None:
        short = event.size.height < SHORT
        self.set_class(short, "-short")
        self.prompt.show_ids(short)

    # What is where.

    @property
    def prompt(self) -> PromptPane:
        return self.query_one(PromptPane)

    @property
    def pane(self) -> Pane:
        return self._panes[self._at]

    def pane_named(self, name: str) -> Pane:
        """Made, if it is not there yet, without bringing it forward."""
        if name not in self._panes:
            self._make(name)
            pane = self._panes[name]
            pane.display = pane.heading.display = False
        return self._panes[name]

    @property
    def pane_name(self) -> str:
        return self._at

    @property
    def run_in_front(self) -> int | None:
        """The recorded run that is shown, or stands under the cursor of the list of runs."""
        return self.pane.run_id

    @property
    def run_line(self) -> RunLine:
        return self.query_one(RunLine)

    def action_show_pane(self, name: str) -> None:
        """Bring a pane forward; it is made when it is first wanted."""
        in_pane = bool(self._panes) and self.pane.has_focus_within
        self._bring_forward(name)
        if in_pane:
            self.call_after_refresh(self.pane.focus_contents)

    def _bring_forward(self, name: str) -> None:
        if any(entry.name == self._at for entry in TABS):
            self._behind = self._at
        self._at = name
        if name not in self._panes:
            self._make(name)
            self.app.resume()
        for key, pane in self._panes.items():
            pane.display = pane.heading.display = key == name
        self.redraw()
        self.query_one("#pane-tabs").refresh(layout=True)
        self.app.show_run()

    async def action_go_to_pane(self, name: str) -> None:
        """Bring a pane forward and give it the keyboard: the next key is its own."""
        self._bring_forward(name)
        if self._mounting is not None:
            await self._mounting
            self._mounting = None
        self.pane.focus_contents()

    def leave_page(self) -> None:
        """Back to the pane from which it was opened."""
        self.action_show_pane(self._behind)

    def _make(self, name: str) -> None:
        pane = next(entry for entry in PANES if entry.name == name).make()
        pane.recall(self.app.remembering.last.panes.get(name, {}))
        self._panes[name] = pane
        self._mounting = self.query_one("#panes").mount(pane)
        self.query_one("#pane-header").mount(pane.heading)
        if pane.second_prompt:
            self.call_later(self.prompt.open_second, pane.second_prompt, False)

    def remembered_of_panes(self) -> dict[str, dict[str, Any]]:
        """Of those that have been made."""
        return {name: pane.remembered() for name, pane in self._panes.items()}

    def shown_runs(self) -> dict[str, int]:
        """The recorded run that each pane shows."""
        return {
            name: pane.recorded_as
            for name, pane in self._panes.items()
            if pane.recorded_as is not None
        }

    def recall(self, left: Remembered, pane: str) -> None:
        """Look as another workspace was left."""
        self.prompt.text = left.prompt or EXAMPLE_PROMPT
        for name, made in self._panes.items():
            made.recall(left.panes.get(name, {}))
        self.set_class(left.zoomed, "-zoomed")
        self.log_changed()
        self.action_show_pane(pane)

    @property
    def known_tags(self) -> list[str]:
        """Of the runs that were last listed."""
        return sorted({tag for runs in self.query(RUNS_PANE) for tag in runs.known_tags})  # type: ignore[attr-defined]

    def action_pane(self, step: int) -> None:
        names = [entry.name for entry in in_row(self._at)]
        self.action_show_pane(names[(names.index(self._at) + step) % len(names)])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Letters typed into a field stay there, also those that open a line elsewhere."""
        typing = self.focused is not None and self.focused.check_consume_key("colon", ":")
        return not (typing and action in ("begin", "command_line", "focus_prompt"))

    def action_focus_prompt(self) -> None:
        self.remove_class("-zoomed")
        self.set_focus(self.prompt.field)

    def action_focus_pane(self) -> None:
        self.pane.focus_contents()

    def action_zoom(self) -> None:
        self.toggle_class("-zoomed")

    def action_jump(self) -> None:
        push_jump_overlay(self)

    # The lines around the pane.

    def redraw(self) -> None:
        """Repaint them as far as they changed, and the jobs when they are in front."""
        self.set_class(self.pane.stored is not None, "-stored")
        for selector in ("#status", "#pane-tabs", "#stored", "#hints"):
            self.query_one(selector, Drawn).redraw()
        self.pane.session_changed()

    def redraw_status(self) -> None:
        self.query_one("#status", Drawn).redraw()

    def log_changed(self) -> None:
        """Something was written about a run."""
        for runs in self.query(RUNS_PANE):
            runs.refill()  # type: ignore[attr-defined]

    def show_job(self, name: str, step: Step | None, price: Price | None) -> None:
        self.run_line.show_job(name, step, price)

    def show_checks(self) -> None:
        """No job runs: the pane's own checks and cost."""
        saved = f"not run: {self.pane.trouble}" if self.pane.trouble else self._saved
        cost = " · ".join(filter(None, [self.pane.cost, saved]))
        self.run_line.show_checks(self.pane.contracts, cost)

    @property
    def _saved(self) -> str:
        """What the log has of the run in front; a notice once told why it has nothing."""
        pane = self.pane
        if pane.stored:
            return ""
        if pane.previewed:
            return "not kept: Enter keeps it"
        if pane.recorded_as is not None:
            return f"run {pane.recorded_as} saved"
        missing = pane.result is not None and self.app.session.log_trouble
        return "not saved: E says why" if missing else ""

    def _draw_status(self, width: int, height: int) -> Content:
        app = self.app
        return status_text(
            app.setting, app.session.card, app.session.state, width,
            app.remembering.name, app.hypothesis,
            training_in_words(app.session.jobs.values()), self.pane.alert,
        )  # fmt: skip

    def _draw_stored(self, width: int, height: int) -> Content:
        stored = self.pane.stored
        if stored is None:
            return Content("")
        from mlxterp_tui.screens.stored_line import stored_text

        return stored_text(stored, self.app.session.card, width)

    def _draw_tabs(self, width: int, height: int) -> Content:
        return pane_tabs([(label(entry), entry.name == self._at) for entry in in_row(self._at)])

    def _draw_hints(self, width: int, height: int) -> Content:
        return hint_text(self, self.app.key_overrides, width)

    def on_descendant_focus(self) -> None:
        self.query_one("#hints", Drawn).redraw()

    # Asking.

    @on(PromptPane.Submitted)
    def _submitted(self, event: PromptPane.Submitted) -> None:
        event.stop()
        self.prompt.select_all()
        self.ask_prompt()
        self.app.keep_session()

    @on(PromptPane.Typed)
    def _typed(self, event: PromptPane.Typed) -> None:
        event.stop()
        self._follow_typing()

    def _follow_typing(self) -> None:
        """Run the pane in passing; a run that was asked for comes to its end before."""
        app, text = self.app, self.prompt.text
        if not (text and self.pane.live and app.session.card and app.live.switch != "off"):
            return
        if app.runs.current is not None:
            self.set_timer(SECONDS_BEFORE_RUNNING, self._follow_typing)
            return
        self._give_second()
        app.runs.preview(self.pane.asker, text)

    def _give_second(self) -> None:
        if self.pane.takes_second:
            self.pane.second_prompt = self.prompt.second

    async def action_second(self) -> None:
        """Open a second prompt, or close it."""
        if self.prompt.second is None:
            await self.prompt.open_second(self.prompt.text)
        else:
            await self.prompt.close_second()
            self._give_second()
            self.pane.focus_contents()
            self.pane.second_changed()

    @on(PromptPane.SecondPastedLines)
    def _second_pasted(self) -> None:
        self.app.tell("the second prompt has one line: line breaks became spaces")

    @tells_errors
    def action_ask(self, prompt: str) -> None:
        self.prompt.text = prompt
        self.prompt.action_submit()

    def action_run(self) -> None:
        """Run what is shown again: a run of the log as it was asked then, else the prompt."""
        if self.pane.stored is not None:
            self.app.recorded.replay(self.pane.stored.id)
        else:
            self.ask_prompt()

    def ask_prompt(self) -> None:
        """Run the pane on the prompt as it stands."""
        self._give_second()
        self.app.runs.run(self.pane.asker, self.prompt.text)

    @on(Pane.Wanted)
    @tells_errors
    def _pane_wants(self, event: Pane.Wanted) -> None:
        """The same prompt with another parameter; of a stored run only on the run's own model."""
        event.stop()
        if self.pane.stored is not None:
            self._refuse_other_model(self.pane.stored)
        self.ask_prompt()

    @on(Pane.BesideWanted)
    @tells_errors
    def _beside_wanted(self, event: Pane.BesideWanted) -> None:
        event.stop()
        if self.pane.stored is not None:
            self._refuse_other_model(self.pane.stored)
        self.app.runs.complete(self.pane)

    @on(Pane.StoredWanted)
    def _stored_wanted(self, event: Pane.StoredWanted) -> None:
        event.stop()
        self.app.recorded.lay_beside(event.run, self.pane)

    def _refuse_other_model(self, stored: RunRecord) -> None:
        from mlxterp_tui.screens.stored_line import refusal

        if other := refusal(stored, self.app.session.card):
            self.pane.end("failed", other)
            raise BadInput(other)

    # Commands.

    def node_at(self, where: Where) -> DOMNode:
        """Whose `action_…` methods the commands of a place are."""
        if where == "app":
            return self.app
        if where == "prompt":
            return self.prompt
        return self if where == "main" else self.pane.node_at(where)

    def reachable_commands(self) -> list[Command]:
        """What can be carried out with this pane in front."""
        return commands_at(("app", "main", self._at, *self.pane.also_at))  # type: ignore[arg-type]

    def completions(self, line: str) -> list[str]:
        return completions(line, self.reachable_commands(), self.app.choices)

    def carry_out(self, command: Command) -> None:
        """From the palette: a command that needs an argument asks for it on the `:` line."""
        if command.argument:
            self.call_later(self.action_begin, command.name + " ")
        else:
            self.app.call_later(self.app.run_action, command.action, self.node_at(command.where))

    async def action_command_line(self) -> None:
        await self.action_begin("")

    async def action_begin(self, line: str) -> None:
        """Open the `:` line, begun with these words."""
        if not self.query(CommandBar):
            await self.mount(CommandBar(self.app.commands, self.completions))
        self.add_class("-commanding")
        self.query_one(CommandBar).open(line)

    @on(CommandBar.Closed)
    def _command_closed(self) -> None:
        self.remove_class("-commanding")
        self.pane.focus_contents()

    @on(CommandBar.Entered)
    async def _command_entered(self, event: CommandBar.Entered) -> None:
        event.stop()
        self._command_closed()
        await self._carry_out_line(event.line)

    async def _carry_out_line(self, line: str) -> None:
        parsed = self._parse(line)
        if parsed is not None:
            await self.app.run_action(parsed.action, self.node_at(parsed.command.where))

    @tells_errors
    def _parse(self, line: str):
        return parse(line, self.reachable_commands(), self.app.choices)

    def action_help(self) -> None:
        title, text = help.helped(self.focused, self)
        keys = help.live_keys(self.app, self.active_bindings)
        self.app.push_screen(Reader(f"help: {title}", help.help_text(text, keys)))
