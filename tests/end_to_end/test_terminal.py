"""The whole app in a real terminal, with the real engine and the default model."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PATIENCE = 60.0

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")


class Terminal:
    """A tmux server of its own with one window, in which the app runs."""

    def __init__(self, home: Path, term: str, truecolor: bool) -> None:
        self.home = home
        self.socket = f"mlxterp-{uuid.uuid4().hex[:8]}"
        environment = {
            "MLXTERP_HOME": str(home),
            "TERM": term,
            "LC_ALL": "C.UTF-8",
            "COLORTERM": "truecolor" if truecolor else "",
        }
        settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        # pytest sets COLUMNS and LINES, which would stand for the size for ever.
        unset = "env -u NO_COLOR -u COLUMNS -u LINES"
        command = f"{unset} {settings} {sys.executable} -m mlxterp_tui; echo EXIT=$?; cat"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", command)

    def tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self.socket, *words], capture_output=True, text=True, check=True
        )
        return done.stdout

    @property
    def text(self) -> str:
        return self.tmux("capture-pane", "-p")

    @property
    def colours(self) -> str:
        return self.tmux("capture-pane", "-p", "-e")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tmux("send-keys", key)

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)

    def resize(self, columns: int, lines: int) -> None:
        self.tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def sees(self, words: str) -> None:
        self.until(lambda: words in self.text, words)

    def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"never came: {what}\n{self.text}"
            time.sleep(0.05)

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], capture_output=True)


def engine_command(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return command(home, "engine", *words)


def command(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mlxterp_tui", *words],
        env=os.environ | {"MLXTERP_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.fixture
def terminal(home_with_model: Path) -> Iterator[Callable[..., Terminal]]:
    """`terminal(term, truecolor)`: the app, just started; its engine is stopped at the end."""
    opened: list[Terminal] = []

    def start(term: str = "tmux-256color", truecolor: bool = True) -> Terminal:
        opened.append(Terminal(home_with_model, term, truecolor))
        return opened[-1]

    yield start
    for one in opened:
        one.close()
    engine_command(home_with_model, "stop", "--force")


def test_open_type_see_resize_quit(terminal, home_with_model):
    screen = terminal()
    screen.sees("The capital of France is")
    screen.sees("' Paris'")
    screen.type("The capital of Italy is")
    screen.press("Enter")
    screen.sees("' Rome'")
    screen.resize(80, 24)
    screen.sees("1 Lens")
    screen.resize(140, 44)
    screen.until(lambda: "' Rome' on top from" in screen.text, "the inspector beside the grid")
    screen.press("Escape")
    screen.until(lambda: "m metric" in screen.text, "the pane's keys")
    screen.press("q")
    screen.sees("EXIT=0")


def test_what_is_typed_in_one_burst_all_arrives_where_it_belongs(terminal):
    """A slow line bundles keys: none may reach the part that had the keyboard before."""
    screen = terminal()
    screen.sees("' Paris'")
    screen.press("Escape")
    screen.until(lambda: "m metric" in screen.text, "the pane's keys")
    screen.type(":metric kl\r")
    screen.sees("KL(final ‖ row), nats")
    screen.type("iThe capital of Italy is\r")
    screen.sees("' Rome'")
    screen.type("i\x1b3")  # Escape and 3, not Alt with 3, which would put £ into the prompt
    screen.sees("engine log")
    assert "£" not in screen.text


def test_where_nothing_can_be_fetched_it_opens_on_the_tiny_model_and_says_so(
    terminal, home_with_model, monkeypatch
):
    (home_with_model / "models").unlink()
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "HF_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    screen = terminal()
    screen.sees("glass-tiny · f32")
    screen.sees("cannot be fetched")
    screen.sees("blocks.3.resid_post")


def test_a_terminal_that_is_killed_comes_back_where_it_was(terminal, home_with_model):
    first = terminal()
    first.sees("' Paris'")
    first.type("The capital of Italy is")
    first.press("Enter")
    first.sees("run 2 saved")
    kept = home_with_model / "state" / "session" / "session.json"
    first.until(lambda: json.loads(kept.read_bytes())["runs"] == {"lens": 2}, "a kept session")
    first.close()
    again = terminal()
    again.sees("run 2 of the log")
    again.sees("' Rome'")
    again.sees("The capital of Italy is")


def test_a_run_of_the_app_replays_without_a_screen_and_without_drift(terminal, home_with_model):
    screen = terminal()
    screen.sees("run 1 saved")
    replayed = command(home_with_model, "runs", "replay", "1", "--json")
    assert replayed.returncode == 0, replayed.stderr
    told = json.loads(replayed.stdout)
    assert told["of"] == 1
    assert told["drift"]
    assert set(told["drift"].values()) == {0}


def test_the_engine_stays_and_the_next_start_finds_it(terminal, home_with_model):
    first = terminal()
    first.sees("' Paris'")
    first.press("C-q")
    first.sees("EXIT=0")
    running = engine_command(home_with_model, "status", "--json")
    assert running.returncode == 0, running.stderr
    again = terminal()
    again.sees("' Paris'")
    assert engine_command(home_with_model, "status", "--json").stdout[:12] == running.stdout[:12]


def test_after_leaving_and_stopping_nothing_is_left_running(terminal, home_with_model):
    screen = terminal()
    screen.sees("' Paris'")
    screen.press("C-q")
    screen.sees("EXIT=0")
    assert engine_command(home_with_model, "stop").returncode == 0
    assert engine_command(home_with_model, "status").returncode == 1
    assert list((home_with_model / "run").glob("*.sock")) == []


@pytest.mark.parametrize(
    ("truecolor", "sign"), [(True, "48;2;"), (False, "48;5;")], ids=["truecolor", "256"]
)
def test_colours_are_those_that_the_terminal_has(terminal, truecolor, sign):
    screen = terminal("screen-256color", truecolor)
    screen.sees("' Paris'")
    assert sign in screen.colours
    if not truecolor:
        assert "48;2;" not in screen.colours


def quiet_for(screen, sent: Path, seconds: float) -> int:
    """Wait until nothing was sent for so long; all that was sent until then, in bytes."""
    size, since = sent.stat().st_size, time.monotonic()

    def quiet() -> bool:
        nonlocal size, since
        if sent.stat().st_size != size:
            size, since = sent.stat().st_size, time.monotonic()
        return time.monotonic() - since > seconds

    screen.until(quiet, f"{seconds} s without a byte")
    return size


def test_idle_it_sends_nothing(terminal, tmp_path):
    screen = terminal()
    screen.sees("' Paris'")
    screen.press("Escape")
    screen.until(lambda: "m metric" in screen.text, "the pane's keys")
    sent = tmp_path / "sent"
    screen.tmux("pipe-pane", "-O", f"cat > {shlex.quote(str(sent))}")
    screen.until(sent.exists, "the pipe")
    settled = quiet_for(screen, sent, 0.5)
    assert quiet_for(screen, sent, 2) == settled
    before = settled
    screen.press("j")
    screen.until(lambda: sent.stat().st_size > before, "an answer to a key")


def test_when_the_engine_is_killed_r_brings_it_back(terminal, home_with_model):
    screen = terminal()
    screen.sees("' Paris'")
    status = json.loads(engine_command(home_with_model, "status", "--json").stdout)
    os.kill(status["pid"], 9)
    screen.sees("R restarts the engine")
    screen.press("R")
    screen.sees("engine ready")
    screen.until(lambda: "not open yet" not in screen.text, "the model again")
