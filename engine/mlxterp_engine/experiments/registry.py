"""What can be asked. A new experiment is one line here and one file in each room."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mlxterp_engine.experiments.activation_patching import ActivationPatching
from mlxterp_engine.experiments.attention import Attention
from mlxterp_engine.experiments.attribution_patching import AttributionPatching
from mlxterp_engine.experiments.causal_tracing import CausalTracing
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.generate import Generate, GeneratedToken
from mlxterp_engine.experiments.logit_lens import LogitLens, LogitLensRow
from mlxterp_engine.experiments.patching import PatchCells, PatchEnds
from mlxterp_engine.experiments.patchscope import Patchscope
from mlxterp_engine.experiments.path_patching import PathPatching
from mlxterp_engine.experiments.request import Request, check_choice
from mlxterp_engine.experiments.substitutes import Substitutes
from mlxterp_engine.experiments.trace import Trace
from mlxterp_engine.experiments.train_lens import LensEvaluation, LensStep
from mlxterp_engine.experiments.train_ridge_lens import TrainRidgeLens
from mlxterp_engine.experiments.train_tuned_lens import TrainTunedLens
from mlxterp_engine.experiments.tuned_lens import TunedLens

import msgspec

AnyRequest = (
    LogitLens
    | TunedLens
    | TrainTunedLens
    | TrainRidgeLens
    | Patchscope
    | Trace
    | Attention
    | Generate
    | ActivationPatching
    | AttributionPatching
    | CausalTracing
    | PathPatching
    | Substitutes
)
AnyPart = LogitLensRow | GeneratedToken | LensStep | LensEvaluation | PatchEnds | PatchCells

EXPERIMENTS: dict[str, type[Request]] = {
    request.__struct_config__.tag: request  # type: ignore[misc]
    for request in get_args(AnyRequest)
}


CARD = "reproduce"  # how the log names the run over a card's experiments


def request_from(name: str, parameters: dict[str, Any]) -> AnyRequest:
    """A request by its experiment's name. Refuses unknown names and fields in words."""
    if name == CARD:
        raise BadInput(
            f"this run is the card of a paper; mlxterp-tui reproduce {parameters.get('card')} "
            "makes it again, and its children are experiments like any other"
        )
    if name not in EXPERIMENTS:
        raise BadInput(f"there is no experiment {name!r}; there are: {', '.join(EXPERIMENTS)}")
    for field, choices in _choices(EXPERIMENTS[name]).items():
        if field in parameters:
            check_choice(field, parameters[field], choices)
    try:
        return msgspec.convert({"name": name, **parameters}, AnyRequest)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        raise BadInput(str(cause if isinstance(cause, BadInput) else error)) from None


@cache
def _choices(kind: type[Request]) -> dict[str, tuple[str, ...]]:
    """What may stand in each field that names its values: in words that msgspec has not."""
    hints = get_type_hints(kind).items()
    return {name: get_args(hint) for name, hint in hints if get_origin(hint) is Literal}


def parameters_of(request: Request) -> dict[str, Any]:
    """The request as plain values, its experiment's name first: `request_from` reads it back."""
    return msgspec.to_builtins(request)
