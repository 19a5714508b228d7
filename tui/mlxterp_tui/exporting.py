"""Writing a pane to a file: as a picture, a table, or all of its numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mlxterp_engine.experiments import BadInput
from mlxterp_tui.folders import write_whole
from mlxterp_tui.panes.pane import Pane

SUFFIXES = (".svg", ".tsv", ".json")


def suggested_exports(pane: Pane) -> list[str]:
    return [pane.suggested_name() + suffix for suffix in SUFFIXES]


def export(path: Path, pane: Pane, screenshot: Callable[[], str]) -> None:
    """Write the pane in the format that the name ends with. BadInput in words."""
    if path.suffix not in SUFFIXES:
        raise BadInput(f"{str(path)!r} ends in no format; end it in .svg, .tsv or .json")
    if not path.absolute().parent.is_dir():
        raise BadInput(f"{path} is in {path.parent}, which is no folder; make it first")
    text = screenshot() if path.suffix == ".svg" else pane.exported(path.suffix)
    try:
        write_whole(path, text.encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise BadInput(f"{path} could not be written ({error.strerror}); name another") from None
