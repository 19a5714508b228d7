"""Find the background engine, start one, or start one of our own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, NamedTuple

from mlxterp_engine import folders
from mlxterp_engine.experiments import RunFailed
from mlxterp_engine.worker import log_file

WORKBENCH = "mlxterp_engine.worker.workbench:Workbench"
WORKBENCH_VARIABLE = "MLXTERP_WORKBENCH"
IDLE_VARIABLE = "MLXTERP_IDLE_SECONDS"
ANOTHER_RUNS = 75  # exit status of an engine that found the place taken
START_PATIENCE = 20.0  # seconds until a new engine must answer; it does in 0.3
STOP_PATIENCE = 15.0
_POLL = 0.02


class NoEngine(RunFailed):
    """No engine is running, and none was to be started."""


class Line(NamedTuple):
    """A connection to an engine. since: bytes of older log; process: known if we started it."""

    socket: socket.socket
    log: Path
    since: int
    process: subprocess.Popen[bytes] | None
    private: bool


def find(start: bool = True) -> Line:
    """A line to the background engine. Raises NoEngine, or RunFailed when it would not start."""
    since = log_file.size_of(folders.log_path())
    connected = _connected(folders.socket_path())
    if connected is not None:
        return Line(connected, folders.log_path(), since, None, private=False)
    if not start:
        raise NoEngine("no engine is running; start it: mlxterp-tui engine start")
    return _start_and_connect()


def private() -> Line:
    """An engine with one client, us; it ends when the line is cut."""
    ours, theirs = socket.socketpair()
    log = folders.run_log_path()
    log_file.rotate(log)
    since = log_file.size_of(log)
    with theirs:
        process = _spawn(["--fd", str(theirs.fileno())], log, (theirs.fileno(),))
    return Line(ours, log, since, process, private=True)


def see_off(line: Line, patience: float = STOP_PATIENCE) -> None:
    """Until a private engine, whose line was cut, has ended; by force if it must be."""
    assert line.process is not None
    try:
        line.process.wait(patience)
    except subprocess.TimeoutExpired:
        line.process.kill()
        line.process.wait()


def wait_until_gone(line: Line, patience: float = STOP_PATIENCE) -> None:
    """Until the background engine's process has ended. RunFailed when it does not."""
    deadline = time.monotonic() + patience
    while _is_locked(lock_of(folders.socket_path())):
        if time.monotonic() > deadline:
            raise RunFailed(f"the engine did not stop within {patience:.0f} s; see {line.log}")
        time.sleep(_POLL)
    if line.process is not None:
        line.process.wait()


def lock_of(path: Path) -> Path:
    """The file that the engine of this socket holds locked while it lives."""
    return path.with_suffix(".lock")


def how_it_ended(process: subprocess.Popen[bytes], patience: float = 1.0) -> str:
    """`signal 9`, `exit status 1`; empty when it has not ended."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    if process.returncode is None:
        return ""
    code = process.returncode
    return f"signal {-code}" if code < 0 else f"exit status {code}"


def _start_and_connect() -> Line:
    """Start an engine, unless another program did so while we waited for our turn."""
    path, log = folders.socket_path(), folders.log_path()
    deadline = time.monotonic() + START_PATIENCE
    with path.with_suffix(".start").open("a") as turn:
        _wait_for(turn, deadline)
        since = log_file.size_of(log)
        if (connected := _connected(path)) is not None:
            return Line(connected, log, since, None, private=False)
        log_file.rotate(log)
        return _started(path, log, deadline)


def _started(path: Path, log: Path, deadline: float) -> Line:
    """A line to a new engine. One that still ends holds the place: then it is tried again."""
    since = log_file.size_of(log)
    process = _spawn(["--socket", str(path)], log)
    while time.monotonic() < deadline:
        if (connected := _connected(path)) is not None:
            return Line(connected, log, since, process, private=False)
        if process.poll() == ANOTHER_RUNS:
            process = _spawn(["--socket", str(path)], log)
        elif process.poll() is not None:
            raise _failed_to_start(f"it ended with {how_it_ended(process)}", log, since)
        time.sleep(_POLL)
    process.terminate()
    raise _failed_to_start(f"it did not answer within {START_PATIENCE:.0f} s", log, since)


def _wait_for(turn: IO[str], deadline: float) -> None:
    """Until no other program is starting an engine; it has taken too long at the deadline."""
    while time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_POLL)


def _failed_to_start(how: str, log: Path, since: int) -> RunFailed:
    lines = log_file.tail(log, since)
    last = f": {lines[-1]}" if lines else ""
    return RunFailed(f"the engine could not start: {how}{last}; see {log}", "\n".join(lines))


def _spawn(door: list[str], log: Path, inherited: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
    """An engine process that no closed terminal and no Ctrl-C reaches."""
    command = [sys.executable, "-P", "-m", "mlxterp_engine.worker", *door, "--log", str(log)]
    if idle := os.environ.get(IDLE_VARIABLE):
        command += ["--idle", idle]
    if workbench := os.environ.get(WORKBENCH_VARIABLE):
        command += ["--workbench", workbench]
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            pass_fds=inherited,
        )
    finally:
        os.close(output)


def _connected(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
