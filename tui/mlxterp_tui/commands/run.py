"""`mlxterp-tui run EXPERIMENT`: one experiment, no screen, in an engine of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from mlxterp_engine.experiments import (
    EXPERIMENTS,
    AnyRequest,
    BadInput,
    Request,
    Result,
    request_from,
)
from mlxterp_engine.worker.blocking import BlockingEngine
from mlxterp_tui.commands.following import failures_name_the_log
from mlxterp_tui.commands.output import result_json, result_table
from mlxterp_tui.commands.parser import Parser
from mlxterp_tui.commands.progress import Progress
from mlxterp_tui.commands.request_options import add_options

PROGRAM = "mlxterp-tui run"
PATIENCE = 10.0  # seconds; loading takes fewer, a download more


def main(words: Sequence[str]) -> int:
    name = _experiment(words)
    given = vars(_parser(name).parse_args(words[1:]))
    out, as_json = absolute(given.pop("out", None)), given.pop("json", False)
    if given.pop("detach", False):
        if as_json:
            raise BadInput("--json has nothing to print with --detach; use: jobs wait ID --json")
        return _detach(request_from(name, given), out)
    return _run(request_from(name, given), out, as_json)


def _run(request: AnyRequest, out: str | None, as_json: bool) -> int:
    with (
        BlockingEngine.private() as engine,
        failures_name_the_log(engine),
        Progress(sys.stderr, PATIENCE) as progress,
    ):
        result = cast(Result, engine.run(request, progress, out))
    tell(result, out, as_json)
    return 0


def _detach(request: AnyRequest, out: str | None) -> int:
    with BlockingEngine.attach() as engine, failures_name_the_log(engine):
        print(engine.submit(request, out).id)
    return 0


def tell(result: Result, out: str | None, as_json: bool) -> None:
    """Print a result in the form that was asked for."""
    if as_json:
        print(result_json(result))
    elif out is None:
        print(result_table(result))
    if out is not None:
        print(f"written to {out}", file=sys.stderr)


def _experiment(words: Sequence[str]) -> str:
    names = ", ".join(EXPERIMENTS)
    if not words:
        raise BadInput(f"EXPERIMENT is missing; there are: {names}")
    if words[0] in ("-h", "--help"):
        _overview().parse_args(words)
    if words[0] not in EXPERIMENTS:
        raise BadInput(f"there is no experiment {words[0]!r}; there are: {names}")
    return words[0]


def _overview() -> Parser:
    lines = [f"  {name:<12} {_first_line(kind)}" for name, kind in EXPERIMENTS.items()]
    return Parser(
        prog=f"{PROGRAM} EXPERIMENT",
        description="One experiment, no screen.",
        epilog="experiments:\n" + "\n".join(lines) + f"\n\n{PROGRAM} EXPERIMENT --help tells more.",
    )


def _parser(name: str) -> Parser:
    parser = Parser(prog=f"{PROGRAM} {name}", description=_first_line(EXPERIMENTS[name]))
    add_options(parser, EXPERIMENTS[name])
    parser.add_argument("--out", metavar="FILE.npz", help="write the arrays to this file")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument(
        "--detach", action="store_true", help="hand over to the background engine, print the job"
    )
    return parser


def _first_line(kind: type[Request]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def absolute(out: str | None) -> str | None:
    return None if out is None else str(Path(out).expanduser().absolute())
