"""A training that goes on tells first what it told before, so that its curves are whole."""

from __future__ import annotations

from mlxterp_engine.experiments import LensEvaluation, LensStep, Step, TrainTunedLens
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.execute import execute

import msgspec


def told_of(parts) -> dict[tuple[str, int], bytes]:
    """Losses and held-out means by kind and step."""
    found = {}
    for part in parts:
        if isinstance(part, LensStep):
            found["step", part.step] = bytes(part.loss.data)
        elif isinstance(part, LensEvaluation):
            found["held out", part.step] = bytes(part.kl.data)
    return found


def test_the_curves_of_a_training_that_was_stopped_are_those_of_an_unbroken_one(tmp_path):
    model = InterpretableModel("glass-tiny")
    whole = TrainTunedLens(model="glass-tiny", steps=10, out_dir=str(tmp_path / "whole"))
    expected = told_of(execute(model, whole))

    halves = msgspec.structs.replace(whole, out_dir=str(tmp_path / "halves"))
    first = execute(model, halves)
    for part in first:
        if isinstance(part, LensStep) and part.step == 5:
            break
    first.close()
    parts = list(execute(model, msgspec.structs.replace(halves, resume=True)))
    assert told_of(parts) == expected
    whats = [part.what for part in parts if isinstance(part, Step)]
    assert any(what.startswith("step 8 of 10, KL ") and what.endswith(" s left") for what in whats)
