"""Where the screen keeps its files."""

from __future__ import annotations

from pathlib import Path

from mlxterp_engine import folders


def config_file() -> Path:
    """`$MLXTERP_HOME/config.toml`, else in the user's own config folder."""
    return (folders.home() or folders.config_folder()) / "config.toml"


def state_file(name: str) -> Path:
    """History, the last copy: beside the engine's logs."""
    return folders.state_folder() / name
