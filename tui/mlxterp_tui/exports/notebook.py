"""Many runs as a folder of Markdown: a page a run and an index, the same from the same runs.

Written again it changes only what has changed, keeps what it does not know, and deletes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.runlog.record import RunRecord
from mlxterp_tui.exports.destination import put
from mlxterp_tui.exports.escaping import prose
from mlxterp_tui.exports.formats import written
from mlxterp_tui.exports.naming import day, stem
from mlxterp_tui.exports.script import can_run_again
from mlxterp_tui.logbook import Stored

INDEX = "index.md"
BESIDE = ("py", "npz")
HEADING = "# Runs\n\n<!-- written by mlxterp-tui runs export, which keeps only its own entries -->"
_ENTRY = re.compile(r"^- \[.*\]\((\d{4}-\d\d-\d\d-(\d+)-[\w-]+\.md)\)")


class Notebook(NamedTuple):
    """What was done. changed: files that are other than before. troubles: unreadable results."""

    runs: int
    changed: list[Path]
    troubles: list[str]


def write_notebook(
    folder: Path, runs: Iterable[tuple[Stored, str]], beside: Sequence[str] = ()
) -> Notebook:
    """Runs, each with what of it could not be read. beside: formats to write beside the pages.

    The folder is made if its parent is there. BadInput where somebody else's file has a name
    that is needed: it is left as it is.
    """
    _ready(folder)
    index = _read_index(folder / INDEX)
    changed, troubles, count = [], [], 0
    for stored, trouble in runs:
        count += 1
        for path, data in _files(folder, stored, beside):
            changed += [path] if _update(path, data) else []
        index[stored.record.id] = _entry(stored.record)
        troubles += [trouble] if trouble else []
    entries = [index[run] for run in sorted(index, reverse=True)]
    if _update(folder / INDEX, ("\n\n".join([HEADING, *entries]) + "\n").encode()):
        changed.append(folder / INDEX)
    return Notebook(count, changed, troubles)


def _ready(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file; a notebook is a folder, name one")
    if not folder.absolute().parent.is_dir():
        raise BadInput(f"{folder} is in {folder.parent}, which is no folder; make it first")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder} could not be made ({error.strerror}); name another") from None


def _files(folder: Path, stored: Stored, beside: Sequence[str]) -> Iterator[tuple[Path, bytes]]:
    for name in ("md", *beside):
        if _has(stored, name):
            yield folder / f"{stem(stored.record)}.{name}", written(name, stored)


def _has(stored: Stored, name: str) -> bool:
    """A run that came to nothing has no numbers, a paper's card no script; its page says so."""
    if name == "npz":
        return stored.result is not None
    return name != "py" or can_run_again(stored.record)


def _update(path: Path, data: bytes) -> bool:
    """Whether the file had to be written."""
    before = path.read_bytes() if path.exists() else None
    if before == data:
        return False
    if before is not None and before[:5] != data[:5]:
        raise BadInput(f"{path} is not one of ours; move it, or export to another folder")
    put(path, data)
    return True


def _read_index(path: Path) -> dict[int, str]:
    """The entries of an index of ours by their runs, as long as their pages are there."""
    if not path.exists():
        return {}
    text = path.read_text("utf-8", "replace")
    if not text.startswith(HEADING):
        raise BadInput(f"{path} is not one of ours; move it, or export to another folder")
    found = {}
    for entry in text.removeprefix(HEADING).strip().split("\n\n"):
        known = _ENTRY.match(entry)
        if known and (path.parent / known[1]).exists():
            found[int(known[2])] = entry
    return found


def _entry(record: RunRecord) -> str:
    """Hypothesis, then what came out."""
    what = f"run {record.id}, {record.request['name']}"
    came = prose(record.headline or record.reason.partition("\n")[0] or record.kept)
    lines = [f"- [{what}]({stem(record)}.md) · {day(record)} · {record.state}"]
    lines += [f"expected: {_line(record.hypothesis)}"] if record.hypothesis else []
    lines += [f"result: {came}"] if came else []
    lines += [f"came out: {_line(record.outcome)}"] if record.outcome else []
    return "  \n  ".join(lines)


def _line(text: str) -> str:
    return prose(" ".join(text.split()))
