"""Writing what a pane shows to a file, in the format that the file's name ends in."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mlxterp_engine.experiments import BadInput, EngineError
from mlxterp_tui.panes.pane import Pane

if TYPE_CHECKING:
    from mlxterp_tui.app import MlxterpApp
    from mlxterp_tui.logbook import Stored

# The formats are imported when something is exported: the first frame needs none.
PICTURES = (".svg", ".png")
OF_NUMBERS = (".json", ".csv", ".tsv", ".npz")
OF_RUNS = (".md", ".py", *OF_NUMBERS)


def suggested_exports(pane: Pane) -> list[str]:
    """Names that would work now."""
    written = OF_RUNS if pane.result is not None or pane.run_id is not None else pane.writes
    return [pane.suggested_name() + suffix for suffix in (*PICTURES, *written)]


async def export(app: MlxterpApp, path: Path) -> None:
    """Write the pane that is shown, and say where; or say why not."""
    from mlxterp_tui.exports.destination import checked_file, format_of, put

    try:
        name = format_of(path)
        data = await _written(app, checked_file(path), name)
        await asyncio.to_thread(put, path, data)
    except EngineError as error:
        app.report(error)
    else:
        app.tell(f"written: {path.absolute()}")


async def _written(app: MlxterpApp, path: Path, name: str) -> bytes:
    """Formats are made in a thread: a long table takes seconds."""
    from mlxterp_tui.exports.formats import encoded, written
    from mlxterp_tui.exports.picture import keeping_spaces
    from mlxterp_tui.exports.raster import png

    pane, suffix = app.main.pane, path.suffix.lower()
    if suffix in PICTURES:
        picture = encoded(keeping_spaces(app.export_screenshot()))
        return picture if suffix == ".svg" else await asyncio.to_thread(png, picture)
    if suffix in pane.writes:
        return encoded(pane.exported(suffix))
    return await asyncio.to_thread(written, name, await _shown(app, pane, suffix))


async def _shown(app: MlxterpApp, pane: Pane, suffix: str) -> Stored:
    """The pane's run; what the log says of it is asked where it will be written."""
    from mlxterp_tui.exports.naming import unrecorded
    from mlxterp_tui.logbook import Stored

    run, result = pane.run_id, pane.result
    if result is not None and (run is None or suffix in OF_NUMBERS):
        return Stored(unrecorded(result, time.time()), result)
    if run is None:
        raise BadInput(f"there is nothing to write as {suffix} yet; run a prompt first")
    if result is None:
        return await app.logbook.stored(run)
    return Stored((await app.logbook.known(run)).record, result)
