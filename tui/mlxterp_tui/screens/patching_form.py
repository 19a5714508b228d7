"""The form with everything that a patching method can be asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mlxterp_engine.experiments import Price
from mlxterp_tui.draft import Draft
from mlxterp_tui.panes.patch.draft import PatchingSheet, draft_of
from mlxterp_tui.panes.patch.question import PatchQuestion
from mlxterp_tui.screens.request_form import RequestForm
from mlxterp_tui.setting import Setting


class PatchingForm(RequestForm[PatchQuestion]):
    """Ends with a question, or None. typed: what was typed on top of `question` and left."""

    def __init__(
        self,
        question: PatchQuestion,
        setting: Setting,
        price_of: Callable[[PatchQuestion], Awaitable[Price | None]],
        keep: Callable[[Draft], None],
        typed: Draft | None = None,
    ) -> None:
        draft = {**draft_of(question), **(typed or {})}
        super().__init__(PatchingSheet(question, setting), draft, price_of, keep)
