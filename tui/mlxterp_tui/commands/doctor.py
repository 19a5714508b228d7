"""`mlxterp-tui doctor`: is the machine computing and the terminal drawing as they should?"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import cast

from mlxterp_engine import folders
from mlxterp_engine.experiments import EngineError
from mlxterp_engine.experiments.request import DEVICE_CHOICES
from mlxterp_engine.worker.blocking import BlockingEngine
from mlxterp_engine.worker.tasks import Examine, Examined, Finding
from mlxterp_tui import clipboard
from mlxterp_tui.commands.output import as_json
from mlxterp_tui.commands.parser import Parser
from mlxterp_tui.commands.progress import Progress
from mlxterp_tui.folders import config_file
from mlxterp_tui.widgets.colour_depth import ascii_only, colour_system

PROGRAM = "mlxterp-tui doctor"
SOMETHING_IS_WRONG = 3
MARKS = {True: "ok   ", False: "WRONG", None: "     "}


def main(words: Sequence[str]) -> int:
    given = _parser().parse_args(words)
    findings = [
        *_of_engine(Examine(device=given.device)),
        *_of_terminal(os.environ),
        *_of_folders(),
    ]
    print(as_json(findings) if given.json else _page(findings))
    return SOMETHING_IS_WRONG if any(found.ok is False for found in findings) else 0


def _parser() -> Parser:
    parser = Parser(prog=PROGRAM, description="Device, BLAS, numeric parity, terminal, folders.")
    parser.add_choice("--device", DEVICE_CHOICES, default="auto")
    parser.add_argument("--json", action="store_true", default=False, help="print JSON")
    return parser


def _of_engine(task: Examine) -> list[Finding]:
    """What the engine finds of itself; that it could not look is a finding too."""
    try:
        with BlockingEngine.private() as engine, Progress(sys.stderr) as progress:
            return cast(Examined, engine.run(task, progress)).findings
    except EngineError as error:
        return [Finding("engine", "examination", str(error), ok=False)]


def _of_terminal(environ: Mapping[str, str]) -> list[Finding]:
    depth, why = colour_system(environ)
    variables = ("TERM", "COLORTERM", "TEXTUAL_COLOR_SYSTEM", "NO_COLOR")
    found = [Finding("terminal", "colours", f"{depth}: {why}")]
    found += [Finding("terminal", name, _value(environ, name)) for name in variables]
    return [
        *found,
        Finding("terminal", "tmux", "yes" if "TMUX" in environ else "no"),
        Finding("terminal", "SSH", "yes" if clipboard.is_remote(environ) else "no"),
        Finding("terminal", "characters", "ASCII only" if ascii_only(environ) else "blocks"),
        Finding("terminal", "clipboard", _clipboard_route(environ)),
    ]


def _value(environ: Mapping[str, str], name: str) -> str:
    return repr(environ[name]) if name in environ else "not set"


def _clipboard_route(environ: Mapping[str, str]) -> str:
    tool = None if clipboard.is_remote(environ) else clipboard.local_tool(environ)
    return tool[0] if tool else "OSC 52, which some terminals ignore"


def _of_folders() -> list[Finding]:
    places = {
        "runtime": folders.runtime_folder(),
        "state": folders.state_folder(),
        "data": folders.data_folder(),
        "engine log": folders.log_path(),
        "run log": folders.run_log_path(),
        "config": config_file(),
    }
    return [Finding("folders", name, str(path)) for name, path in places.items()]


def _page(findings: Sequence[Finding]) -> str:
    width = max(len(found.what) for found in findings)
    lines = []
    for topic in dict.fromkeys(found.topic for found in findings):
        lines += ["", topic]
        group = [found for found in findings if found.topic == topic]
        lines += [f"  {MARKS[f.ok]} {f.what:<{width}}  {f.value}" for f in group]
    return "\n".join(lines[1:])
