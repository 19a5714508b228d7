"""mlxterp_engine: open up language models with MLX. Imports no screen, and MLX only on use.

>>> from mlxterp_engine import InterpretableModel, LogitLens, interventions as iv, run
>>> model = InterpretableModel("smollm2-135m")
>>> with model.trace("The capital of France is",
...                  {"blocks.5.mlp_out": iv.zero_out}) as trace:
...     trace.activations["blocks.20.resid_post"]
>>> result = run(LogitLens(prompt="The capital of France is"), model)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlxterp_engine.experiments import LogitLens, Trace
    from mlxterp_engine.interpretable import InterpretableModel
    from mlxterp_engine.running import Run, run
    from mlxterp_engine.tracing import interventions

__version__ = "0.1.0"

_WHERE = {
    "InterpretableModel": "mlxterp_engine.interpretable",
    "LogitLens": "mlxterp_engine.experiments",
    "Run": "mlxterp_engine.running",
    "Trace": "mlxterp_engine.experiments",
    "interventions": "mlxterp_engine.tracing",
    "run": "mlxterp_engine.running",
}

__all__ = ["InterpretableModel", "LogitLens", "Run", "Trace", "interventions", "run"]


def __getattr__(name: str) -> Any:
    """Public names are imported when first used, so that a screen can import this cheaply."""
    if name not in _WHERE:
        raise AttributeError(f"module 'mlxterp_engine' has no attribute {name!r}")
    if name == "interventions":
        return import_module("mlxterp_engine.tracing.interventions")
    return getattr(import_module(_WHERE[name]), name)
