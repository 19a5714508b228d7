"""`mlxterp-tui runs`: the research log, read without an engine."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from mlxterp_engine.experiments import BadInput, Result
from mlxterp_engine.runlog.record import checked_tags
from mlxterp_engine.runlog.search import moment
from mlxterp_engine.whole_files import write_whole
from mlxterp_tui.commands import runs_export, runs_replay
from mlxterp_tui.commands.opened_log import opened
from mlxterp_tui.commands.output import as_json
from mlxterp_tui.commands.parser import Parser, whole
from mlxterp_tui.commands.run import absolute
from mlxterp_tui.commands.runs_table import comparison_page, run_page, runs_table
from mlxterp_tui.commands.subcommands import Subcommand, dispatch, json_option

PROGRAM = "mlxterp-tui runs"
# What `list --json` tells of a run; `show --json` tells the rest.
LISTED = ("id", "experiment", "model", "created", "state", "headline", "tags")


def main(words: Sequence[str]) -> int:
    return dispatch(PROGRAM, "The research log.", _COMMANDS, words)


def _list(given: Namespace) -> int:
    with opened() as log:
        lines = log.lines(
            limit=given.limit,
            experiment=given.experiment,
            search=given.search,
            tag=given.tag,
            since=given.since and moment(given.since),
            until=given.until and moment(given.until),
            deleted=given.deleted,
        )
    if given.json:
        print(as_json([{name: getattr(line, name) for name in LISTED} for line in lines]))
    elif lines or not _narrowed(given):
        print(runs_table(lines))
    else:
        print("no run matches; leave something out of what was asked for")
    return 0


def _narrowed(given: Namespace) -> bool:
    asked = (given.experiment, given.search, given.tag, given.since, given.until)
    return given.deleted or any(asked)


def _show(given: Namespace) -> int:
    out = absolute(given.out)
    if out is not None:
        _check_writable(Path(out))
    with opened() as log:
        record = log.record(given.id)
        result = log.result(given.id) if out is not None else None
        children = log.children(given.id)
    if out is not None and result is not None:
        _write(result, Path(out))
    print(as_json(record) if given.json else run_page(record, children))
    return 0


def _compare(given: Namespace) -> int:
    from mlxterp_engine.runlog.compare import compare  # numpy

    with opened() as log:
        comparison = compare(log.result(given.id), log.result(given.other))
    if given.json:
        told = {"of": [given.id, given.other], "drift": comparison.drift}
        print(as_json({**told, "unlike": comparison.unlike, "fields": comparison.fields}))
    else:
        print(comparison_page(comparison))
    return 0


def _tag(given: Namespace) -> int:
    if not given.tags and not given.remove:
        raise BadInput(f"TAG is missing; see {PROGRAM} tag --help")
    with opened() as log:
        kept = [tag for tag in log.record(given.id).tags if tag not in given.remove]
        tags = checked_tags([*kept, *given.tags])
        log.annotate(given.id, tags=tags)
    print(f"run {given.id}: {', '.join(tags) or 'no tags'}")
    return 0


def _note(given: Namespace) -> int:
    if given.text is None and given.outcome is None:
        raise BadInput(f"TEXT is missing; see {PROGRAM} note --help")
    with opened() as log:
        log.annotate(given.id, note=given.text, outcome=given.outcome)
    print(f"run {given.id} noted")
    return 0


def _delete(given: Namespace) -> int:
    with opened() as log:
        log.delete(given.id)
    print(f"run {given.id} deleted; to undo: {PROGRAM} restore {given.id}")
    return 0


def _restore(given: Namespace) -> int:
    with opened() as log:
        if not log.record(given.id).deleted:
            raise BadInput(f"run {given.id} was not deleted; there is nothing to restore")
        log.restore(given.id)
    print(f"run {given.id} restored")
    return 0


def _id(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", type=whole, help="as runs list prints it")


def _id_and_json(parser: Parser) -> None:
    _id(parser)
    json_option(parser)


def _list_options(parser: Parser) -> None:
    add = parser.add_argument
    add("--limit", type=_count, default=None, metavar="N", help="the newest N only")
    add("--experiment", default=None, metavar="NAME", help="of this experiment only")
    add(
        "--search",
        default="",
        metavar="TEXT",
        help="words that all occur in prompt, model, tags, note, headline …; "
        "also tag:NAME, model:PART, state:failed, kl_middle>5",
    )
    add("--tag", default=None, metavar="TAG", help="with this tag only")
    add("--since", default=None, metavar="DATE", help="begun then or later, e.g. 2026-11-20")
    add("--until", default=None, metavar="DATE", help="begun before then")
    add("--deleted", action="store_true", default=False, help="those that were deleted")
    json_option(parser)


def _show_options(parser: Parser) -> None:
    _id_and_json(parser)
    parser.add_argument("--out", default=None, metavar="FILE.npz", help="write the result there")


def _replay_options(parser: Parser) -> None:
    _id_and_json(parser)
    parser.add_argument(
        "--any-model",
        action="store_true",
        default=False,
        help="even when the model's weights are not those of the run",
    )


def _compare_options(parser: Parser) -> None:
    _id(parser)
    parser.add_argument("other", metavar="OTHER", type=whole, help="the run to hold against it")
    json_option(parser)


def _tag_options(parser: Parser) -> None:
    _id(parser)
    parser.add_argument("tags", nargs="*", default=[], metavar="TAG", help="to add")
    parser.add_argument(
        "--remove", nargs="+", default=[], action="extend", metavar="TAG", help="to take away"
    )


def _note_options(parser: Parser) -> None:
    _id(parser)
    parser.add_argument("text", nargs="?", default=None, metavar="TEXT", help="the note")
    parser.add_argument(
        "--outcome", default=None, metavar="TEXT", help="what came out, against the hypothesis"
    )


def _count(text: str) -> int:
    number = whole(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is below 0; give how many to list")
    return number


def _check_writable(out: Path) -> None:
    if out.suffix != ".npz":
        raise BadInput(f"out is {str(out)!r}; results are .npz files, e.g. {out.stem}.npz")
    if out.is_dir() or not out.parent.is_dir():
        raise BadInput(f"out is {str(out)!r}; name a file in a folder that is there")


def _write(result: Result, out: Path) -> None:
    from mlxterp_engine.runlog.npz import npz_bytes  # numpy

    try:
        write_whole(out, npz_bytes(result))
    except OSError as error:
        raise BadInput(f"{out} could not be written: {error.strerror or error}") from None
    print(f"written to {out}", file=sys.stderr)


_COMMANDS = {
    "list": Subcommand("all runs, newest first", _list_options, _list),
    "show": Subcommand("all of one run", _show_options, _show),
    "replay": Subcommand(
        "run it again, and how far the numbers moved", _replay_options, runs_replay.run
    ),
    "compare": Subcommand("how far one result lies from another", _compare_options, _compare),
    "export": Subcommand(runs_export.ABOUT, runs_export.options, runs_export.run),
    "tag": Subcommand("tag a run", _tag_options, _tag),
    "note": Subcommand("write down what is to be said of a run", _note_options, _note),
    "delete": Subcommand("hide a run; it can be restored for a month", _id, _delete),
    "restore": Subcommand("undo delete", _id, _restore),
}
