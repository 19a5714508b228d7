"""Where an export goes: a file that is whole or not there, or standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.whole_files import write_whole
from mlxterp_tui.exports.formats import FORMATS

STANDARD_OUTPUT = "-"


def format_of(path: Path) -> str:
    """The format that a file's name ends in."""
    name = path.suffix.removeprefix(".").lower()
    if name not in FORMATS:
        raise BadInput(f"{str(path)!r} ends in no format; end it in {_one_of_all()}")
    return name


def checked_file(path: Path) -> Path:
    """BadInput, before anything is drawn, where the file could not be written."""
    if path.is_dir():
        raise BadInput(f"{path} is a folder; name a file in it")
    if not path.absolute().parent.is_dir():
        raise BadInput(f"{path} is in {path.parent}, which is no folder; make it first")
    return path


def put(path: Path, data: bytes) -> None:
    """Write the file. What was there is replaced whole, or stays as it was."""
    try:
        write_whole(path, data)
    except OSError as error:
        wrong = error.strerror or error
        raise BadInput(f"{path} could not be written ({wrong}); name another") from None


def print_out(data: bytes) -> None:
    """To standard output, as it is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _one_of_all() -> str:
    *most, last = (f".{name}" for name in FORMATS)
    return f"{', '.join(most)} or {last}"
