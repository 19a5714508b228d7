"""The form that begins a training: every field checked and priced while it is typed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from mlxterp_engine.experiments import BadInput, EngineError, Price
from mlxterp_tui.amounts import price_in_words
from mlxterp_tui.panes.training import draft as training_draft
from mlxterp_tui.panes.training.draft import FIELDS, Draft, Field, Training
from mlxterp_tui.panes.training.text import of_the_paper
from mlxterp_tui.widgets.choice_line import ChoiceLine

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

PriceOf = Callable[[Training], Awaitable[Price | None]]

# Long enough that a fast typist asks once.
SECONDS_BEFORE_PRICING = 0.15


class TrainingForm(ModalScreen[Training | None]):
    """Ends with a request, or None. draft: what stood there last; `keep` is told each change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave; what was typed is kept"),
        Binding("enter", "begin", "Begin"),
        Binding("down", "app.focus_next", "Next field", show=False),
        Binding("up", "app.focus_previous", "Previous field", show=False),
    ]
    DEFAULT_CSS = """
    TrainingForm { align: center middle; background: $background 60%; }
    #training-form { width: 92; max-width: 96%; height: auto; max-height: 100%;
                     border: round $primary; background: $surface; padding: 0 1; }
    #training-form .row { height: 1; }
    #training-form .row > .label { width: 16; color: $text-muted; }
    #training-form .row > .label.-fault { color: $text-error; text-style: bold; }
    #training-form .row > .about { width: 1fr; color: $foreground-muted; padding: 0 0 0 2;
                                   text-wrap: nowrap; text-overflow: ellipsis; }
    #training-form Input, #training-form ChoiceLine { width: 32; background: $panel; }
    #training-form Input { border: none; padding: 0; height: 1; }
    #training-form Input:focus { background: $primary 20%; }
    #training-said { height: 3; margin: 1 0 0 0; }
    """

    def __init__(
        self,
        draft: Draft,
        setting: Mapping[str, Any],
        price_of: PriceOf,
        keep: Callable[[Draft], None],
    ) -> None:
        super().__init__()
        self.draft = dict(draft)
        self._setting = setting
        self._price_of = price_of
        self._keep = keep
        self._price: str = ""
        self._soon: Timer | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="training-form") as box:
            box.border_title = f"train a lens of {self._setting['model']}"
            box.border_subtitle = "enter begins · tab next field · ← → choose · esc leaves"
            for field in FIELDS:
                with Horizontal(classes="row", id=f"row-{field.name}"):
                    yield Static(field.label, classes="label")
                    yield self._entry(field)
                    yield Static(field.about, classes="about")
            yield Static("", id="training-said")

    def _entry(self, field: Field) -> Widget:
        text = training_draft.value(self.draft, field)
        if field.choices:
            return ChoiceLine(field.choices, text, id=field.name)
        entry = Input(text, id=field.name, compact=True, select_on_focus=True)
        entry.cursor_blink = False
        return entry

    def on_mount(self) -> None:
        self._check()
        self.set_focus(self.query_one(f"#{FIELDS[0].name}"))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._put(str(event.input.id), event.value)

    @on(ChoiceLine.Chosen)
    def _chosen(self, event: ChoiceLine.Chosen) -> None:
        event.stop()
        self._put(str(event.line.id), event.word)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_begin()

    def _put(self, name: str, text: str) -> None:
        if self.draft.get(name, "") != text:
            self.draft[name] = text
            self._keep(self.draft)
            self._check()

    def action_begin(self) -> None:
        request = self._request()
        if isinstance(request, BadInput):
            self._say(request)
        else:
            self.dismiss(request)

    def action_leave(self) -> None:
        self.dismiss(None)

    # What is said below the fields.

    def _request(self) -> Training | BadInput:
        try:
            return training_draft.request_of(self.draft, self._setting)
        except BadInput as error:
            return error

    def _check(self) -> None:
        """Show the fields that count; say what is wrong, or what it would cost."""
        for field in FIELDS:
            row = self.query_one(f"#row-{field.name}")
            row.display = training_draft.is_asked(self.draft, field.name)
            if not field.choices:
                hint = training_draft.placeholder(self.draft, field.name, self._setting)
                row.query_one(Input).placeholder = hint
        request = self._request()
        self._say(request)
        if isinstance(request, Training):
            self._price_soon(request)

    def _say(self, request: Training | BadInput) -> None:
        fault = training_draft.fault_in(str(request)) if isinstance(request, BadInput) else ""
        for field in FIELDS:
            label = self.query_one(f"#row-{field.name} .label")
            label.set_class(field.name == fault, "-fault")
        if isinstance(request, BadInput):
            self._show(Content.styled(str(request), "$text-error"))
        else:
            self._show(Content(f"{budget(request)}\n{self._price}"))

    def _show(self, words: Content) -> None:
        self.query_one("#training-said", Static).update(words)

    def _price_soon(self, request: Training) -> None:
        if self._soon is not None:
            self._soon.stop()
        self._soon = self.set_timer(SECONDS_BEFORE_PRICING, lambda: self._ask_price(request))

    @work(group="price", exclusive=True)
    async def _ask_price(self, request: Training) -> None:
        try:
            price = await self._price_of(request)
        except EngineError as error:
            self._price = str(error)
        else:
            self._price = price_in_words(price) or "its price is known once the model is open"
        if self._request() == request:
            self._say(request)


def budget(request: Training) -> str:
    """How much is read, beside what the paper read."""
    return f"reads at most {of_the_paper(request.steps * request.tokens_per_step)} 65.5 million"
