"""Copying that says truthfully where the text went.

Over SSH the only road to the user's own clipboard is OSC 52, which the terminal may ignore
without a word; so it is "sent", never "copied". A last-copy file is always written.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mlxterp_engine.whole_files import write_whole

# Terminals drop longer OSC 52 sequences silently (xterm's and tmux's limit is about 100 kB).
LONGEST_OSC = 74_000

LOCAL_TOOLS = (
    ("pbcopy", ("pbcopy",), None),
    ("wl-copy", ("wl-copy",), "WAYLAND_DISPLAY"),
    ("xclip", ("xclip", "-selection", "clipboard"), "DISPLAY"),
)


def is_remote(environment: Mapping[str, str]) -> bool:
    return "SSH_CONNECTION" in environment or "SSH_TTY" in environment


def local_tool(environment: Mapping[str, str]) -> tuple[str, tuple[str, ...]] | None:
    """The clipboard program of this machine, when there is one that can work here."""
    for name, command, variable in LOCAL_TOOLS:
        if shutil.which(name) and (variable is None or environment.get(variable)):
            return name, command
    return None


def osc52(text: str, in_tmux: bool) -> str:
    """The sequence that asks a terminal to take the text.

    tmux takes the plain one (`set-clipboard on`) or passes the wrapped one to the terminal
    outside (`allow-passthrough on`), so inside it both are sent.
    """
    payload = base64.b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")
    sequence = f"\x1b]52;c;{payload}\a"
    if in_tmux:
        return sequence + "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    return sequence


class Copied(NamedTuple):
    """What was done, in words, and what the terminal must still be sent ("" for nothing)."""

    sentence: str
    sequence: str


def copy(text: str, last_copy: Path, environment: Mapping[str, str]) -> Copied:
    """Copy by the best way there is. May take seconds: not for the event loop."""
    kept = _keep(text, last_copy)
    tool = None if is_remote(environment) else local_tool(environment)
    if tool is not None and _run(tool[1], text):
        return Copied(f"copied with {tool[0]}; {kept}", "")
    sequence = osc52(text, "TMUX" in environment)
    if len(sequence) > LONGEST_OSC:
        return Copied(f"too long for the terminal's clipboard ({len(text)} characters); {kept}", "")
    return Copied(f"sent to the terminal (OSC 52; some ignore it); {kept}", sequence)


def _run(command: tuple[str, ...], text: str) -> bool:
    try:
        done = subprocess.run(
            command,
            input=text.encode("utf-8", "surrogatepass"),
            timeout=2,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _keep(text: str, path: Path) -> str:
    try:
        write_whole(path, text.encode("utf-8", "surrogatepass"))
    except OSError as error:
        return f"not kept in {path} ({error.strerror})"
    return f"kept in {path}"
