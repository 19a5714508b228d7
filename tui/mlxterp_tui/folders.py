"""Where the screen keeps its files, and how it writes them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from mlxterp_engine import folders


def config_file() -> Path:
    """`$MLXTERP_HOME/config.toml`, else in the user's own config folder."""
    return (folders.home() or folders.config_folder()) / "config.toml"


def state_file(name: str) -> Path:
    """History, the last copy: beside the engine's logs."""
    return folders.state_folder() / name


def write_whole(path: Path, data: bytes) -> None:
    """Write all of it or nothing: a temporary file beside it, flushed to disk and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = f"{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_name(f".{path.name}.{writer}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
