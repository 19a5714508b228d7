"""A form that comes to a request: every field checked and priced while it is typed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar, Generic

from mlxterp_engine.experiments import BadInput, EngineError, Price
from mlxterp_tui.amounts import price_in_words
from mlxterp_tui.draft import Draft, Field, R, Sheet, value
from mlxterp_tui.widgets.choice_line import ChoiceLine

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

# Long enough that a fast typist asks once.
SECONDS_BEFORE_PRICING = 0.15


class RequestForm(ModalScreen[R | None], Generic[R]):
    """Ends with a request, or None. draft: what stood there last; `keep` is told each change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave; what was typed is kept"),
        Binding("enter", "begin", "Begin"),
        Binding("down", "app.focus_next", "Next field", show=False),
        Binding("up", "app.focus_previous", "Previous field", show=False),
    ]
    DEFAULT_CSS = """
    RequestForm { align: center middle; background: $background 60%; }
    #request-form { width: 92; max-width: 96%; height: auto; max-height: 100%;
                    border: round $primary; background: $surface; padding: 0 1; }
    #request-rows { height: auto; background: $surface; scrollbar-size-vertical: 1; }
    #request-form .row { height: 1; }
    #request-form .row > .label { width: 16; color: $text-muted; }
    #request-form .row > .label.-fault { color: $text-error; text-style: bold; }
    #request-form .row > .about { width: 1fr; color: $foreground-muted; padding: 0 0 0 2;
                                  text-wrap: nowrap; text-overflow: ellipsis; }
    #request-form Input, #request-form ChoiceLine { width: 32; background: $panel; }
    #request-form Input { border: none; padding: 0; height: 1; }
    #request-form Input:focus { background: $primary 20%; }
    #request-meaning { height: 2; margin: 1 0 0 0; color: $foreground-muted; display: none; }
    #request-said { height: 3; margin: 1 0 0 0; }
    RequestForm.-meanings #request-meaning { display: block; }
    RequestForm.-meanings #request-said { margin: 0; }
    """

    def __init__(
        self,
        sheet: Sheet[R],
        draft: Draft,
        price_of: Callable[[R], Awaitable[Price | None]],
        keep: Callable[[Draft], None],
    ) -> None:
        super().__init__()
        self.sheet = sheet
        self.draft = dict(draft)
        self._price_of = price_of
        self._keep = keep
        self._price = ""
        self._soon: Timer | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="request-form") as box:
            box.border_title = self.sheet.title
            box.border_subtitle = (
                f"enter {self.sheet.begins} · tab next field · ← → choose · esc leaves"
            )
            with VerticalScroll(id="request-rows", can_focus=False):
                for field in self.sheet.fields:
                    with Horizontal(classes="row", id=f"row-{field.name}"):
                        yield Static(field.label, classes="label")
                        yield self._entry(field)
                        yield Static(field.about, classes="about")
            yield Static("", id="request-meaning")
            yield Static("", id="request-said")

    def _entry(self, field: Field) -> Widget:
        text = value(self.draft, field)
        if field.choices:
            return ChoiceLine(field.choices, text, id=field.name)
        entry = Input(text, id=field.name, compact=True, select_on_focus=True)
        entry.cursor_blink = False
        return entry

    def on_mount(self) -> None:
        self.set_class(any(map(self.sheet.meaning, self._names)), "-meanings")
        self._check()
        asked = (name for name in self._names if self.sheet.is_asked(self.draft, name))
        self.set_focus(self.query_one(f"#{next(asked)}"))
        self._fit()

    @property
    def _names(self) -> list[str]:
        return [field.name for field in self.sheet.fields]

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        """The rows scroll where there are more of them than lines; what is said always stays."""
        below = 6 if self.has_class("-meanings") else 4
        self.query_one("#request-rows").styles.max_height = max(1, self.size.height - below - 2)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        words = self.sheet.meaning(event.widget.id or "")
        self.query_one("#request-meaning", Static).update(Content(words))

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

    def _request(self) -> R | BadInput:
        try:
            return self.sheet.request_of(self.draft)
        except BadInput as error:
            return error

    def _check(self) -> None:
        """Show the fields that count; say what is wrong, or what it would cost."""
        for field in self.sheet.fields:
            row = self.query_one(f"#row-{field.name}")
            row.display = self.sheet.is_asked(self.draft, field.name)
            if not field.choices:
                row.query_one(Input).placeholder = self.sheet.placeholder(self.draft, field.name)
        request = self._request()
        self._say(request)
        if not isinstance(request, BadInput):
            self._price_soon(request)

    def _say(self, request: R | BadInput) -> None:
        fault = self.sheet.fault_in(str(request)) if isinstance(request, BadInput) else ""
        for field in self.sheet.fields:
            label = self.query_one(f"#row-{field.name} .label")
            label.set_class(field.name == fault, "-fault")
        if isinstance(request, BadInput):
            self._show(Content.styled(str(request), "$text-error"))
        else:
            lines = filter(None, [self.sheet.in_words(request), self._price])
            self._show(Content("\n".join(lines)))

    def _show(self, words: Content) -> None:
        self.query_one("#request-said", Static).update(words)

    def _price_soon(self, request: R) -> None:
        if self._soon is not None:
            self._soon.stop()
        self._soon = self.set_timer(SECONDS_BEFORE_PRICING, lambda: self._ask_price(request))

    @work(group="price", exclusive=True)
    async def _ask_price(self, request: R) -> None:
        try:
            price = await self._price_of(request)
        except EngineError as error:
            self._price = str(error)
        else:
            self._price = price_in_words(price) or "its price is known once the model is open"
        if self._request() == request:
            self._say(request)
