"""A training's parts by formula: curves that fall as a lens's do, known at every step."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from mlxterp_engine.experiments import (
    Array,
    Contract,
    LensEvaluation,
    LensStep,
    Meta,
    ModelCard,
    Result,
    Step,
    TrainTunedLens,
)

LAYERS = list(range(-1, 5))
LOGIT = [13.0, 14.0, 18.0, 17.0, 6.0, 0.5]
LEAST = [3.0, 3.0, 2.5, 2.0, 1.0, 0.25]
UNIGRAM = 5.75
STEPS = 40
EVERY = 10

REQUEST = TrainTunedLens(steps=STEPS, out_dir="/lenses/scripted")


def floats(values: Sequence[float]) -> Array:
    return Array("float32", (len(values),), memoryview(array("f", values).tobytes()))


def loss(step: int) -> list[float]:
    """After so many steps: from the logit lens's KL half of the way to the least in ten steps."""
    share = 0.5 ** (step / 10)
    return [least + (logit - least) * share for logit, least in zip(LOGIT, LEAST, strict=True)]


def step(number: int, steps: int = STEPS, **changes: object) -> LensStep:
    known = {
        "step": number,
        "steps": steps,
        "layers": LAYERS,
        "loss": floats(loss(number - 1)),
        "gradient_norm": 3.5,
        "clip": 1.0,
        "learning_rate": 0.1 * (1 - number / steps),
        "tokens": 256 * number,
        "tokens_per_second": 1024.0,
        "seconds_left": (steps - number) * 0.25,
        "epoch": 1,
        "checkpoint": number // EVERY * EVERY,
    }
    return LensStep(**{**known, **changes})  # type: ignore[arg-type]


def evaluation(number: int, kl: Sequence[float] | None = None) -> LensEvaluation:
    """Held-out text lies 0.25 nats above training text, at every layer."""
    found = [value + (0.25 if number else 0.0) for value in loss(number)] if kl is None else kl
    return LensEvaluation(
        step=number,
        steps=STEPS,
        layers=LAYERS,
        kl=floats(found),
        kl_logit_lens=floats(LOGIT),
        kl_unigram=UNIGRAM,
        held_out_tokens=2048,
    )


def parts(until: int = STEPS) -> list[Step | LensStep | LensEvaluation]:
    """As the engine tells them: each step, and an evaluation every ten."""
    told: list[Step | LensStep | LensEvaluation] = [evaluation(0)]
    for number in range(1, until + 1):
        told += [Step(number, STEPS, f"step {number} of {STEPS}"), step(number)]
        if number % EVERY == 0:
            told.append(evaluation(number))
    return told


def table(rows: Sequence[Sequence[float]]) -> Array:
    values = array("f", [value for row in rows for value in row])
    return Array("float32", (len(rows), len(rows[0])), memoryview(values.tobytes()))


def whole(values: Sequence[int]) -> Array:
    return Array("int32", (len(values),), memoryview(array("i", values).tobytes()))


def result(card: ModelCard, request: TrainTunedLens = REQUEST) -> Result:
    """What the training comes to, with the history of its held-out means."""
    at = range(0, STEPS + 1, EVERY)
    kept = [evaluation(number).kl.tolist() for number in at]
    meta = Meta(
        experiment={"name": "train-tuned-lens", "corpus": ["builtin"], "steps": STEPS},
        model=card,
        tokens=[],
        versions={"mlx": "1.2.3"},
        seed=0,
        device="cpu",
        dtype="float32",
        load_s=1.0,
        elapsed_s=12.5,
        contracts={"zero_lens": Contract(0.0, 0.0, True)},
        headline="held-out KL at the middle 17 to 3.1 nats",
    )
    arrays = {
        "layer": whole(LAYERS),
        "kl_logit_lens": floats(LOGIT),
        "kl_tuned_lens": floats(kept[-1]),
        "kl_unigram": floats([UNIGRAM] * len(LAYERS)),
        "train_loss": table([loss(number) for number in range(STEPS)]),
        "eval_step": whole(list(at)),
        "eval_kl": table(kept),
    }
    return Result(meta=meta, arrays=arrays)
