"""A workbench without MLX: the prompt says what the job does. Loaded by the engine process."""

from __future__ import annotations

import json
import os
import struct
import time
from contextlib import nullcontext
from pathlib import Path

from mlxterp_engine.experiments import (
    Array,
    BadInput,
    LogitLens,
    LogitLensRow,
    Meta,
    ModelCard,
    Price,
    Result,
    RunFailed,
    Started,
    Step,
)
from mlxterp_engine.experiments.train_lens import LensStep
from mlxterp_engine.worker.tasks import ModelOpened, ModelsListed, OpenModel, Reproduce

CARD = ModelCard(
    reference="stand-in",
    architecture="none",
    provenance="tests",
    sha256="0" * 64,
    layers=2,
    heads=1,
    kv_heads=1,
    d_model=1,
    d_head=1,
    d_mlp=1,
    vocab_size=2,
    context=8,
    parameters=1,
    weight_bytes=4,
    quantisation="none",
    tied=True,
    adds_bos=False,
    has_chat_template=False,
    device="cpu",
    dtype="float32",
    sites=[],
    missing_sites={},
    contracts={},
)
PRICE = Price(passes=2.0, seconds=0.5, bytes=1024)


def floats(*values: float) -> Array:
    return Array("float32", (len(values),), memoryview(struct.pack(f"<{len(values)}f", *values)))


def ints(*values: int) -> Array:
    return Array("int32", (len(values),), memoryview(struct.pack(f"<{len(values)}i", *values)))


def row(layer: int) -> LogitLensRow:
    return LogitLensRow(
        layer=layer,
        top_ids=Array("int32", (1, 1), memoryview(struct.pack("<i", layer))),
        top_probs=Array("float32", (1, 1), memoryview(struct.pack("<f", 0.5))),
        top_tokens=[[" Paris"]],
        entropy=floats(1.0),
        kl=floats(0.25),
        final_rank=ints(0),
    )


def lens_step(step: int) -> LensStep:
    return LensStep(
        step=step,
        steps=10_000,
        layers=[0],
        loss=floats(1.0),
        gradient_norm=1.0,
        clip=1.0,
        learning_rate=0.1,
        tokens=step,
        tokens_per_second=1.0,
        seconds_left=1.0,
    )


def result(request: LogitLens, *values: float) -> Result:
    return result_of(request, floats(*values))


def result_of(request: LogitLens, entropy: Array) -> Result:
    meta = Meta(
        experiment={"name": "logit-lens", "prompt": request.prompt},
        model=CARD,
        tokens=[["a"]],
        versions={},
        seed=request.seed,
        device="cpu",
        dtype="float32",
        load_s=0.0,
        elapsed_s=0.0,
        contracts={},
    )
    return Result(
        meta=meta,
        arrays={"entropy": entropy, "top_ids": ints(7)},
        strings={"top_tokens": [" Paris"]},
    )


class StandIn:
    """Prompts: rows N, hold FILE, linger SECONDS, large MEBIBYTES, report FILE, bad, fail, fault

    A card (`reproduce`) is made in its folder `out` until a file `go` lies there.
    """

    def __init__(self) -> None:
        self.card: ModelCard | None = None
        self.at_rest = True

    def aside(self, price):
        return nullcontext()

    def price(self, task):
        return PRICE if self.card else None

    def tokenize(self, text, bos, chat):
        if self.card is None:
            raise BadInput("no model is open")
        return list(range(len(text))), list(text)

    def pieces(self, text):
        return [0], [text]

    def memory(self):
        return 1000, 2000

    def perform(self, task, unfinished=None):
        if isinstance(task, OpenModel):
            yield Step(0, 1, "opening")
            self.card = CARD
            return ModelOpened(CARD)
        if isinstance(task, Reproduce):
            return (yield from self._in_the_background(Path(task.out)))
        word, _, rest = task.prompt.partition(" ")
        return (yield from getattr(self, f"_{word}")(task, rest))

    def _in_the_background(self, folder):
        """Each step writes down where it stands."""
        yield Step(0, 1, "opening")
        try:
            yield Started([], [])
            there = False
            while not there:
                there = (folder / "go").exists()
                with (folder / "steps").open("a") as steps:
                    steps.write(f"{os.getcwd()}\n")
                time.sleep(0.002)
                yield Step(1, 4, "making")
        except GeneratorExit:
            (folder / "closed").touch()
            raise
        return ModelsListed([])

    def _rows(self, task, count):
        yield Started([[1]], [["a"]])
        for layer in range(int(count)):
            yield Step(layer, int(count), f"layer {layer}")
            yield row(layer)
        return result(task, 1.0, float("nan"))

    def _hold(self, task, file):
        """Goes on until the file is there; tells that it was closed in another file."""
        try:
            yield row(0)
            while not Path(file).exists():
                time.sleep(0.002)
                yield Step(1, 4, "holding")
        except GeneratorExit:
            Path(file + ".closed").touch()
            raise
        return result(task, 2.0)

    def _linger(self, task, seconds):
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end:
            time.sleep(0.002)
            yield Step(0, 1, "lingering")
        return result(task, 4.0)

    def _large(self, task, mebibytes):
        yield row(0)
        zeros = bytes(int(mebibytes) << 20)
        return result_of(task, Array("float32", (len(zeros) // 4,), memoryview(zeros)))

    def _bad(self, task, _):
        yield Step(0, 1, "looking")
        raise BadInput("target is ' Pari'; give one token")

    def _fail(self, task, _):
        yield Step(0, 1, "trying")
        raise RunFailed("the fetch broke off; try again", "line 1\nline 2")

    def _fault(self, task, _):
        yield Step(0, 1, "trying")
        raise ZeroDivisionError("no\nnumber")

    def _report(self, task, file):
        """Write what the process is."""
        yield Step(0, 1, "reporting")
        facts = {"nice": os.nice(0), "session": os.getsid(0), "cwd": os.getcwd()}
        Path(file).write_text(json.dumps(facts))
        return result(task, 3.0)


def broken() -> StandIn:
    """What the engine opens when MLX can't be imported."""
    raise ImportError("libmlx.so:\n cannot open shared object file")
