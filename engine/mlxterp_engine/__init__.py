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
    from mlxterp_engine.experiments import (
        ActivationPatching,
        Attention,
        AttributionPatching,
        CausalTracing,
        Generate,
        LogitLens,
        Patchscope,
        PathPatching,
        Substitutes,
        Trace,
        TrainRidgeLens,
        TrainTunedLens,
        TunedLens,
    )
    from mlxterp_engine.interpretable import InterpretableModel
    from mlxterp_engine.running import Run, run
    from mlxterp_engine.techniques.head_scores import head_scores, repeated_random_tokens
    from mlxterp_engine.tracing import interventions
    from mlxterp_engine.tracing.generation import Sampling
    from mlxterp_engine.tracing.pattern_scores import (
        duplicate_token_score,
        first_token_score,
        induction_score,
        previous_token_score,
    )
    from mlxterp_engine.tracing.trace import attention_patterns

__version__ = "0.1.0"

_WHERE = {
    "ActivationPatching": "mlxterp_engine.experiments",
    "Attention": "mlxterp_engine.experiments",
    "AttributionPatching": "mlxterp_engine.experiments",
    "CausalTracing": "mlxterp_engine.experiments",
    "Generate": "mlxterp_engine.experiments",
    "InterpretableModel": "mlxterp_engine.interpretable",
    "LogitLens": "mlxterp_engine.experiments",
    "Patchscope": "mlxterp_engine.experiments",
    "PathPatching": "mlxterp_engine.experiments",
    "Run": "mlxterp_engine.running",
    "Sampling": "mlxterp_engine.tracing.generation",
    "Substitutes": "mlxterp_engine.experiments",
    "Trace": "mlxterp_engine.experiments",
    "TrainRidgeLens": "mlxterp_engine.experiments",
    "TrainTunedLens": "mlxterp_engine.experiments",
    "TunedLens": "mlxterp_engine.experiments",
    "attention_patterns": "mlxterp_engine.tracing.trace",
    "duplicate_token_score": "mlxterp_engine.tracing.pattern_scores",
    "first_token_score": "mlxterp_engine.tracing.pattern_scores",
    "head_scores": "mlxterp_engine.techniques.head_scores",
    "induction_score": "mlxterp_engine.tracing.pattern_scores",
    "interventions": "mlxterp_engine.tracing",
    "previous_token_score": "mlxterp_engine.tracing.pattern_scores",
    "repeated_random_tokens": "mlxterp_engine.techniques.head_scores",
    "run": "mlxterp_engine.running",
}

__all__ = [
    "ActivationPatching",
    "Attention",
    "AttributionPatching",
    "CausalTracing",
    "Generate",
    "InterpretableModel",
    "LogitLens",
    "Patchscope",
    "PathPatching",
    "Run",
    "Sampling",
    "Substitutes",
    "Trace",
    "TrainRidgeLens",
    "TrainTunedLens",
    "TunedLens",
    "attention_patterns",
    "duplicate_token_score",
    "first_token_score",
    "head_scores",
    "induction_score",
    "interventions",
    "previous_token_score",
    "repeated_random_tokens",
    "run",
]


def __getattr__(name: str) -> Any:
    """Public names are imported when first used, so that a screen can import this cheaply."""
    if name not in _WHERE:
        raise AttributeError(f"module 'mlxterp_engine' has no attribute {name!r}")
    if name == "interventions":
        return import_module("mlxterp_engine.tracing.interventions")
    return getattr(import_module(_WHERE[name]), name)
