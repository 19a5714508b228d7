"""What is asked of two prompts and how it is looked at, kept from one session to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mlxterp_engine.experiments.patching import Metric
from mlxterp_tui.panes.patch.question import DIRECTIONS, PatchQuestion, methods
from mlxterp_tui.panes.patch.view import PatchView

import msgspec


class PatchMemory(msgspec.Struct, frozen=True, kw_only=True):
    """second: the corrupt prompt. map, row, columns: see `PatchView`; the others: the question."""

    second: str | None = None
    method: str = "activation"
    answer: str | None = None
    wrong: str | None = None
    metric: Metric = "logit-diff"
    direction: str = DIRECTIONS[0]
    subject: str | None = None
    options: dict[str, dict[str, Any]] = {}
    map: str = ""
    row: int = PatchView().row
    columns: dict[str, int] = {}
    width: int = 0

    @property
    def question(self) -> PatchQuestion:
        return PatchQuestion(
            self.method, self.answer, self.wrong, self.metric, self.direction, self.subject,
            self.options,
        )  # fmt: skip

    @property
    def view(self) -> PatchView:
        return PatchView(self.map, row=self.row, columns=self.columns)


def remembered(
    second: str | None, question: PatchQuestion, view: PatchView, width: int
) -> dict[str, Any]:
    """What JSON holds of it."""
    return {
        "second": second, **asdict(question), "map": view.name, "row": view.row,
        "columns": dict(view.columns), "width": width,
    }  # fmt: skip


def recalled(found: Mapping[str, Any]) -> PatchMemory:
    """The defaults where it is not what was written, or names what is no more."""
    try:
        memory = msgspec.convert(dict(found), PatchMemory)
    except msgspec.ValidationError:
        return PatchMemory()
    known = memory.method in methods() and memory.direction in DIRECTIONS and memory.width >= 0
    return memory if known else PatchMemory()
