"""The recording of the default model with patchscopes, which say where their state came from."""

from __future__ import annotations

from array import array

from mlxterp_engine.experiments import (
    Array,
    BadInput,
    GeneratedToken,
    Patchscope,
    Price,
    Result,
    Started,
)
from mlxterp_engine.worker.protocol import Finished

import msgspec
from recorded_engine import RecordedRun, Recording

TARGET = ["cat", " ->", "?"]


class WithPatchscopes(Recording, frozen=True):
    """The recording of the default model; a patchscope says where its state came from."""

    def run_of(self, task):
        if not isinstance(task, Patchscope):
            return super().run_of(task)
        if task.target_prompt == "wrong":
            raise BadInput("the target prompt is wrong; take another")
        words = [f" {task.site}", f"@{task.position}", f" in {task.target_layer}"]
        made = [
            GeneratedToken(index=at, id=at, token=word, text=word, logprob=-1.0)
            for at, word in enumerate(words)
        ]
        started = Started(
            [[1] * 5, [1, 2, 3]], [["The", " capital", " of", " France", " is"], TARGET]
        )
        return RecordedRun(
            task, Price(5, 0.1, 10), [started, *made, Finished(self._result(task, words))]
        )

    def _result(self, task: Patchscope, words: list[str]) -> Result:
        lens = next(run for run in self.runs if getattr(run.task, "prompt", "")).events[-1]
        assert isinstance(lens, Finished)
        assert isinstance(lens.outcome, Result)
        asked = {"name": "patchscope", **msgspec.to_builtins(task)}
        asked.pop("type", None)
        tokens = [["The", " capital", " of", " France", " is"], TARGET]
        meta = msgspec.structs.replace(
            lens.outcome.meta, experiment=asked, tokens=tokens, text="".join(words), contracts={},
            figures={},
        )  # fmt: skip
        ids = Array("int32", (3,), memoryview(array("i", [0, 1, 2]).tobytes()))
        logs = Array("float32", (3,), memoryview(array("f", [0.5, 0.25, 0.125]).tobytes()))
        return Result(
            meta=meta,
            arrays={"token_ids": ids, "logprobs": logs, "top_ids": ids, "top_probs": logs},
            strings={"tokens": words, "top_tokens": words},
        )
