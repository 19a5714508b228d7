"""What is asked of a prompt: through which lens, of which state, under which edits. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mlxterp_engine.experiments import BadInput, LogitLens
from mlxterp_engine.experiments.logit_lens import State
from mlxterp_engine.experiments.tuned_lens import TunedLens
from mlxterp_tui.panes.lens.edits import NO_EDITS, Edits, edits_of
from mlxterp_tui.setting import Setting

TOP_K = 10
STATES: tuple[State, ...] = ("resid_post", "resid_mid", "resid_pre")


@dataclass(frozen=True)
class LensQuestion:
    """lens: the name or folder of a kept lens; "" for the logit lens."""

    lens: str = ""
    state: State = "resid_post"
    target: str | None = None
    edits: Edits = NO_EDITS

    def request(self, prompt: str, setting: Setting) -> LogitLens:
        asked = {
            "prompt": prompt, "top_k": TOP_K, "target": self.target, "state": self.state,
            **self.edits.request_fields(), **setting.request_fields(),
        }  # fmt: skip
        return TunedLens(lens=self.lens, **asked) if self.lens else LogitLens(**asked)

    def through(self, lens: str) -> LensQuestion:
        """Through another lens; a kept one reads `resid_post` alone."""
        return replace(self, lens=lens, state="resid_post" if lens else self.state)

    def reading(self, state: State) -> LensQuestion:
        if self.lens and state != "resid_post":
            raise BadInput(
                f"the lens {self.lens!r} was trained on resid_post and reads no other state; "
                "w goes back to the logit lens, which reads them all"
            )
        return replace(self, state=state)

    def reading_next(self) -> LensQuestion:
        return self.reading(STATES[(STATES.index(self.state) + 1) % len(STATES)])

    def following(self, target: str | None) -> LensQuestion:
        return replace(self, target=target)

    def edited(self, edits: Edits) -> LensQuestion:
        return replace(self, edits=edits)


def question_of(request: LogitLens) -> LensQuestion:
    """What a request asks besides its prompt."""
    lens = request.lens if isinstance(request, TunedLens) else ""
    return LensQuestion(lens, request.state, request.target, edits_of(request))
