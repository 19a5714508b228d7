"""Other words for a part of a prompt, to choose from: how a corrupt prompt is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

from mlxterp_engine.experiments import EngineError, Result
from mlxterp_tui.panes.patch.offers import Offer, offers_of, rows_of
from mlxterp_tui.token_text import quoted
from mlxterp_tui.widgets.ranked_list import RankedList

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static


class SubstitutePicker(ModalScreen[str | None]):
    """Ends with the prompt that was chosen, or None.

    words: what is replaced; tokens: how many it is. ask: brings what the engine offers.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,b", "leave", "Leave")]
    DEFAULT_CSS = """
    SubstitutePicker { align: center middle; background: $background 60%; }
    #substitutes { width: 72; max-width: 94%; height: auto; max-height: 90%;
                   border: round $primary; background: $surface; padding: 0 1; }
    #substitutes RankedList { background: $surface; max-height: 20; }
    #substitutes-said { color: $foreground-muted; margin: 0 0 1 0; }
    #substitutes-said.-fault { color: $text-error; }
    """

    def __init__(self, words: str, tokens: int, ask: Callable[[], Awaitable[Result]]) -> None:
        super().__init__()
        self._words, self._tokens, self._ask = words, tokens, ask
        self.offers: list[Offer] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="substitutes") as box:
            box.border_title = f"in place of {quoted(self._words)}"
            box.border_subtitle = "enter takes it · esc leaves"
            yield Static(id="substitutes-said")
            yield RankedList()

    def on_mount(self) -> None:
        many = "1 token" if self._tokens == 1 else f"{self._tokens} tokens"
        self._say(f"The engine looks for words of {many} …")
        self._bring()

    @work(group="substitutes", exclusive=True)
    async def _bring(self) -> None:
        try:
            result = await self._ask()
        except EngineError as error:
            self._say(str(error), fault=True)
            return
        self.offers = offers_of(result)
        self.query_one(RankedList).set_rows(rows_of(self.offers))
        self.query_one(RankedList).focus()
        self._say(_in_words(self.offers, self._tokens), fault=not self.offers)

    def _say(self, words: str, fault: bool = False) -> None:
        said = self.query_one("#substitutes-said", Static)
        said.set_class(fault, "-fault")
        said.update(Content(words))

    @on(RankedList.RowChosen)
    def _chosen(self, event: RankedList.RowChosen) -> None:
        event.stop()
        self.dismiss(self.offers[event.cursor].prompt)

    def action_leave(self) -> None:
        self.dismiss(None)


def _in_words(offers: list[Offer], tokens: int) -> str:
    if not offers:
        return "Nothing of equally many tokens was found; mark other words, or type the prompt."
    many = "one token" if tokens == 1 else f"{tokens} tokens"
    return (
        f"All are {many}, put in place and read by the model's tokenizer. The number: how likely "
        "the model finds them here. The bar: with the next words too, which become likelier by "
        "so many nats."
    )
