"""`mlxterp-tui runs export`: one run in any format, or many as a notebook."""

from __future__ import annotations

import argparse
import os
import re
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.search import moment
from mlxterp_tui.commands.opened_log import opened
from mlxterp_tui.commands.parser import Parser, whole
from mlxterp_tui.exports.destination import (
    STANDARD_OUTPUT,
    checked_file,
    format_of,
    print_out,
    put,
)
from mlxterp_tui.exports.formats import FORMATS, encoded, written
from mlxterp_tui.exports.from_log import known, taken
from mlxterp_tui.exports.notebook import BESIDE, write_notebook
from mlxterp_tui.exports.picture import SIZE, Size
from mlxterp_tui.exports.result_json import runs_jsonl
from mlxterp_tui.logbook import Stored

ABOUT = "a run as a file, or many as a notebook of Markdown"
LARGEST = Size(1000, 1000)
NEED_NO_RESULT = ("md", "py")


def options(parser: Parser) -> None:
    add = parser.add_argument
    parser.epilog = "formats:\n" + "\n".join(
        f"  {name:<6} {entry.about}" for name, entry in FORMATS.items()
    )
    add("ids", nargs="*", default=[], type=whole, metavar="ID", help="as runs list prints it")
    parser.add_choice(
        "--format", tuple(FORMATS), default=None, help="by default as --out ends; a notebook: none"
    )
    add("--out", required=True, metavar="PATH", help="a file, - for standard output; or a folder")
    add("--size", default=SIZE, type=_size, metavar="120x40", help="of a picture, in characters")
    add("--with", dest="beside", default=(), type=_beside, metavar="py,npz",
        help="also written for each run of a notebook")  # fmt: skip
    add("--since", default=None, metavar="DATE", help="runs of then or later, e.g. 2026-11-20")
    add("--until", default=None, metavar="DATE", help="runs from before then")
    add("--experiment", default=None, metavar="NAME", help="runs of this experiment")
    add("--tag", default=None, metavar="TAG", help="runs with this tag")
    add("--search", default="", metavar="TEXT", help="as in runs list")


def run(given: Namespace) -> int:
    name = given.format or _format_of_out(given.out)
    if name is None:
        return _notebook(given)
    if name == "jsonl":
        return _lines(given)
    return _file(given, name)


def _format_of_out(out: str) -> str | None:
    """None for a folder: a notebook."""
    if out == STANDARD_OUTPUT:
        raise BadInput("--format is missing; with --out - it can't be told from a file's name")
    path = Path(out)
    if out.endswith("/") or path.is_dir() or not path.suffix:
        return None
    return format_of(path)


def _file(given: Namespace, name: str) -> int:
    if len(given.ids) != 1:
        named = f"{len(given.ids)} are" if given.ids else "none is"
        raise BadInput(
            f"{name} holds one run and {named} named; name one, use --format jsonl, "
            "or leave --format out and give a folder: a notebook"
        )
    out = _out(given.out, name)
    with opened() as log:
        run = given.ids[0]
        stored = _told(log, run) if name in NEED_NO_RESULT else taken(log, run)
    _write(out, written(name, stored, given.size))
    return 0


def _told(log: RunLog, run: int) -> Stored:
    """Whatever is known of the run, even where its result is gone."""
    stored, trouble = known(log, run)
    if trouble:
        print(trouble, file=sys.stderr)
    return stored


def _lines(given: Namespace) -> int:
    out = _out(given.out, "jsonl")
    with opened() as log:
        text = runs_jsonl(taken(log, run) for run in _runs(log, given))
    _write(out, encoded(text))
    return 0


def _notebook(given: Namespace) -> int:
    folder = Path(os.path.expanduser(given.out))
    with opened() as log:
        runs = _runs(log, given)
        done = write_notebook(folder, (known(log, run) for run in runs), given.beside)
    for trouble in done.troubles:
        print(f"mlxterp-tui: {trouble}", file=sys.stderr)
    files = f"{len(done.changed)} file{'' if len(done.changed) == 1 else 's'}"
    runs = f"{done.runs} run{'' if done.runs == 1 else 's'}"
    print(f"{runs} in {folder}, {files} changed")
    return 0


def _runs(log: RunLog, given: Namespace) -> list[int]:
    """Those named, else those found, newest first."""
    if given.ids:
        return given.ids
    found = log.lines(
        experiment=given.experiment,
        search=given.search,
        tag=given.tag,
        since=given.since and moment(given.since),
        until=given.until and moment(given.until),
    )
    return [line.id for line in found]


def _out(out: str, name: str) -> Path | None:
    """None for standard output."""
    if out != STANDARD_OUTPUT:
        return checked_file(Path(os.path.expanduser(out)))
    if not FORMATS[name].is_text:
        raise BadInput(f"{name} is no text to print; name a file, e.g. --out run.{name}")
    return None


def _write(out: Path | None, data: bytes) -> None:
    if out is None:
        print_out(data)
        return
    put(out, data)
    print(f"written to {out}", file=sys.stderr)


def _size(text: str) -> Size:
    found = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text)
    size = Size(int(found[1]), int(found[2])) if found else Size(0, 0)
    if not (20 <= size.columns <= LARGEST.columns and 5 <= size.lines <= LARGEST.lines):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size; give columns x lines from 20x5 to "
            f"{LARGEST.columns}x{LARGEST.lines}, e.g. 120x40"
        )
    return size


def _beside(text: str) -> Sequence[str]:
    names = tuple(dict.fromkeys(text.split(",")))
    unknown = [name for name in names if name not in BESIDE]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"{unknown[0]!r} can't be written beside; give py, npz or py,npz"
        )
    return names
