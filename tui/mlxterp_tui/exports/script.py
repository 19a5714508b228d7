"""A run as a Python script that needs `mlxterp_engine` alone, and says how far it drifted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mlxterp_engine.experiments import EXPERIMENTS, BadInput, Request, request_from
from mlxterp_engine.experiments.registry import CARD
from mlxterp_engine.runlog.record import RunRecord
from mlxterp_engine.runlog.replay import request_of
from mlxterp_tui.exports import shell
from mlxterp_tui.exports.escaping import escaped
from mlxterp_tui.exports.naming import day, title
from mlxterp_tui.logbook import Stored

import msgspec


def script(stored: Stored) -> str:
    """Opens the model and checks its weights, runs, sets new figures beside the recorded ones.

    The script exits with 3 where the model is another one or a contract fails. BadInput for a
    run that can't be run again from here: a card, or of a model that only one program had.
    """
    record = stored.record
    check_can_run_again(record)
    parts = [_head(record), _imports(record), _recorded(record), _asked(record), _BODY]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def check_can_run_again(record: RunRecord) -> None:
    """BadInput where no script could."""
    if record.request["name"] == CARD:
        raise BadInput(
            f"run {record.id} is the card of a paper and no single experiment; it is made again "
            f"by: {shell.command(record.request)}; its children have scripts"
        )
    request_of(record)


def can_run_again(record: RunRecord) -> bool:
    try:
        check_can_run_again(record)
    except BadInput:
        return False
    return True


def _head(record: RunRecord) -> str:
    """Comments, as no text inside can end them."""
    said = [title(record), f"First run on {day(record)}; {_needs(record)}."]
    if record.hypothesis:
        said.insert(1, f"Expected: {record.hypothesis}")
    if record.outcome:
        said.insert(2, f"Came out: {record.outcome}")
    return "\n".join(f"# {escaped(line)}" for line in said)


def _needs(record: RunRecord) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    return f"with {versions}" if versions else "its versions were not noted"


def _imports(record: RunRecord) -> str:
    folder = "import os\n" if _has_relative_paths(record) else ""
    kind = _kind(record)
    return f"""{folder}import sys

from mlxterp_engine import InterpretableModel, run
from mlxterp_engine.experiments import {kind.__name__}"""


def _recorded(record: RunRecord) -> str:
    sha256 = record.model.sha256 if record.model else ""
    lines = [f"SHA256 = {sha256!r}  # of the weights" + ("" if sha256 else ", never known")]
    lines += _mapping("FIGURES", record.figures)
    lines += _mapping("ERRORS", {name: c.error for name, c in record.contracts.items()})
    return "\n".join(lines)


def _mapping(name: str, values: dict[str, float]) -> Iterator[str]:
    if not values:
        yield f"{name}: dict[str, float] = {{}}"
        return
    yield f"{name} = {{"
    yield from (f"    {key!r}: {_literal(value)}," for key, value in values.items())
    yield "}"


def _literal(value: float) -> str:
    """NaN and infinity are no literals of Python."""
    return f"float({str(value)!r})" if value != value or abs(value) == float("inf") else repr(value)


def _asked(record: RunRecord) -> str:
    request = _request(record)
    fields = [
        f"    {field.name}={value!r},"
        for field in msgspec.structs.fields(request)
        if (value := getattr(request, field.name)) is not None or field.default is not None
    ]
    change = ""
    if _has_relative_paths(record):
        change = f"os.chdir({record.folder!r})  # where the request's files were looked for\n"
    return change + "\n".join([f"request = {type(request).__name__}(", *fields, ")"])


_BODY = """
model = InterpretableModel(request.model, device=request.device, dtype=request.dtype)
if SHA256 and model.card.sha256 != SHA256:
    print(f"{request.model} has other weights now: {model.card.sha256}", file=sys.stderr)
    sys.exit(3)
again = run(request, model).meta

print(again.headline)
print(f"{'':24}{'recorded':>14}{'now':>14}{'drift':>12}")
for name, before in FIGURES.items():
    now = again.figures.get(name, float("nan"))
    print(f"{name:<24}{before:>14.7g}{now:>14.7g}{abs(now - before):>12.1e}")
for name, contract in again.contracts.items():
    held = "holds" if contract.ok else "FAILS"
    before = ERRORS.get(name, float("nan"))
    print(f"{name:<24}{before:>14.1e}{contract.error:>14.1e}{held:>12}")
sys.exit(0 if all(contract.ok for contract in again.contracts.values()) else 3)
"""


def _request(record: RunRecord) -> Request:
    parameters: dict[str, Any] = dict(record.request)
    return request_from(parameters.pop("name"), parameters)


def _kind(record: RunRecord) -> type[Request]:
    return EXPERIMENTS[record.request["name"]]


def _has_relative_paths(record: RunRecord) -> bool:
    """Whether the request names files that are looked for from a folder."""
    spoken = [str(words) for words in record.request.get("intervention", ())]
    files = [file for words in spoken for file in re.findall(r":([^:*]+\.npz)", words)]
    files += [found for name in _FILES if (found := record.request.get(name)) not in _NO_FILES]
    return any(not file.startswith(("/", "~")) for file in files)


_FILES = ("lens", "pairs", "facts", "noise_file")
_NO_FILES = (None, "ioi", "known")
