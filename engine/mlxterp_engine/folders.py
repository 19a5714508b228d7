"""Where the engine's files lie. `MLXTERP_HOME` puts all of them under one folder."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path

from mlxterp_engine.experiments import BadInput

NAME = "mlxterp"
HOME_VARIABLE = "MLXTERP_HOME"
# sun_path holds 104 bytes on macOS and 108 on Linux, the closing NUL included.
LONGEST_SOCKET_PATH = 103 if sys.platform == "darwin" else 107
_SOCKET = "engine.sock"


def home() -> Path | None:
    """The one folder that holds everything, when the user named one."""
    named = os.environ.get(HOME_VARIABLE)
    return Path(named).expanduser().absolute() if named else None


def runtime_folder() -> Path:
    """For the socket and the lock: mode 0700, and short enough for a socket path."""
    return private_folder(_short(_runtime_place()))


def state_folder() -> Path:
    """For logs and for the outcomes of jobs."""
    return private_folder(_place("state"))


def data_folder() -> Path:
    """For what is to be kept: the research log and its results."""
    return private_folder(_place("data"))


def config_folder() -> Path:
    """For what the user wrote: settings, themes. Not made here."""
    return _place("config")


def socket_path() -> Path:
    return runtime_folder() / _SOCKET


def log_path() -> Path:
    """The background engine's log."""
    return state_folder() / "engine.log"


def run_log_path() -> Path:
    """The log of engines that serve one `mlxterp-tui run`."""
    return state_folder() / "run.log"


def jobs_folder() -> Path:
    """One file for each job that has ended."""
    return private_folder(state_folder() / "jobs")


def _place(kind: str) -> Path:
    if (under := home()) is not None:
        return under / kind
    import platformdirs

    return {
        "state": platformdirs.user_state_path,
        "data": platformdirs.user_data_path,
        "config": platformdirs.user_config_path,
    }[kind](NAME, appauthor=False)


def _runtime_place() -> Path:
    if (under := home()) is not None:
        return under / "run"
    if session := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(session) / NAME
    return _temporary(NAME)


def _temporary(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"


def _short(folder: Path) -> Path:
    """The folder itself, or a hashed name in a short place when a socket would not fit."""
    if len(os.fsencode(folder / _SOCKET)) <= LONGEST_SOCKET_PATH:
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    short = _temporary(f"{NAME}-{digest}")
    return short if len(os.fsencode(short / _SOCKET)) <= LONGEST_SOCKET_PATH else _last(short)


def _last(folder: Path) -> Path:
    return Path("/tmp") / folder.name


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"{folder} can't be made ({error.strerror}); name another place in {HOME_VARIABLE}"
        ) from error
    return folder


def private_folder(folder: Path) -> Path:
    """The folder, made if need be, ours, and closed to everybody else."""
    status = _made(folder).stat()
    if status.st_uid != os.getuid():
        raise BadInput(
            f"{folder} belongs to user {status.st_uid}, not to you; "
            f"remove it, or name another place in {HOME_VARIABLE}"
        )
    if status.st_mode & 0o077:
        folder.chmod(0o700)
    return folder
