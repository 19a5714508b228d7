"""The lens on screen: the keys that ask something else of the model, or look at another run."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from mlxterp_engine.experiments import BadInput
from mlxterp_tui.keymap import bindings
from mlxterp_tui.panes.lens import view as lens_view
from mlxterp_tui.panes.lens.beside import Kind, Look
from mlxterp_tui.panes.lens.edits import (
    NO_EDITS,
    Edit,
    ablation,
    ablations_at,
    edits_text,
    intervention,
    steering,
)
from mlxterp_tui.panes.lens.patch import patch_at
from mlxterp_tui.panes.lens.question import LensQuestion
from mlxterp_tui.panes.lens.runs import LensRuns
from mlxterp_tui.panes.lens.words import HELP
from mlxterp_tui.reporting import tells_errors
from mlxterp_tui.screens.reader import Reader

from textual.binding import BindingType

LOGIT = "logit"  # how the logit lens is called on the `:` line


class LensPane(LensRuns, can_focus=True):
    """A question that is refused leaves the run on screen, and what it asked, as they were."""

    HELP_TITLE = "logit lens"
    writes = (".tsv",)
    HELP = HELP
    also_at = ("lens-view",)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("lens")]

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
        if self.beside.look.of and self.beside.looked_at(self.run) is None:
            self.post_message(self.BesideWanted())

    def _look_at(self, kind: Kind, difference: bool) -> None:
        """At once where both fit side by side; else d does it."""
        if self.body.room_for_two:
            self._lay_beside(self.beside.looking(Look(kind, difference)))
