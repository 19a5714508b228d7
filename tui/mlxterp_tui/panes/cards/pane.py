"""Paper cards on screen: the reproductions, how each fared, and the last card of each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, cast

from mlxterp_engine.experiments import BadInput, EngineError, RunCancelled
from mlxterp_engine.experiments.card import Card, card_json
from mlxterp_engine.experiments.reproductions import REPRODUCTIONS, TAG
from mlxterp_engine.reproductions import shelf
from mlxterp_engine.reproductions.card_markdown import card_markdown
from mlxterp_engine.worker.protocol import ENDED
from mlxterp_engine.worker.tasks import CardMade, Reproduce
from mlxterp_tui.drawn import Drawn
from mlxterp_tui.keymap import bindings
from mlxterp_tui.panes.cards import text
from mlxterp_tui.panes.pane import Pane
from mlxterp_tui.reporting import tells_errors
from mlxterp_tui.screens.reader import CopyWanted, Reader
from mlxterp_tui.widgets.long_list import LongList

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp

NAMES = list(REPRODUCTIONS)
READER = 84  # columns inside a reader, at most
BESIDE_READER = 8  # its border, padding and scrollbar
BESIDE_GLANCE = 5  # padding and scrollbar

Found = dict[str, Card | BadInput | None]


class CardsPane(Pane):
    """Reads the cards' folder in a thread; the engine makes cards."""

    HELP_TITLE = "cards"
    writes = (".json", ".md")
    HELP = """\
Papers' experiments, repeated on the model that is set above the prompt. A card sets the paper's
figure beside ours, with a bootstrapped interval, controls, and a verdict that follows from a
written rule:

    ✓ same shape       the effect is there, and its figure is near the paper's
    ≈ same direction   the effect is there and goes the paper's way
    ✗ not reproduced   it is not, or goes the other way
    – not comparable   a check failed, or this model can't be judged by it

r makes the marked card in full, f a fast one on fewer texts; x stops it, and its runs stay in
the log. Enter shows all of a card: rules, controls, charts. d and u scroll what stands below the
list; o goes to the runs.
"""
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("cards")]
    DEFAULT_CSS = """
    CardsPane { layout: vertical; height: 1fr; padding: 0 1; }
    #cards-columns { height: 1; color: $text-muted; }
    #cards-list { height: auto; max-height: 8; }
    #cards-glance { height: 1fr; border-top: solid $foreground 30%; padding: 0 1;
                    scrollbar-size-vertical: 1; }
    """

    app: MlxterpApp

    def __init__(self) -> None:
        super().__init__(id="cards")
        self._found: Found = dict.fromkeys(NAMES)
        self._making = ""
        self._ended_before: object = None
        self._heading = Drawn(self._draw_heading, id="cards-header")

    def compose(self) -> ComposeResult:
        yield Static(text.HEADING, id="cards-columns")
        yield LongList(self._draw_line, id="cards-list")
        with VerticalScroll(id="cards-glance", can_focus=False):
            yield Static(id="cards-shown")

    def on_mount(self) -> None:
        self.listed.set_lines(len(NAMES))
        self.listed.styles.height = min(8, len(NAMES))
        self.refill()

    def on_show(self) -> None:
        self.refill()

    def on_resize(self, event: events.Resize) -> None:
        self._show()

    @property
    def heading(self) -> Widget:
        return self._heading

    @property
    def listed(self) -> LongList:
        return self.query_one(LongList)

    def focus_contents(self) -> None:
        self.screen.set_focus(self.listed)

    @property
    def marked(self) -> str:
        """The reproduction under the cursor."""
        return NAMES[self.listed.cursor]

    # What is shown.

    def session_changed(self) -> None:
        """Look again when a card was made, by whomever."""
        jobs = self.app.session.jobs.values()
        ended = [j.id for j in jobs if j.experiment == "reproduce" and j.state in ENDED]
        if ended != self._ended_before and self.query(LongList):
            self._ended_before = ended
            self.refill()

    @work(group="cards", exclusive=True)
    async def refill(self) -> None:
        """Read the last card of each reproduction."""
        self._found = await asyncio.to_thread(_on_the_shelf)
        self.listed.refresh()
        self._heading.redraw()
        self._show()

    def _show(self) -> None:
        if not self.size.width:
            return  # not laid out yet; on_resize comes
        glance = self.query_one("#cards-glance", VerticalScroll)
        width = max(20, self.size.width - BESIDE_GLANCE)
        self.query_one("#cards-shown", Static).update(self._glance(width, glance.size.height))

    def _glance(self, width: int, height: int) -> Content:
        found = self._found[self.marked]
        if found is None:
            return text.no_card(self.marked, REPRODUCTIONS[self.marked])
        if isinstance(found, BadInput):
            return Content.styled(str(found), "$text-error")
        return text.at_a_glance(found, width, height)

    def _draw_line(self, line: int, width: int) -> list[tuple[str, str]]:
        found = self._found[NAMES[line]]
        card = found if isinstance(found, Card) else None
        return text.card_line(NAMES[line], card, width)

    def _draw_heading(self, width: int, height: int) -> Content:
        made = sum(isinstance(found, Card) for found in self._found.values())
        making = f" · making {self._making}" if self._making else ""
        return Content(f"{made} of {len(NAMES)} made{making}")

    @on(LongList.CursorMoved)
    def _cursor_moved(self, event: LongList.CursorMoved) -> None:
        event.stop()
        self._show()

    # Keys.

    @on(LongList.LineChosen)
    def _chosen(self, event: LongList.LineChosen) -> None:
        event.stop()
        self.action_view_card()

    @tells_errors
    def action_view_card(self) -> None:
        """The card with its rules, controls and charts, over everything else."""
        card = self._need_card()
        width = max(30, min(READER, int(0.94 * self.app.size.width) - BESIDE_READER))
        self.app.push_screen(Reader(card.title, text.in_full(card, width)))

    def action_scroll_card(self, pages: float) -> None:
        glance = self.query_one("#cards-glance", VerticalScroll)
        glance.scroll_relative(y=round(pages * glance.size.height), animate=False)

    @tells_errors
    def action_make_card(self, fast: bool) -> None:
        if self._making:
            raise BadInput(f"{self._making} is being made already; x stops it")
        setting = self.app.setting
        self._make(
            Reproduce(
                card=self.marked,
                fast=fast,
                model=setting.model,
                device=setting.device,
                dtype=setting.dtype,
            )
        )

    @work(group="make-card")
    async def _make(self, task: Reproduce) -> None:
        self._making = task.card
        self._heading.redraw()
        try:
            made = await self.app.runs.outcome(task, f"card {task.card}")
            card = cast(CardMade, made).card
            self.app.tell(f"{card.title}: {card.headline}")
        except RunCancelled:
            self.app.tell("stopped; the runs that were done are in the log")
        except EngineError as error:
            self.app.report(error)
        finally:
            self._making = ""
            self.refill()

    @tells_errors
    def action_card_runs(self) -> None:
        """The runs pane, on the runs of cards: the newest card stands first."""
        if self._need_card().run is None:
            raise BadInput("this card's runs are not in the log: it was made without one")
        self.app.main.action_show_pane("runs")
        self.app.main.pane.call_after_refresh(self.app.main.pane.run_action, f"filter('tag:{TAG}')")

    @tells_errors
    def action_copy_card(self) -> None:
        self.post_message(CopyWanted(card_markdown(self._need_card())))

    def _need_card(self) -> Card:
        found = self._found[self.marked]
        if isinstance(found, BadInput):
            raise found
        if found is None:
            raise BadInput(f"there is no card of {self.marked} yet; r makes one, f a fast one")
        return found

    # Files.

    def exported(self, suffix: str) -> str:
        if suffix == ".json":
            return card_json(self._need_card()).decode()
        if suffix == ".md":
            return card_markdown(self._need_card())
        return super().exported(suffix)

    def suggested_name(self) -> str:
        return f"card-{self.marked}"


def _on_the_shelf() -> Found:
    """In a thread: the last card of each reproduction, or why it can't be read."""
    found: Found = {}
    for name in NAMES:
        try:
            shelved = shelf.latest(name)
        except BadInput as error:
            found[name] = error
        else:
            found[name] = shelved.card if shelved else None
    return found
