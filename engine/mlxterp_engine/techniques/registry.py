"""Which module computes which request. A new technique is one line here."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Protocol

from mlxterp_engine.experiments import (
    ActivationPatching,
    AnyPart,
    Attention,
    AttributionPatching,
    CausalTracing,
    Generate,
    LogitLens,
    Patchscope,
    PathPatching,
    Price,
    Request,
    Step,
    Substitutes,
    Trace,
    TrainRidgeLens,
    TrainTunedLens,
    TunedLens,
)
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.runlog.unfinished import Unfinished
from mlxterp_engine.techniques import (
    activation_patching,
    attention,
    attribution_patching,
    causal_tracing,
    generate,
    logit_lens,
    patchscope,
    path_patching,
    substitutes,
    trace,
    train_ridge_lens,
    train_tuned_lens,
    tuned_lens,
)
from mlxterp_engine.techniques.findings import Findings, Prompts


class Technique(Protocol):
    """A module that computes one experiment."""

    def check(self, model: InterpretableModel, request: Any) -> None:
        """BadInput for what this model can't do, before anything is said to have begun."""
        ...

    def price(self, model: InterpretableModel, request: Any, prompts: Prompts) -> Price: ...

    def run(
        self, model: InterpretableModel, request: Any, prompts: Prompts
    ) -> Generator[AnyPart | Step, None, Findings]: ...


TECHNIQUES: dict[type[Request], Technique] = {
    LogitLens: logit_lens,
    TunedLens: tuned_lens,
    TrainTunedLens: train_tuned_lens,
    TrainRidgeLens: train_ridge_lens,
    Patchscope: patchscope,
    Trace: trace,
    Attention: attention,
    Generate: generate,
    ActivationPatching: activation_patching,
    AttributionPatching: attribution_patching,
    CausalTracing: causal_tracing,
    PathPatching: path_patching,
    Substitutes: substitutes,
}


Resumed = Callable[
    [InterpretableModel, Any, Prompts, Unfinished], Generator[AnyPart | Step, None, Findings]
]

RESUMABLE: dict[type[Request], Resumed] = {
    ActivationPatching: activation_patching.go_on,
    CausalTracing: causal_tracing.go_on,
}
"""Those whose stopped runs are gone on with: `run`, given also what they had by then."""
