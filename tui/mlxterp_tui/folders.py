"""Where the screen keeps its files, and how it writes them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

HOME_VARIABLE = "MLXTERP_HOME"


def config_file() -> Path:
    """`$MLXTERP_HOME/config.toml`, else in the user's own config folder."""
    home = os.environ.get(HOME_VARIABLE)
    if home:
        return Path(home) / "config.toml"
    import platformdirs

    return Path(platformdirs.user_config_dir("mlxterp-tui")) / "config.toml"


def state_folder() -> Path:
    """History, the last copy: `$MLXTERP_HOME`, else the user's own state folder."""
    home = os.environ.get(HOME_VARIABLE)
    if home:
        return Path(home)
    import platformdirs

    return Path(platformdirs.user_state_dir("mlxterp-tui"))


def write_whole(path: Path, data: bytes) -> None:
    """Write all of it or nothing: a temporary file beside it, flushed to disk and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
