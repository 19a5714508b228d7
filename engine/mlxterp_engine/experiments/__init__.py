"""What can be asked and what comes back. No mlx, no numpy: both halves import this."""

from mlxterp_engine.experiments.activation_patching import ActivationPatching
from mlxterp_engine.experiments.array import Array
from mlxterp_engine.experiments.attention import Attention, Layers
from mlxterp_engine.experiments.attribution_patching import AttributionPatching
from mlxterp_engine.experiments.causal_tracing import CausalTracing
from mlxterp_engine.experiments.errors import BadInput, EngineError, RunCancelled, RunFailed
from mlxterp_engine.experiments.generate import Generate, GeneratedToken
from mlxterp_engine.experiments.logit_lens import LogitLens, LogitLensRow
from mlxterp_engine.experiments.patching import PatchCells, PatchEnds
from mlxterp_engine.experiments.patchscope import Patchscope
from mlxterp_engine.experiments.path_patching import PathPatching
from mlxterp_engine.experiments.registry import (
    EXPERIMENTS,
    AnyPart,
    AnyRequest,
    parameters_of,
    request_from,
)
from mlxterp_engine.experiments.request import DEFAULT_MODEL, Request
from mlxterp_engine.experiments.result import (
    Contract,
    Meta,
    ModelCard,
    Price,
    Result,
    Started,
    Step,
)
from mlxterp_engine.experiments.substitutes import Substitutes
from mlxterp_engine.experiments.trace import Trace
from mlxterp_engine.experiments.train_lens import LensEvaluation, LensStep
from mlxterp_engine.experiments.train_ridge_lens import TrainRidgeLens
from mlxterp_engine.experiments.train_tuned_lens import TrainTunedLens
from mlxterp_engine.experiments.tuned_lens import TunedLens

__all__ = [
    "DEFAULT_MODEL",
    "EXPERIMENTS",
    "ActivationPatching",
    "AnyPart",
    "AnyRequest",
    "Array",
    "Attention",
    "AttributionPatching",
    "BadInput",
    "CausalTracing",
    "Contract",
    "EngineError",
    "Generate",
    "GeneratedToken",
    "Layers",
    "LensEvaluation",
    "LensStep",
    "LogitLens",
    "LogitLensRow",
    "Meta",
    "ModelCard",
    "PatchCells",
    "PatchEnds",
    "Patchscope",
    "PathPatching",
    "Price",
    "Request",
    "Result",
    "RunCancelled",
    "RunFailed",
    "Started",
    "Step",
    "Substitutes",
    "Trace",
    "TrainRidgeLens",
    "TrainTunedLens",
    "TunedLens",
    "parameters_of",
    "request_from",
]
