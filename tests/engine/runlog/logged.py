"""Requests and results made by hand, and ways to log them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mlxterp_engine.experiments import Contract, LogitLens, Result
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.record import Recording

import msgspec
import stand_in

HERE = Path(__file__).parent


def request(prompt: str = "The capital of France is", **parameters) -> LogitLens:
    return LogitLens(prompt=prompt, model="stand-in", **parameters)


def result(asked: LogitLens, *values: float, **meta) -> Result:
    """Its array `entropy` holds the values; `meta` replaces fields of its meta."""
    made = stand_in.result(asked, *(values or (1.0, float("nan"))))
    return msgspec.structs.replace(made, meta=msgspec.structs.replace(made.meta, **meta))


def done(log: RunLog, prompt: str = "The capital of France is", **said) -> int:
    """A finished run; `said` is split between the recording and the result's meta."""
    recording = {k: said.pop(k) for k in list(said) if k in Recording.__struct_fields__}
    asked = request(prompt)
    run = log.begin(asked, Recording(**recording))
    log.finish(run, result(asked, **said))
    return run


def failing(**contracts: bool) -> dict[str, Contract]:
    return {name: Contract(1.0, 0.5, ok) for name, ok in contracts.items()}


def python(code: str, *words: object, **environment: str) -> subprocess.Popen[str]:
    """A process that can import what tests import."""
    paths = os.pathsep.join([str(HERE), str(HERE.parent / "worker")])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
