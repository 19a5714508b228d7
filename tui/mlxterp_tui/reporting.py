"""Errors of a command become a notice; caught here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from mlxterp_engine.experiments import EngineError


def tells_errors(action: Callable[..., Any]) -> Callable[..., Any]:
    """For an `action_…` method: an EngineError is reported by the app, which goes on."""

    @wraps(action)
    def told(self: Any, *arguments: Any) -> Any:
        try:
            return action(self, *arguments)
        except EngineError as error:
            self.app.report(error)
            return None

    return told
