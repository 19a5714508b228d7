"""What a training looks like: `pytest --snapshot-update` after looking at the pictures."""

from __future__ import annotations

from mlxterp_engine.experiments import Price
from mlxterp_engine.worker.protocol import Finished
from mlxterp_tui.app import MlxterpApp
from mlxterp_tui.arguments import AppArguments
from mlxterp_tui.panes.lens.pane import LensPane

import msgspec
import pytest
import scripted_training as script
from recorded_engine import RecordedEngine, RecordedRun, Recording
from textual.pilot import Pilot

SMALL, MEDIUM, LARGE = (80, 24), (120, 40), (200, 50)
UNTIL_STEP_30 = 64  # events


@pytest.fixture(scope="module")
def recording() -> Recording:
    recording = Recording.load("smollm2")
    end = Finished(script.result(recording.card))
    run = RecordedRun(script.REQUEST, Price(2000, 90, 4 * 10**8), [*script.parts(), end])
    return msgspec.structs.replace(recording, runs=[*recording.runs, run])


@pytest.fixture
def looks_the_same(snap_compare, recording):
    def compare(size, *keys: str, theme="dark", color="auto", begin=True, until=30) -> bool:
        engine = RecordedEngine(recording)
        app = MlxterpApp(AppArguments(theme=theme, color=color), connect=engine.connect)  # type: ignore[arg-type]

        async def prepare(pilot: Pilot[None]) -> None:
            await until_true(
                pilot, lambda: (lens := app.screen.query(LensPane)) and lens.first().contracts
            )
            await pilot.press("escape")
            if begin:
                engine._free = UNTIL_STEP_30 if until == 30 else None
                app.trainings.begin(script.REQUEST)
                await until_true(pilot, lambda: shown_steps(app) == until)
                await pilot.pause(0.7)  # the next painting
            for key in keys:
                await pilot.press(key)
                await pilot.pause(0.3)

        return snap_compare(app, terminal_size=size, run_before=prepare)

    return compare


def shown_steps(app: MlxterpApp) -> int:
    page = app.main._panes.get("training")
    return len(page._curves.train) if page is not None else 0


async def until_true(pilot: Pilot[None], condition) -> None:
    for _ in range(300):
        if condition():
            return
        await pilot.pause(0.02)


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", [SMALL, MEDIUM, LARGE], ids=["80x24", "120x40", "200x50"])
def test_a_training_that_runs(looks_the_same, size, theme):
    assert looks_the_same(size, theme=theme)


def test_without_colours(looks_the_same):
    assert looks_the_same(SMALL, color="none")


def test_all_layers_over_the_depth(looks_the_same):
    assert looks_the_same(MEDIUM, "M")


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", [SMALL, MEDIUM], ids=["80x24", "120x40"])
def test_the_form(looks_the_same, size, theme):
    assert looks_the_same(size, "3", "t", "right", theme=theme, begin=False)


def test_a_wrong_value_in_the_form(looks_the_same):
    keys = ("3", "t", *["tab"] * 5, "0")
    assert looks_the_same(SMALL, *keys, begin=False)
