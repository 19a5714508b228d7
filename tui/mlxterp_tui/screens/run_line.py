"""The row under the pane: a running job, else the checks and the cost of what is on screen."""

from __future__ import annotations

from collections.abc import Mapping

from mlxterp_engine.experiments import Contract, Price, Step
from mlxterp_tui.amounts import price_in_words
from mlxterp_tui.contract_words import checks, fitting
from mlxterp_tui.widgets.contract_strip import ContractStrip
from mlxterp_tui.widgets.progress_line import ProgressLine

from textual.app import ComposeResult
from textual.containers import Container


class RunLine(Container):
    """Either of the two; nothing moves here by itself."""

    DEFAULT_CSS = """
    RunLine { height: 1; padding: 0 1; }
    RunLine ProgressLine { display: none; }
    RunLine.-busy ProgressLine { display: block; }
    RunLine.-busy ContractStrip { display: none; }
    """

    def __init__(self) -> None:
        super().__init__(id="run-line")
        self._checks = ContractStrip()
        self._job = ProgressLine()

    def compose(self) -> ComposeResult:
        yield self._checks
        yield self._job

    def show_job(self, name: str, step: Step | None, price: Price | None) -> None:
        """A job on its way: what it is, how far, and what it costs."""
        done = step.done / step.total if step is not None and step.total > 0 else None
        note = step.what if step is not None else "waiting for the engine"
        self._job.set_job(name, done=done, price=price_in_words(price), note=f"{note} · x stops it")
        self.add_class("-busy")

    def show_checks(self, contracts: Mapping[str, Contract], cost: str) -> None:
        """No job: what the run on screen measured."""
        room = self.size.width - len(cost) - 4
        self._checks.set_checks(fitting(checks(contracts), room), cost)
        self.remove_class("-busy")
