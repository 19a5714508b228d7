"""The app on a recorded engine, in a fresh home, with nothing of the outside showing."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests import `recorded_engine` from here

from mlxterp_engine.experiments import Result
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.record import Recording as Said
from mlxterp_tui.app import MlxterpApp
from mlxterp_tui.arguments import AppArguments

import msgspec
from computing_engine import ComputingEngine
from recorded_engine import RecordedEngine, Recording
from textual.pilot import Pilot

PATIENCE = 200  # polls
NOTHING = Said()


@pytest.fixture(scope="session")
def recording() -> Recording:
    return Recording.load("smollm2")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh home, and a terminal of 24-bit colours without a clipboard of its own."""
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    for name in ("NO_COLOR", "TMUX", "DISPLAY", "WAYLAND_DISPLAY", "SSH_TTY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def log(home: Path) -> Iterator[RunLog]:
    """Where the app looks for it."""
    with RunLog.open() as opened:
        yield opened


@pytest.fixture
def add(log: RunLog, recording: Recording) -> Callable[..., int]:
    """Logs one of the recorded lenses; its number. changes: of the result's meta."""

    def added(number: int = 0, said: Said = NOTHING, **changes: object) -> int:
        run = recording.runs[number]
        outcome = run.events[-1].outcome  # type: ignore[union-attr]
        assert isinstance(outcome, Result)
        meta = msgspec.structs.replace(
            outcome.meta, **{"headline": f"lens {number}", "figures": {"kl_middle": 5.0}, **changes}
        )
        id = log.begin(run.task, said, run.price)  # type: ignore[arg-type]
        log.finish(id, msgspec.structs.replace(outcome, meta=meta))
        return id

    return added


@pytest.fixture
def cancelled(log: RunLog, recording: Recording) -> int:
    """A lens that was stopped after its first rows."""
    run = recording.runs[0]
    id = log.begin(run.task, NOTHING, run.price, model=recording.card)  # type: ignore[arg-type]
    log.cancelled(id, run.events[:8])  # type: ignore[arg-type]
    return id


class Screen:
    """The running app as a user has it: keys go in, text comes out."""

    def __init__(self, pilot: Pilot[None], app: MlxterpApp, engine: RecordedEngine) -> None:
        self.pilot, self.app, self.engine = pilot, app, engine

    @property
    def lines(self) -> list[str]:
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip) for strip in strips]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        names = {" ": "space", ":": "colon", '"': "quotation_mark", ".": "full_stop"}
        await self.press(*(names.get(character, character) for character in text))

    async def command(self, line: str) -> None:
        """From a pane: `:line`, Enter."""
        await self.press("colon")
        await self.type(line)
        await self.press("enter")

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        for _ in range(PATIENCE):
            if condition():
                return
            await self.pilot.pause(0.02)
        raise AssertionError(f"never came: {what or condition}\n{self.text}")

    async def sees(self, words: str) -> None:
        await self.until(lambda: words in self.text, words)

    @property
    def notices(self) -> list[str]:
        return [notice.message for notice in self.app._notifications]


Open = Callable[..., AbstractAsyncContextManager[Screen]]


@pytest.fixture
def opened(recording: Recording) -> Open:
    """`async with opened() as screen`: started, and the first lens is there unless held back."""

    @asynccontextmanager
    async def open_app(
        size: tuple[int, int] = (120, 40),
        free: int | None = None,
        log: RunLog | None = None,
        **arguments: str,
    ) -> AsyncIterator[Screen]:
        engine = RecordedEngine(recording, free, log)
        app = MlxterpApp(AppArguments(**arguments), connect=engine.connect)  # type: ignore[arg-type]
        async with app.run_test(size=size, notifications=True) as pilot:
            screen = Screen(pilot, app, engine)
            if free is None and app.remembering.pane == "lens":
                await screen.until(lambda: app.main.pane.contracts, "the first lens")
            yield screen

    return open_app


@pytest.fixture(scope="session")
def tiny() -> InterpretableModel:
    """Four blocks; opens in a tenth of a second."""
    return InterpretableModel("glass-tiny")


@pytest.fixture
def on_tiny(tiny: InterpretableModel) -> Open:
    """The same on the tiny model, which computes what it is asked."""

    @asynccontextmanager
    async def open_app(
        size: tuple[int, int] = (120, 40), log: RunLog | None = None, **arguments: str
    ) -> AsyncIterator[Screen]:
        engine = ComputingEngine(tiny, log)
        arguments = {"model": "glass-tiny", **arguments}
        app = MlxterpApp(AppArguments(**arguments), connect=engine.connect)  # type: ignore[arg-type]
        async with app.run_test(size=size, notifications=True) as pilot:
            screen = Screen(pilot, app, engine)
            await screen.until(lambda: app.main.pane.contracts, "the first lens")
            yield screen

    return open_app
