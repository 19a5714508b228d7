"""What a session leaves for the next one: a JSON file a workspace. No Textual in here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.experiments.request import Bos
from mlxterp_engine.whole_files import write_whole
from mlxterp_tui.live import Switch

import msgspec

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
UNNAMED = "default"  # how the workspace without a name is called
SUFFIX, DELETED, UNREADABLE = ".json", ".deleted", ".unreadable"
VERSION = 1


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session stood. None and "": nothing was remembered.

    runs: by pane, the recorded run that it showed. panes: what each remembers of itself.
    pinned_runs: those at the top of this workspace's list of runs.
    """

    version: int = VERSION
    prompt: str = ""
    model: str | None = None
    bos: Bos | None = None
    chat: bool = False
    live: Switch = "auto"
    pane: str = ""
    zoomed: bool = False
    runs: dict[str, int] = {}
    pinned_runs: list[int] = []
    panes: dict[str, dict[str, Any]] = {}


class Workspaces:
    """The files in one folder. The workspace without a name is where one begins."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, name: str) -> tuple[Remembered, str]:
        """What was remembered; and a sentence when that was not to be read: then the defaults,
        and the file is put aside under another name."""
        path = self._path(name)
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Remembered)
            if found.version > VERSION:
                raise ValueError(f"version {found.version}, from a newer mlxterp-tui")
        except FileNotFoundError:
            return Remembered(), ""
        except OSError as error:
            return Remembered(), f"session {path} could not be read ({error.strerror}); a fresh one"
        except (ValueError, msgspec.MsgspecError) as error:
            return Remembered(), (
                f"session {path} could not be read ({error}); a fresh one; {_put_aside(path)}"
            )
        return found, ""

    def save(self, name: str, remembered: Remembered) -> None:
        """Whole or not at all. Raises OSError."""
        encoded = msgspec.json.format(msgspec.json.encode(remembered), indent=1)
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, encoded)

    def names(self) -> list[str]:
        """Those with a name, in order."""
        return self._ending_in(SUFFIX)

    def is_there(self, name: str) -> bool:
        return self._path(name).exists()

    def deleted(self) -> list[str]:
        """Those that can be brought back."""
        return self._ending_in(SUFFIX + DELETED)

    def delete(self, name: str) -> None:
        """Out of the list, until `restore`. BadInput when there is none."""
        self._move(name, "", DELETED, f"there is no workspace {name!r}", self.names())

    def restore(self, name: str) -> None:
        """Undo `delete`."""
        if name in self.names():
            raise BadInput(f"there is a workspace {name!r} again; delete that one first")
        self._move(name, DELETED, "", f"no workspace {name!r} was deleted", self.deleted())

    def _move(self, name: str, before: str, after: str, missing: str, known: list[str]) -> None:
        path = self._path(checked(name))
        if not checked(name):
            raise BadInput("the workspace without a name is always there; name another one")
        try:
            path.with_name(path.name + before).replace(path.with_name(path.name + after))
        except FileNotFoundError:
            there = ", ".join(known) or "none"
            raise BadInput(f"{missing}; there are: {there}") from None

    def _ending_in(self, suffix: str) -> list[str]:
        folder = self._folder / "workspaces"
        if not folder.is_dir():
            return []
        return sorted(path.name.removesuffix(suffix) for path in folder.glob(f"*{suffix}"))

    def _path(self, name: str) -> Path:
        if not name:
            return self._folder / f"session{SUFFIX}"
        return self._folder / "workspaces" / f"{name}{SUFFIX}"


def checked(name: str) -> str:
    """The name, if it can be one of a file everywhere; "" for the one without a name."""
    if name in ("", UNNAMED):
        return ""
    if not NAME.fullmatch(name):
        raise BadInput(
            f"workspace {name!r}: a name has up to 40 letters, digits, dots, - and _, "
            "and begins with a letter or digit"
        )
    return name


def _put_aside(path: Path) -> str:
    """So that the next session does not write over it. In words, what became of it."""
    aside = path.with_name(path.name + UNREADABLE)
    try:
        path.replace(aside)
    except OSError as error:
        return f"it stays where it is ({error.strerror})"
    return f"it lies in {aside}"
