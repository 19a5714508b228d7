"""What stopped runs had computed, so that the same request goes on from there.

A file for each piece of work, named by a hash of all that its numbers depend on; whole or not
there. Where it can't be written or read nothing is lost but time. What nobody came back for is
removed after a month.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlxterp_engine import folders
from mlxterp_engine.experiments import EngineError
from mlxterp_engine.whole_files import write_whole

import msgspec

logger = logging.getLogger(__name__)

SUFFIX = ".part"
FORGET_AFTER = 30 * 86400.0  # seconds


def name_of(*what: Any) -> str:
    """The hash of what a piece of work's numbers depend on, as msgspec writes it."""
    return hashlib.sha256(msgspec.msgpack.encode(what)).hexdigest()


class Unfinished:
    """The pieces of one run. folder: asked for when it is first needed."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._names: set[str] = set()
        self._opened: Path | None = None

    def read(self, name: str) -> bytes | None:
        """None where there is nothing."""
        self._names.add(name)
        try:
            return (self._place() / f"{name}{SUFFIX}").read_bytes()
        except FileNotFoundError:
            return None
        except (OSError, EngineError) as error:
            logger.warning("what a stopped run left can't be read: %s", error)
            return None

    def write(self, name: str, data: bytes) -> None:
        self._names.add(name)
        try:
            write_whole(self._place() / f"{name}{SUFFIX}", data, permissions=0o600)
        except (OSError, EngineError) as error:
            logger.warning("what is computed so far can't be kept: %s", error)

    def finished(self) -> None:
        """The run is done: let go of its pieces."""
        with contextlib.suppress(OSError, EngineError):
            for name in self._names:
                (self._place() / f"{name}{SUFFIX}").unlink(missing_ok=True)

    def _place(self) -> Path:
        if self._opened is None:
            self._opened = folders.private_folder(self._folder())
            _forget_old_ones(self._opened)
        return self._opened


def _forget_old_ones(folder: Path) -> None:
    before = time.time() - FORGET_AFTER
    for path in folder.glob(f"*{SUFFIX}"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < before:
                path.unlink()
