"""The engine process: `python -m mlxterp_engine.worker --socket PATH | --fd N`."""

from __future__ import annotations

import argparse
import faulthandler
import fcntl
import logging
import os
import socket
import sys
from pathlib import Path

from mlxterp_engine import folders
from mlxterp_engine.experiments import Result
from mlxterp_engine.worker import launch
from mlxterp_engine.worker.archive import Archive
from mlxterp_engine.worker.runner import Workbench
from mlxterp_engine.worker.server import IDLE_STOP, Server

NICENESS = 5
BACKLOG = 64


def main() -> int:
    arguments = _arguments()
    faulthandler.enable()
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s [%(process)d] %(levelname)s %(name)s: %(message)s",
    )
    if arguments.fd is not None:
        os.set_inheritable(arguments.fd, False)
        return _serve(socket.socket(fileno=arguments.fd), arguments)
    if not _is_the_only_one(arguments.socket):
        return launch.ANOTHER_RUNS
    os.nice(NICENESS)
    return _serve(_listen(arguments.socket), arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mlxterp-engine", description=__doc__)
    door = parser.add_mutually_exclusive_group(required=True)
    door.add_argument("--socket", type=Path, help="serve everybody who is us, on this path")
    door.add_argument("--fd", type=int, help="serve the one client at the other end")
    parser.add_argument("--log", type=Path, required=True, help="where standard error goes")
    parser.add_argument("--idle", type=float, default=IDLE_STOP, help="seconds; then stop")
    parser.add_argument("--workbench", default=launch.WORKBENCH, help="MODULE:CALLABLE")
    return parser.parse_args()


def _serve(door: socket.socket, arguments: argparse.Namespace) -> int:
    server = Server(
        door,
        arguments.fd is not None,
        Archive(folders.jobs_folder()),
        arguments.log,
        check_writable=_check_writable,
        write=_write,
        idle=arguments.idle,
    )
    server.work(lambda: _open_workbench(arguments.workbench))
    return 0


def _open_workbench(name: str) -> Workbench:
    """Imports MLX, and everything slow with it."""
    import importlib

    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)()


def _check_writable(path: str) -> None:
    from mlxterp_engine.techniques.npz import check_writable

    check_writable(path)


def _write(result: Result, path: str) -> None:
    from mlxterp_engine.techniques.npz import write_npz

    write_npz(result, path)


def _is_the_only_one(path: Path) -> bool:
    """Whether this process may serve the socket; true for one process at a time.

    The lock is never closed: the kernel lets go of it when the process is wholly gone, which
    is what a program that waits for the end of an engine wants to know.
    """
    lock = os.open(launch.lock_of(path), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _listen(path: Path) -> socket.socket:
    """A listening socket of mode 0600. What lies there was left by a dead engine."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    return listener


if __name__ == "__main__":
    sys.exit(main())
