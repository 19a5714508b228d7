"""`mlxterp-tui run EXPERIMENT`: one experiment, no screen, in an engine of its own."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, cast

from mlxterp_engine.experiments import (
    EXPERIMENTS,
    AnyRequest,
    BadInput,
    Request,
    Result,
    RunCancelled,
    request_from,
)
from mlxterp_engine.runlog.record import Recording
from mlxterp_engine.runlog.recording import is_wanted
from mlxterp_engine.worker.blocking import BlockingEngine
from mlxterp_engine.worker.client import Job
from mlxterp_engine.worker.protocol import AnyNotice, LogTrouble
from mlxterp_tui.commands.following import failures_name_the_log
from mlxterp_tui.commands.output import result_table
from mlxterp_tui.commands.parser import Parser
from mlxterp_tui.commands.progress import Progress
from mlxterp_tui.commands.request_options import add_options
from mlxterp_tui.exports.result_json import result_json

PROGRAM = "mlxterp-tui run"
PATIENCE = 10.0  # seconds; loading takes fewer, a download more


def main(words: Sequence[str]) -> int:
    name = _experiment(words)
    given = vars(_parser(name).parse_args(words[1:]))
    out, as_json = absolute(given.pop("out", None)), given.pop("json", False)
    recording = recording_from(given)
    if given.pop("detach", False):
        if as_json:
            raise BadInput("--json has nothing to print with --detach; use: jobs wait ID --json")
        return _detach(request_from(name, given), out, recording)
    result, _ = run_privately(request_from(name, given), out, recording)
    tell(result, out, as_json)
    return 0


def run_privately(
    request: AnyRequest, out: str | None, recording: Recording | None, folder: str | None = None
) -> tuple[Result, int | None]:
    """Run it in an engine of our own. (the result, the run that keeps it)."""
    with BlockingEngine.private() as engine, failures_name_the_log(engine):
        return run_in(engine, request, out, recording, folder)


def run_in(
    engine: BlockingEngine,
    request: AnyRequest,
    out: str | None,
    recording: Recording | None,
    folder: str | None = None,
) -> tuple[Result, int | None]:
    """Run it, and say on standard error how far it is and what the log made of it."""
    engine.on_notice(_heard)
    job = engine.submit(request, out, recording, folder)
    with _telling_its_run(job), Progress(sys.stderr, PATIENCE) as progress:
        result = cast(Result, engine.finish(job, progress))
    return result, job.run


@contextlib.contextmanager
def _telling_its_run(job: Job) -> Iterator[None]:
    """Which run of the log keeps what came of the job. A failure's one line stays one."""
    try:
        yield
    except RunCancelled:
        _tell_run(job, "what was computed is kept")
        raise
    _tell_run(job)


def _tell_run(job: Job, more: str = "") -> None:
    if job.run is not None:
        print(f"run {job.run} recorded" + (f"; {more}" if more else ""), file=sys.stderr)


def _heard(notice: AnyNotice) -> None:
    if isinstance(notice, LogTrouble):
        print(f"mlxterp-tui: {notice.reason}", file=sys.stderr)


def _detach(request: AnyRequest, out: str | None, recording: Recording | None) -> int:
    with BlockingEngine.attach() as engine, failures_name_the_log(engine):
        print(engine.submit(request, out, recording).id)
    return 0


def recording_from(given: dict[str, Any]) -> Recording | None:
    """What the log is to keep, taken out of the options; None where nothing is to be left."""
    said = {name: given.pop(name) for name in ("hypothesis", "note", "tags") if name in given}
    if given.pop("no_log", False):
        if said:
            raise BadInput("--no-log leaves nothing behind; leave it or what the log is to keep")
        return None
    if not said and not is_wanted():
        return None
    return Recording(**{**said, "tags": tuple(said.get("tags", ()))})


def log_options(parser: Parser) -> None:
    """What can be said of a run for the research log."""
    parser.add_argument("--hypothesis", metavar="TEXT", help="what you expect, kept beforehand")
    parser.add_argument("--note", metavar="TEXT", help="kept beside the run")
    parser.add_argument(
        "--tag", dest="tags", nargs="+", action="extend", metavar="TAG", help="to find it by"
    )
    parser.add_argument("--no-log", action="store_true", help="leave nothing in the research log")


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
    width = max(map(len, EXPERIMENTS))
    lines = [f"  {name:<{width}}  {_first_line(kind)}" for name, kind in EXPERIMENTS.items()]
    return Parser(
        prog=f"{PROGRAM} EXPERIMENT",
        description="One experiment, no screen.",
        epilog="experiments:\n" + "\n".join(lines) + f"\n\n{PROGRAM} EXPERIMENT --help tells more.",
    )


def _parser(name: str) -> Parser:
    parser = Parser(prog=f"{PROGRAM} {name}", description=_first_line(EXPERIMENTS[name]))
    add_options(parser, EXPERIMENTS[name])
    log_options(parser)
    parser.add_argument("--out", metavar="FILE.npz", help="write the arrays to this file")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument(
        "--detach", action="store_true", help="hand over to the background engine, print the job"
    )
    return parser


def _first_line(kind: type[Request]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def absolute(out: str | None) -> str | None:
    return None if out is None else os.path.abspath(os.path.expanduser(out))
