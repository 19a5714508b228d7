"""The formats that a run can be written in: one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from mlxterp_engine.experiments import BadInput, Result
from mlxterp_engine.runlog.npz import npz_bytes
from mlxterp_tui.exports import picture
from mlxterp_tui.exports.long_table import long_csv, long_tsv
from mlxterp_tui.exports.markdown import report
from mlxterp_tui.exports.patching_panels import patching_table
from mlxterp_tui.exports.picture import Size
from mlxterp_tui.exports.raster import png
from mlxterp_tui.exports.result_json import result_json, runs_jsonl
from mlxterp_tui.exports.script import script
from mlxterp_tui.logbook import Stored
from mlxterp_tui.panes.lens.stored import stored_run
from mlxterp_tui.panes.lens.text import table_tsv
from mlxterp_tui.panes.registry import PATCHINGS


class Format(NamedTuple):
    """write: a run, and how large a picture is to be, as the bytes of a file."""

    about: str
    is_text: bool
    write: Callable[[Stored, Size], bytes]


def written(name: str, stored: Stored, size: Size = picture.SIZE) -> bytes:
    """The run in the format of that name. BadInput when it has nothing for it."""
    return FORMATS[name].write(stored, size)


def needed(stored: Stored) -> Result:
    """The run's result. BadInput where it came to none."""
    if stored.result is None:
        record = stored.record
        raise BadInput(
            f"run {record.id} was {record.state} and has no numbers; md and py can be written"
            if record.state != "running"
            else f"run {record.id} has not ended yet; md and py can be written"
        )
    return stored.result


def _of_result(write: Callable[[Result], str]) -> Callable[[Stored, Size], bytes]:
    return lambda stored, _: encoded(write(needed(stored)))


def _of_run(write: Callable[[Stored], str]) -> Callable[[Stored, Size], bytes]:
    return lambda stored, _: encoded(write(stored))


def encoded(text: str) -> bytes:
    """UTF-8, wherever this is written; what is no character is escaped."""
    return text.encode("utf-8", "backslashreplace")


def _tsv(stored: Stored) -> str:
    result = needed(stored)
    if result.meta.experiment["name"] in ("logit-lens", "tuned-lens"):
        return table_tsv(stored_run(stored))
    if result.meta.experiment["name"] in PATCHINGS:
        return patching_table(result)
    return long_tsv(result)


def _svg(stored: Stored, size: Size) -> bytes:
    needed(stored)
    return encoded(picture.svg(stored, size))


FORMATS: Mapping[str, Format] = {
    "md": Format("a report, its figure drawn as text", True, _of_run(report)),
    "json": Format("all numbers, as run --json prints them", True, _of_result(result_json)),
    "jsonl": Format("a line a run", True, lambda stored, _: encoded(runs_jsonl([stored]))),
    "npz": Format("all arrays, for NumPy", False, lambda stored, _: npz_bytes(needed(stored))),
    "csv": Format("a row a cell, arrays as columns", True, _of_result(long_csv)),
    "tsv": Format("a table, as its pane writes it", True, lambda stored, _: encoded(_tsv(stored))),
    "svg": Format("a picture", True, _svg),
    "png": Format("a picture in pixels", False, lambda stored, size: png(_svg(stored, size))),
    "py": Format("a script that runs it again", True, _of_run(script)),
}
