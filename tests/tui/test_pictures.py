"""What the screen looks like, on true numbers: `pytest --snapshot-update` after looking at them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from mlxterp_engine.worker.client import Lost
from mlxterp_tui.app import MlxterpApp
from mlxterp_tui.arguments import AppArguments
from mlxterp_tui.panes.lens.pane import LensPane

import pytest
from recorded_engine import RecordedEngine, Recording
from textual.pilot import Pilot

SMALL, MEDIUM, LARGE = (80, 24), (120, 40), (200, 50)
After = Callable[[Pilot[None], RecordedEngine], Awaitable[None]]


async def settled(pilot: Pilot[None]) -> None:
    """The first lens is whole, and everything about it is painted."""
    app = pilot.app
    assert isinstance(app, MlxterpApp)
    for _ in range(300):
        lens = app.screen.query(LensPane)
        if lens and lens.first().contracts and app.main.prompt.tokens.token_count:
            break
        await pilot.pause(0.02)
    await pilot.pause(0.1)


def keys(*pressed: str) -> After:
    async def press(pilot: Pilot[None], engine: RecordedEngine) -> None:
        for key in pressed:
            await pilot.press(key)
        await pilot.pause(0.3)

    return press


IN_THE_PANE = keys("escape")


@pytest.fixture
def looks_the_same(snap_compare, recording: Recording):
    def compare(size: tuple[int, int], after: After = IN_THE_PANE, **arguments: str) -> bool:
        engine = RecordedEngine(recording)
        app = MlxterpApp(AppArguments(**arguments), connect=engine.connect)  # type: ignore[arg-type]

        async def prepare(pilot: Pilot[None]) -> None:
            await settled(pilot)
            await after(pilot, engine)

        return snap_compare(app, terminal_size=size, run_before=prepare)

    return compare


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", [SMALL, MEDIUM, LARGE], ids=["80x24", "120x40", "200x50"])
def test_the_lens(looks_the_same, size, theme):
    assert looks_the_same(size, theme=theme)


def test_the_lens_without_colours(looks_the_same):
    assert looks_the_same(SMALL, color="none")


def test_a_target_a_pin_and_a_followed_column(looks_the_same):
    assert looks_the_same(LARGE, keys("escape", "t", "space", "j", "j", "f"))


def test_a_followed_column_on_a_small_screen(looks_the_same):
    assert looks_the_same(SMALL, keys("escape", "f", "j", "j"))


def test_help(looks_the_same):
    assert looks_the_same(MEDIUM, keys("escape", "question_mark"))


def test_the_jobs(looks_the_same):
    assert looks_the_same(SMALL, keys("escape", "3"))


def test_the_command_line(looks_the_same):
    assert looks_the_same(SMALL, keys("escape", "colon", "m"))


def test_an_engine_that_died(looks_the_same):
    async def lose(pilot: Pilot[None], engine: RecordedEngine) -> None:
        engine.lose(Lost("the engine died", Path("/home/me/engine.log"), ["Killed", "bye"]))
        await pilot.pause(0.2)

    assert looks_the_same(SMALL, lose)
