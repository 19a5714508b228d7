"""`mlxterp-tui engine`: start, look at, and stop the background engine."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from mlxterp_engine.worker.blocking import BlockingEngine
from mlxterp_engine.worker.client import NoEngine
from mlxterp_engine.worker.protocol import EngineStatus
from mlxterp_tui.amounts import size
from mlxterp_tui.commands.jobs_table import jobs_table
from mlxterp_tui.commands.output import as_json, table
from mlxterp_tui.commands.parser import Parser
from mlxterp_tui.commands.subcommands import Subcommand, dispatch, json_option, nothing

import msgspec

PROGRAM = "mlxterp-tui engine"
NONE_RUNS = 1


def main(words: Sequence[str]) -> int:
    return dispatch(PROGRAM, "The background engine.", _COMMANDS, words)


def _start(_: Namespace) -> int:
    with BlockingEngine.attach() as engine:
        status = engine.status()
    print(f"the engine runs, process {status.pid}; its log is {status.log}")
    return 0


def _status(given: Namespace) -> int:
    try:
        with BlockingEngine.attach(start=False) as engine:
            status = engine.status()
    except NoEngine:
        print("null" if given.json else "no engine is running; start it: mlxterp-tui engine start")
        return NONE_RUNS
    print(_as_json(status) if given.json else _described(status))
    return 0


def _stop(given: Namespace) -> int:
    try:
        with BlockingEngine.attach(start=False, any_version=True) as engine:
            engine.shutdown(given.force)
    except NoEngine:
        print("no engine is running")
        return 0
    print("the engine has stopped")
    return 0


def _restart(given: Namespace) -> int:
    return _stop(given) or _start(given)


def _as_json(status: EngineStatus) -> str:
    model = status.model.reference if status.model else None
    return as_json(msgspec.to_builtins(status) | {"model": model})


def _described(status: EngineStatus) -> str:
    lines = [
        ["process", str(status.pid)],
        ["version", status.version],
        ["state", f"{status.state} {status.reason}".strip()],
        ["model", status.model.reference if status.model else "none open"],
        ["memory", f"{size(status.memory)} held by MLX, at most {size(status.peak)}"],
        ["log", status.log],
    ]
    return "\n".join([table(lines), "", jobs_table(status.jobs)]).rstrip()


def _stop_options(parser: Parser) -> None:
    parser.add_argument(
        "--force", action="store_true", default=False, help="though jobs have not ended"
    )


_COMMANDS = {
    "start": Subcommand("start it, if it does not run", nothing, _start),
    "status": Subcommand("what it does; exit status 1 when none runs", json_option, _status),
    "stop": Subcommand("stop it", _stop_options, _stop),
    "restart": Subcommand("stop it and start a new one", _stop_options, _restart),
}
