"""A real pseudo-terminal with an app in it, for tests of bytes and times."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

COLUMNS, LINES = 400, 50


class Terminal:
    """A pseudo-terminal with an app in it."""

    def __init__(self, arguments: list[str], environ: dict[str, str]) -> None:
        """arguments: what Python is started with, e.g. ["-c", code]."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        os.set_blocking(ours, False)
        self.fd = ours
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**clean(os.environ), "TEXTUAL_ANIMATIONS": "none", **environ},
            start_new_session=True,
        )
        os.close(theirs)

    def read_until_quiet(self, quiet: float, first: float | None = None) -> tuple[bytes, float]:
        """What arrives until nothing does for so many seconds, and when the last of it came.

        first: how long to wait for the first of it, where that may be longer.
        """
        received, start = b"", time.perf_counter()
        last, patience = start, quiet if first is None else first
        while select.select([self.fd], [], [], patience)[0]:
            try:
                received += os.read(self.fd, 1 << 16)
            except OSError:
                break
            last, patience = time.perf_counter(), quiet
        return received, last - start

    def wait_for(self, text: bytes) -> None:
        """Read until that text came, and not longer."""
        received, end = b"", time.monotonic() + 30
        while text not in received:
            assert time.monotonic() < end, f"no {text!r} in {received[-500:]!r}"
            if select.select([self.fd], [], [], 1.0)[0]:
                received += os.read(self.fd, 1 << 16)

    def send(self, key: str) -> None:
        """Press it, and read nothing."""
        os.write(self.fd, key.encode())

    def press(self, key: str, patience: float = 10.0, quiet: float = 0.1) -> tuple[int, float]:
        """Bytes and milliseconds that a key costs, until `quiet` seconds bring no more.

        patience: how long to wait for the first byte.
        """
        self.send(key)
        received, seconds = self.read_until_quiet(quiet, first=patience)
        return len(received), seconds * 1000

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.fd)


def clean(environ) -> dict[str, str]:
    # COLUMNS and LINES, which pytest-xdist sets, would win over the terminal's own size.
    left_out = ("NO_COLOR", "COLORTERM", "TEXTUAL_COLOR_SYSTEM", "LC_ALL", "COLUMNS", "LINES")
    kept = {name: value for name, value in environ.items() if name not in left_out}
    return kept | {"LANG": "C.UTF-8"}
