"""The runs of a lens on screen: what comes in takes its place, others are laid beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

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
from mlxterp_tui.keymap import Where
from mlxterp_tui.panes.lens import memory as lens_memory
from mlxterp_tui.panes.lens import text
from mlxterp_tui.panes.lens.answer import LensAnswer
from mlxterp_tui.panes.lens.beside import Kind, LensBeside, Look
from mlxterp_tui.panes.lens.body import LensBody
from mlxterp_tui.panes.lens.edits import edits_of
from mlxterp_tui.panes.lens.kept import KeptLenses
from mlxterp_tui.panes.lens.memory import LensMemory
from mlxterp_tui.panes.lens.question import LensQuestion, question_of
from mlxterp_tui.panes.lens.run import LensRun
from mlxterp_tui.panes.lens.view import LensView
from mlxterp_tui.panes.lens.words import EMPTY
from mlxterp_tui.panes.pane import Answer, Ended, Pane
from mlxterp_tui.session import Progress
from mlxterp_tui.setting import Setting
from mlxterp_tui.widgets.cell_grid import CellGrid
from mlxterp_tui.widgets.legend import Legend

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.dom import DOMNode
from textual.widget import Widget
from textual.widgets import Static

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp
    from mlxterp_tui.logbook import Stored

PATIENCE = 0.3  # seconds for which a run may come in whole, before the one on screen gives way


class LensRuns(Pane):
    """The run that comes in takes the place of the one on screen when it is whole, or slow."""

    live = takes_second = True
    DEFAULT_CSS = """
    LensRuns { layout: vertical; height: 1fr; }
    #lens-empty { width: 1fr; padding: 1 3; color: $text-muted; }
    LensRuns.-filled #lens-empty { display: none; }
    LensRuns.-filled LensBody { display: block; }
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
        if self._memory.pinned_run is not None:
            self.post_message(self.StoredWanted(self._memory.pinned_run))
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
        if self.body.grids.one.is_attached:
            self.body.grids.focus_first()
        else:
            self.screen.set_focus(self)

    def recolour(self) -> None:
        self.body.paint()

    # The run.

    def request(self, prompt: str, setting: Setting) -> LogitLens:
        if self._recalling:
            self.question = lens_memory.question_of(self._memory, setting.model)
        return self.question.request(prompt, setting)

    def begin(self, request: AnyRequest, card: ModelCard | None) -> None:
        """What was on screen stays there until the new run has something to show."""
        assert isinstance(request, LogitLens)
        self._next = LensRun(request=request, state="waiting")
        self._begun = monotonic()
        self.beside = self.beside.retrying()
        self._ask_second()

    def _ask_second(self) -> None:
        opened = bool(self.second_prompt) and not self.beside.second_prompt
        self.beside = self.beside.asking(self.second_prompt)
        if opened and self.body.room_for_two:
            self.beside = self.beside.looking(Look("second", False))

    def answers(self, request: AnyRequest) -> bool:
        return self.run.state == "done" and self.run.request == request

    def beside_wanted(self) -> tuple[AnyRequest, Answer] | None:
        self._ask_second()
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
        if self.previewed and before.request is not None:
            return self.view.for_typed(run, before)
        kept = before.reads_the_same(run.request)
        view = self.view.for_run(run, kept, new_target and not recalling)
        return lens_memory.same_place(self._memory, run, view) if recalling else view

    def take_beside(self, stored: Stored) -> None:
        from mlxterp_tui.panes.lens.stored import stored_run

        pinned = replace(stored_run(stored), recorded_as=stored.record.id)
        self._lay_beside(self.beside.keeping("pinned", pinned))

    def take_stored(self, stored: Stored) -> None:
        from mlxterp_tui.panes.lens.stored import stored_run

        self._take(stored_run(stored))

    def remembered(self) -> dict[str, Any]:
        if self._recalling:
            return msgspec.to_builtins(self._memory)
        width = self.body.grids.cell_width
        return lens_memory.remembered(self.run, self.question, self.view, self.beside, width)

    def recall(self, remembered: Mapping[str, Any]) -> None:
        memory = self._memory = lens_memory.recalled(remembered)
        self.question = lens_memory.question_of(memory, memory.model)
        self.second_prompt = memory.second
        self.beside = LensBeside(memory.second, look=Look(*memory.look))
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

    @property
    def alert(self) -> str:
        """Of the run that is shown."""
        return edits_of(self.run.request).count_in_words if self.run.request else ""

    @property
    def result(self) -> Result | None:
        return self.run.result

    def exported(self, suffix: str) -> str:
        """As far as it is known: the table of a cancelled run holds the rows that came."""
        if self.run.state == "empty":
            raise BadInput("there is no lens to write yet; run a prompt first")
        return text.table_tsv(self.run)

    def suggested_name(self) -> str:
        prompt = self.run.request.prompt if self.run.request else ""
        words = "".join(letter if letter.isalnum() else "-" for letter in prompt.lower())
        return f"lens-{words[:40].strip('-')}"
