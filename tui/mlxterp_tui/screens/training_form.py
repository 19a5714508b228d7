"""The form that begins a training."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mlxterp_engine.experiments import Price
from mlxterp_tui.draft import Draft, Sheet
from mlxterp_tui.panes.training import draft as training_draft
from mlxterp_tui.panes.training.draft import FIELDS, Training
from mlxterp_tui.panes.training.text import of_the_paper
from mlxterp_tui.screens.request_form import RequestForm


class TrainingSheet(Sheet[Training]):
    """setting: model, device, dtype and BOS."""

    fields = FIELDS

    def __init__(self, setting: Mapping[str, Any]) -> None:
        self.title = f"train a lens of {setting['model']}"
        self._setting = setting

    def is_asked(self, draft: Draft, name: str) -> bool:
        return training_draft.is_asked(draft, name)

    def placeholder(self, draft: Draft, name: str) -> str:
        return training_draft.placeholder(draft, name, self._setting)

    def request_of(self, draft: Draft) -> Training:
        return training_draft.request_of(draft, self._setting)

    def in_words(self, request: Training) -> str:
        return budget(request)


class TrainingForm(RequestForm[Training]):
    """Ends with a request, or None. draft: what stood there last; `keep` is told each change."""

    def __init__(
        self,
        draft: Draft,
        setting: Mapping[str, Any],
        price_of: Callable[[Training], Awaitable[Price | None]],
        keep: Callable[[Draft], None],
    ) -> None:
        super().__init__(TrainingSheet(setting), draft, price_of, keep)


def budget(request: Training) -> str:
    """How much is read, beside what the paper read."""
    return f"reads at most {of_the_paper(request.steps * request.tokens_per_step)} 65.5 million"
