"""Results as JSON: one object as `run --json` prints it, or one line a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlxterp_engine.experiments import Result
from mlxterp_tui.logbook import Stored

import msgspec

SAID = (
    "id", "created", "state", "parent", "hypothesis", "outcome", "note", "tags", "request",
    "headline", "figures", "reason", "kept",
)  # fmt: skip


def result_json(result: Result) -> str:
    """One object: `meta`, every array by its name, and strings beside ids. NaN is null."""
    return _encoded(_result(result))


def runs_jsonl(runs: Iterable[Stored]) -> str:
    """A line a run: what is known of it under `run`, and its result as `result_json` has it.

    A run without a result (cancelled, failed) has `run` alone.
    """
    return "".join(_encoded(_run(stored)) + "\n" for stored in runs)


def _run(stored: Stored) -> dict[str, Any]:
    known = {name: getattr(stored.record, name) for name in SAID}
    return {"run": known} | (_result(stored.result) if stored.result else {})


def _result(result: Result) -> dict[str, Any]:
    arrays = {name: array.tolist() for name, array in result.arrays.items()}
    return {"meta": result.meta, **arrays, **result.strings}


def _encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()
