"""`mlxterp-tui jobs`: what the engine runs and has run."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence

from mlxterp_engine.experiments import BadInput, Result
from mlxterp_engine.worker.blocking import BlockingEngine
from mlxterp_engine.worker.protocol import JobInfo
from mlxterp_tui.commands.following import failures_name_the_log, running_or_private
from mlxterp_tui.commands.jobs_table import job_page, jobs_table
from mlxterp_tui.commands.output import as_json
from mlxterp_tui.commands.parser import Parser
from mlxterp_tui.commands.progress import Progress
from mlxterp_tui.commands.run import absolute, tell
from mlxterp_tui.commands.subcommands import Subcommand, dispatch, json_option

PROGRAM = "mlxterp-tui jobs"


def main(words: Sequence[str]) -> int:
    return dispatch(PROGRAM, "What the engine runs and has run.", _COMMANDS, words)


def _list(given: Namespace) -> int:
    with running_or_private() as engine:
        jobs = engine.jobs()
    print(as_json(jobs) if given.json else jobs_table(jobs))
    return 0


def _show(given: Namespace) -> int:
    with running_or_private() as engine:
        job = _job(engine, given.id)
    print(as_json(job) if given.json else job_page(job))
    return 0


def _wait(given: Namespace) -> int:
    """Ctrl-C ends the waiting, not the job."""
    out = absolute(given.out)
    with (
        running_or_private() as engine,
        failures_name_the_log(engine),
        Progress(sys.stderr) as progress,
    ):
        outcome = engine.follow(engine.watch(given.id), progress)
        if out is not None:
            engine.save(given.id, out)
    if isinstance(outcome, Result):
        tell(outcome, out, given.json)
    elif given.json:
        print(as_json(outcome))
    return 0


def _cancel(given: Namespace) -> int:
    with running_or_private() as engine:
        engine.cancel(given.id)
        job = _job(engine, given.id)
    print(f"{job.id} {'is being cancelled' if job.ended is None else job.state}")
    return 0


def _job(engine: BlockingEngine, job_id: str) -> JobInfo:
    for job in engine.jobs():
        if job.id == job_id:
            return job
    raise BadInput(f"there is no job {job_id!r}; list them: mlxterp-tui jobs list")


def _id(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="as jobs list prints it")


def _show_options(parser: Parser) -> None:
    _id(parser)
    json_option(parser)


def _wait_options(parser: Parser) -> None:
    _show_options(parser)
    parser.add_argument("--out", default=None, metavar="FILE.npz", help="write the arrays there")


_COMMANDS = {
    "list": Subcommand("all that is known, newest first", json_option, _list),
    "show": Subcommand("one job", _show_options, _show),
    "wait": Subcommand("until a job has ended, and its result", _wait_options, _wait),
    "cancel": Subcommand("stop a job", _id, _cancel),
}
