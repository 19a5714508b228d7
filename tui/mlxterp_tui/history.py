"""Prompts typed before, newest last, kept across sessions."""

from __future__ import annotations

import json
from pathlib import Path

from mlxterp_engine.whole_files import write_whole

LONGEST = 500


class History:
    """Walk back with `older`, forward with `newer`; what was being typed is the newest end.

    A file that cannot be read or written is as good as an empty one: `trouble` says why.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble = ""
        self.entries = self._read()
        self._at = len(self.entries)
        self._draft = ""

    def older(self, current: str) -> str | None:
        """The entry before the one shown, other than it; None at the oldest."""
        before = self._at - 1
        while before >= 0 and self.entries[before] == current:
            before -= 1
        if before < 0:
            return None
        if self._at == len(self.entries):
            self._draft = current
        self._at = before
        return self.entries[before]

    def newer(self) -> str | None:
        """The entry after the one shown, at last the draft; None when already there."""
        if self._at >= len(self.entries):
            return None
        self._at += 1
        return self._draft if self._at == len(self.entries) else self.entries[self._at]

    def add(self, text: str) -> None:
        """Remember at the newest end, for `save` to keep; a repeated entry moves there."""
        self.entries = [entry for entry in self.entries if entry != text][-LONGEST + 1 :]
        self.entries.append(text)
        self._at = len(self.entries)
        self._draft = ""

    def save(self) -> None:
        """Keep the entries. Waits for the disk: not for the event loop."""
        try:
            text = json.dumps(self.entries, ensure_ascii=False, indent=0)
            write_whole(self.path, text.encode("utf-8", "surrogatepass"))
        except OSError as error:
            self.trouble = f"history {self.path} could not be written ({error})"

    @property
    def last(self) -> str | None:
        return self.entries[-1] if self.entries else None

    def _read(self) -> list[str]:
        try:
            found = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            self.trouble = f"history {self.path} could not be read ({error}); starting empty"
            return []
        if not isinstance(found, list):
            self.trouble = f"history {self.path} is not a list of texts; starting empty"
            return []
        return [entry for entry in found if isinstance(entry, str)]
