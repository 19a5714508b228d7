"""Where fetched models lie, and whether there is room for them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mlxterp_engine.experiments import BadInput

import platformdirs

# Left free beside what a download needs, for logs and results.
SPARE_BYTES = 32 << 20


def models_folder() -> Path:
    """`$MLXTERP_HOME/models`, or the system's cache folder for this program."""
    home = os.environ.get("MLXTERP_HOME")
    if home:
        return Path(home).expanduser().absolute() / "models"
    return platformdirs.user_cache_path("mlxterp", appauthor=False) / "models"


def make_folder(folder: Path) -> None:
    """BadInput where it cannot be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"{folder} cannot be made ({error.strerror}); "
            "set MLXTERP_HOME to a folder you can write"
        ) from None
    if not os.access(folder, os.W_OK):
        raise BadInput(f"{folder} cannot be written; set MLXTERP_HOME to a folder you can write")


def check_space(folder: Path, needed: int) -> None:
    """BadInput unless `needed` bytes and a little more are free where the folder lies."""
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise BadInput(
            f"{folder} needs {size_text(needed + SPARE_BYTES)} and has {size_text(free)} free; "
            "make room, or set MLXTERP_HOME to a folder on another disk"
        )


def size_text(size: float) -> str:
    """98 MB, 1.2 GB: decimal, as downloads are given."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
