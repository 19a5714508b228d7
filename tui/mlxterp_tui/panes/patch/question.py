"""What is asked of two prompts: by which method, which sites, which metric, which way. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mlxterp_engine.experiments import AnyRequest, BadInput
from mlxterp_engine.experiments.patching import Metric
from mlxterp_engine.experiments.registry import EXPERIMENTS
from mlxterp_engine.experiments.request import Request
from mlxterp_tui.setting import Setting

import msgspec

METHODS = {
    "activation": "activation-patching",
    "attribution": "attribution-patching",
    "path": "path-patching",
    "tracing": "causal-tracing",
}
"""The experiment of each method, by its word on the `:` line."""

EXPERIMENT_METHODS = {experiment: method for method, experiment in METHODS.items()}
METRICS: tuple[Metric, ...] = ("logit-diff", "prob", "kl")
DIRECTIONS = ("denoise", "noise")
TRACING = "tracing"
TEXTS = ("clean", "corrupt", "prompt")
SHARED = ("answer", "wrong", "metric", "direction", "subject")

Options = Mapping[str, Any]


@dataclass(frozen=True)
class PatchQuestion:
    """answer, wrong: None for what the model itself says after the prompts. subject: of causal
    tracing, a part of the prompt. options: every other field that was set, by method.
    """

    method: str = "activation"
    answer: str | None = None
    wrong: str | None = None
    metric: Metric = "logit-diff"
    direction: str = "denoise"
    subject: str | None = None
    options: Mapping[str, Options] = field(default_factory=dict)

    def request(self, prompt: str, second: str | None, setting: Setting) -> AnyRequest:
        """BadInput says what is missing, and the way out."""
        fields: dict[str, Any] = self._about(prompt, second) | self.own_options
        return self.kind(**fields | setting.request_fields())  # type: ignore[return-value]

    @property
    def kind(self) -> type[Request]:
        return EXPERIMENTS[METHODS[self.method]]

    @property
    def own_options(self) -> dict[str, Any]:
        """What was set of the method, beyond what all of them share."""
        return dict(self.options.get(self.method, {}))

    @property
    def takes_two(self) -> bool:
        """Whether it is about a clean and a corrupt prompt, and not about a set or one prompt."""
        return self.method != TRACING and not self.own_options.get("pairs")

    @property
    def has_direction(self) -> bool:
        return "direction" in self.kind.__struct_fields__

    def _about(self, prompt: str, second: str | None) -> dict[str, Any]:
        if self.method == TRACING:
            return self._traced(prompt)
        asked: dict[str, Any] = {"metric": self.metric}
        if self.has_direction:
            asked["direction"] = self.direction
        if not self.takes_two:
            return asked
        if not second:
            raise BadInput(
                "there is no corrupt prompt yet: o opens one under the first, "
                "b proposes other words for the part of it that is marked"
            )
        if second == prompt:
            raise BadInput(
                "both prompts are the same, so there is nothing to patch; change the second one, "
                "or b proposes other words for the part that is marked"
            )
        return asked | {
            "clean": prompt, "corrupt": second, "answer": self.answer, "wrong": self.wrong,
        }  # fmt: skip

    def _traced(self, prompt: str) -> dict[str, Any]:
        if self.own_options.get("facts"):
            return {}
        return {"prompt": prompt, "subject": self.subject, "answer": self.answer}

    # Other questions.

    def by(self, method: str) -> PatchQuestion:
        if method not in methods():
            raise BadInput(f"method is {method!r}; give one of {', '.join(methods())}")
        return replace(self, method=method)

    def by_next(self) -> PatchQuestion:
        known = methods()
        return self.by(known[(known.index(self.method) + 1) % len(known)])

    def measuring(self, metric: str) -> PatchQuestion:
        if metric not in METRICS:
            raise BadInput(f"metric is {metric!r}; give one of {', '.join(METRICS)}")
        return replace(self, metric=metric)

    def measuring_next(self) -> PatchQuestion:
        if self.method == TRACING:
            raise BadInput("causal tracing measures the answer's probability, and nothing else")
        return self.measuring(METRICS[(METRICS.index(self.metric) + 1) % len(METRICS)])

    def turned(self) -> PatchQuestion:
        if not self.has_direction:
            raise BadInput(
                f"{METHODS[self.method]} has one direction: clean states into the corrupt run"
            )
        return self.going(DIRECTIONS[self.direction == DIRECTIONS[0]])

    def going(self, direction: str) -> PatchQuestion:
        if direction not in DIRECTIONS:
            raise BadInput(f"direction is {direction!r}; give one of {', '.join(DIRECTIONS)}")
        return replace(self, direction=direction)

    def answering(self, answer: str | None, wrong: str | None) -> PatchQuestion:
        return replace(self, answer=answer, wrong=wrong)

    def about(self, subject: str | None) -> PatchQuestion:
        return replace(self, subject=subject)

    def with_options(self, **changed: Any) -> PatchQuestion:
        """Of this method; None takes one back to what it is by itself."""
        kept = {n: v for n, v in {**self.own_options, **changed}.items() if v is not None}
        return replace(self, options={**self.options, self.method: kept})


def methods() -> list[str]:
    """Those that the engine can be asked for."""
    return [method for method, experiment in METHODS.items() if experiment in EXPERIMENTS]


def question_of(request: Request, before: PatchQuestion | None = None) -> PatchQuestion:
    """What a request asks besides its prompts. before: what else was asked last."""
    before = before or PatchQuestion()
    method = EXPERIMENT_METHODS[str(request.__struct_config__.tag)]
    shared = {n: getattr(request, n) for n in SHARED if n in request.__struct_fields__}
    options = {**before.options, method: options_of(request)}
    return replace(before, method=method, options=options, **shared)


def options_of(request: Request) -> dict[str, Any]:
    """The fields that were set to something else than they are by themselves."""
    own = set(request.__struct_fields__) - {*TEXTS, *SHARED, *Setting.__struct_fields__}
    fields = [one for one in msgspec.structs.fields(request) if one.name in own]
    values = {one.name: getattr(request, one.name) for one in fields}
    return {one.name: values[one.name] for one in fields if values[one.name] != _default(one)}


def _default(one: msgspec.structs.FieldInfo) -> Any:
    if one.default_factory is not msgspec.NODEFAULT:
        return one.default_factory()
    return one.default
