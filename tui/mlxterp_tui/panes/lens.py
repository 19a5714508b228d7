"""The lens on screen: what is asked of the model, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from mlxterp_engine.experiments import (
    AnyRequest,
    BadInput,
    Contract,
    LogitLens,
    LogitLensRow,
    ModelCard,
    Result,
)
from mlxterp_tui.amounts import seconds
from mlxterp_tui.keymap import Where, bindings
from mlxterp_tui.panes import lens_memory, lens_text, lens_view
from mlxterp_tui.panes.lens_answer import LensAnswer
from mlxterp_tui.panes.lens_beside import Kind, LensBeside, Look
from mlxterp_tui.panes.lens_body import LensBody
from mlxterp_tui.panes.lens_edits import (
    NO_EDITS,
    Edit,
    ablation,
    ablations_at,
    edits_of,
    edits_text,
    intervention,
    steering,
)
from mlxterp_tui.panes.lens_kept import KeptLenses
from mlxterp_tui.panes.lens_memory import LensMemory
from mlxterp_tui.panes.lens_patch import patch_at
from mlxterp_tui.panes.lens_question import LensQuestion, question_of
from mlxterp_tui.panes.lens_run import LensRun
from mlxterp_tui.panes.lens_view import LensView
from mlxterp_tui.panes.lens_words import EMPTY, HELP
from mlxterp_tui.panes.pane import Answer, Ended, Pane
from mlxterp_tui.reporting import tells_errors
from mlxterp_tui.screens.reader import Reader
from mlxterp_tui.session import Progress
from mlxterp_tui.setting import Setting
from mlxterp_tui.widgets.cell_grid import CellGrid
from mlxterp_tui.widgets.legend import Legend

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.dom import DOMNode
from textual.widget import Widget
from textual.widgets import Static

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp
    from mlxterp_tui.logbook import Stored

LOGIT = "logit"  # how the logit lens is called on the `:` line
PATIENCE = 0.3  # seconds for which a run may come in whole, before the one on screen gives way


class LensPane(Pane, can_focus=True):
    """The run that comes in takes the place of the one on screen when it is whole, or slow."""

    HELP_TITLE = "logit lens"
    writes = (".tsv",)
    HELP = HELP
    also_at = ("lens-view",)
    live = takes_second = True
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("lens")]
    DEFAULT_CSS = """
    LensPane { layout: vertical; height: 1fr; }
    #lens-empty { width: 1fr; padding: 1 3; color: $text-muted; }
    LensPane.-filled #lens-empty { display: none; }
    LensPane.-filled LensBody { display: block; }
    """

    app: MlxterpApp

    def __init__(self) -> None:
        super().__init__(id="lens")
        self.body = LensBody()
        self.question = LensQuestion()
        self.beside = LensBeside()
        self.kept_lenses = KeptLenses(lambda: self.app.session.card)
        self._heading = Legend(id="lens-legend")
        self._next = LensRun()
        self._begun = 0.0
        self._memory = LensMemory()
        self._recalling = False

    def compose(self) -> ComposeResult:
        yield Static(EMPTY, id="lens-empty")

    async def prepare(self) -> None:
        if self.body.is_attached:
            return
        await self.mount(self.body)
        if self.has_focus:
            self.focus_contents()

    @property
    def run(self) -> LensRun:
        """What is on screen."""
        return self.body.run

    @property
    def view(self) -> LensView:
        return self.body.view

    @property
    def grid(self) -> CellGrid:
        return self.body.grids.one

    @property
    def heading(self) -> Widget:
        return self._heading

    @on(LensBody.Scaled)
    def _scaled(self, event: LensBody.Scaled) -> None:
        scale = event.scale
        self._heading.set_scale(scale.title, scale.low, scale.high, log=scale.log, ramp=event.ramp)

    def node_at(self, where: Where) -> DOMNode:
        return self.body if where == "lens-view" else self

    def focus_contents(self) -> None:
        if self.body.is_attached:
            self.body.grids.focus_first()
        else:
            self.screen.set_focus(self)

    def recolour(self) -> None:
        self.body.paint()

    # The run.

    def request(self, prompt: str, setting: Setting) -> LogitLens:
        return self._question_for(setting).request(prompt, setting)

    def _question_for(self, setting: Setting) -> LensQuestion:
        """A token of the last session is asked of that session's model alone."""
        if self._recalling and self._memory.model != setting.model:
            return self.question.following(None)
        return self.question

    def begin(self, request: AnyRequest, card: ModelCard | None) -> None:
        """What was on screen stays there until the new run has something to show."""
        assert isinstance(request, LogitLens)
        self._next = LensRun(request=request, state="waiting")
        self._begun = monotonic()
        self.beside = self.beside.retrying().asking(self.second_prompt)

    def answers(self, request: AnyRequest) -> bool:
        return self.run.state == "done" and self.run.request == request

    def beside_wanted(self) -> tuple[AnyRequest, Answer] | None:
        self.beside = self.beside.asking(self.second_prompt)
        wanted = self.beside.wanted(self.run) if self.run.state == "done" else None
        if wanted is None:
            return None
        kind, request = wanted
        return request, LensAnswer(partial(self._came_beside, kind))

    def _came_beside(self, kind: Kind, run: LensRun) -> None:
        self._lay_beside(self.beside.keeping(kind, run))

    def _lay_beside(self, beside: LensBeside) -> None:
        """Look at other runs, or otherwise at them."""
        self.beside = beside
        self.body.show(self.run, beside, self.view)

    def second_changed(self) -> None:
        self._lay_beside(self.beside.asking(self.second_prompt))

    def show(self, parts: Sequence[Progress], card: ModelCard | None) -> None:
        self._next = self._next.with_parts(parts, card)
        if self.run.request is self._next.request:
            self.body.add(self._next, [part for part in parts if isinstance(part, LogitLensRow)])
            self._changed()
        elif self._next.tokens and self._gives_way:
            self._take(self._next)

    @property
    def _gives_way(self) -> bool:
        return self.run.state == "empty" or monotonic() - self._begun > PATIENCE

    def finish(self, result: Result) -> None:
        self._take(self._next.finished(result))

    def end(self, state: Ended, reason: str) -> None:
        """What is on screen is what is asked from now on, where the new run came to nothing."""
        if self._next.rows:
            self._take(self._next.ended(state, reason))
        elif self.run.running:
            self._take(self.run.ended(state, reason))
        elif self.run.request is not None:
            self.question = question_of(self.run.request)

    def _take(self, run: LensRun) -> None:
        """Look at another run, or at more of it: at the same place if it asks the same."""
        assert run.request is not None
        before = self.run
        self._next = run
        self.question = question_of(run.request)
        view = self.view if before.request is run.request else self._view_for(run, before)
        self.beside = self.beside.settled(run)
        self.body.lens_in_words = self.kept_lenses.in_words(run.request)
        self.add_class("-filled")
        self.body.show(run, self.beside, view)
        self._changed()

    def _view_for(self, run: LensRun, before: LensRun) -> LensView:
        new_target = run.target not in (None, before.target)
        recalling, self._recalling = self._recalling, False
        kept = before.asks_the_same(run.request)
        view = self.view.for_run(run, kept, new_target and not recalling)
        return lens_memory.same_place(self._memory, run, view) if recalling else view

    def take_stored(self, stored: Stored) -> None:
        from mlxterp_tui.panes.lens_stored import stored_run

        self._take(stored_run(stored))

    def remembered(self) -> dict[str, Any]:
        if self._recalling:
            return msgspec.to_builtins(self._memory)
        return lens_memory.remembered(
            self.run, self.view, self.question.target, self.body.grids.cell_width
        )

    def recall(self, remembered: Mapping[str, Any]) -> None:
        memory = self._memory = lens_memory.recalled(remembered)
        self.question = self.question.following(memory.target)
        self._recalling = memory.cursor is not None
        self.body.look_as(lens_memory.view_of(memory), memory.width)

    def _changed(self) -> None:
        self.post_message(self.Changed())

    @property
    def contracts(self) -> Mapping[str, Contract]:
        return self.run.contracts

    @property
    def cost(self) -> str:
        run = self.run
        size = f"{run.layers + 1} × {run.positions}"
        if run.result is not None:
            return f"{size} · {seconds(run.result.meta.elapsed_s)}"
        known = f"{len(run.rows)} of {run.layers + 1} rows"
        return f"{run.state}: {known}" if run.state in ("cancelled", "failed") else ""

    # What is asked.

    @tells_errors
    def action_take_target(self) -> None:
        token = lens_view.token_at(self.body.front, self.view.cursor)
        if token is None:
            raise BadInput("no token is under the cursor yet; run a prompt, then t on a cell")
        self._ask(self.question.following(None if token == self.run.target else token))

    def action_target(self, token: str) -> None:
        self._ask(self.question.following(None if token == "off" else token))

    @tells_errors
    def action_cycle_lens(self) -> None:
        self._ask(self.question.through(self.kept_lenses.after(self.question.lens)))

    def action_lens(self, name: str) -> None:
        self._ask(self.question.through("" if name == LOGIT else name))

    @tells_errors
    def action_cycle_state(self) -> None:
        self._ask(self.question.reading_next())

    @tells_errors
    def action_state(self, state: str) -> None:
        self._ask(self.question.reading(state))  # type: ignore[arg-type]

    def _ask(self, question: LensQuestion) -> None:
        """The same prompt, and another question about it."""
        self.question = question
        self.post_message(self.Wanted())

    # The edits.

    @property
    def alert(self) -> str:
        """Of the run that is shown."""
        return edits_of(self.run.request).count_in_words if self.run.request else ""

    @tells_errors
    def action_edit(self, words: str) -> None:
        self._edit(intervention(words))

    @tells_errors
    def action_ablate(self, words: str) -> None:
        self._edit(ablation(words))

    @tells_errors
    def action_steer(self, words: str) -> None:
        self._edit(steering(words, self._cell_site))

    @tells_errors
    def action_patch(self) -> None:
        """Write the state that the other prompt has at the cursor's place into this run."""
        self._edit(patch_at(self.run, self.view.cursor, self.beside.source))

    @tells_errors
    def action_undo_edit(self) -> None:
        self._ask(self.question.edited(self.question.edits.without_last()))

    @tells_errors
    def action_edits(self, what: str) -> None:
        if what == "off":
            self.question.edits.without_last()  # says so where there is none
            self._ask(self.question.edited(NO_EDITS))
        else:
            self.app.push_screen(Reader("edits", edits_text(self.question.edits)))

    def _edit(self, edit: Edit) -> None:
        first = not self.question.edits
        self._ask(self.question.edited(self.question.edits.adding(edit)))
        if first:
            self._look_at("clean", difference=True)

    @property
    def _cell_site(self) -> str:
        if self.run.state == "empty":
            raise BadInput("no cell is under the cursor yet; run a prompt first")
        return self.run.site(self.view.cursor.layer)

    @property
    def lenses(self) -> list[str]:
        return [LOGIT, *self.kept_lenses.names()]

    @property
    def ablations(self) -> list[str]:
        """What can be zeroed at the cursor, for the `:` line."""
        cell = self.view.cursor
        return ablations_at(self.run.site(cell.layer), cell.layer, cell.pos)

    # What stands beside it.

    def action_pin_run(self) -> None:
        """Keep this run to compare with; the pinned one itself is let go."""
        pinned = self.beside.run_of("pinned")
        if pinned is not None and pinned.request is self.run.request:
            self._lay_beside(self.beside.keeping("pinned", None))
        else:
            kept = replace(self.run, recorded_as=self.recorded_as)
            self._lay_beside(self.beside.keeping("pinned", kept))
            self._look_at("pinned", difference=True)

    @tells_errors
    def action_cycle_look(self) -> None:
        if len(self.beside.looks(self.run)) == 1:
            raise BadInput(
                "there is nothing to compare with: P pins this run, o opens a second prompt, "
                "a ablates at the cursor"
            )
        self._lay_beside(self.beside.cycled(self.run))

    def _look_at(self, kind: Kind, difference: bool) -> None:
        """At once where both fit side by side; else d does it."""
        if self.body.room_for_two:
            self._lay_beside(self.beside.looking(Look(kind, difference)))

    # What is taken away.

    @property
    def result(self) -> Result | None:
        return self.run.result

    def exported(self, suffix: str) -> str:
        """As far as it is known: the table of a cancelled run holds the rows that came."""
        if self.run.state == "empty":
            raise BadInput("there is no lens to write yet; run a prompt first")
        return lens_text.table_tsv(self.run)

    def suggested_name(self) -> str:
        prompt = self.run.request.prompt if self.run.request else ""
        words = "".join(letter if letter.isalnum() else "-" for letter in prompt.lower())
        return f"lens-{words[:40].strip('-')}"
