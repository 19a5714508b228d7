"""What the pages of the lens look like, on true numbers: `pytest --snapshot-update` after looking."""

from __future__ import annotations

from mlxterp_tui.app import MlxterpApp
from mlxterp_tui.arguments import AppArguments
from mlxterp_tui.panes.lens import LensPane

import pytest
from recorded_engine import RecordedEngine, Recording
from textual.pilot import Pilot

SMALL, MEDIUM, LARGE = (80, 24), (120, 40), (200, 50)


@pytest.fixture
def looks_the_same(snap_compare, recording: Recording):
    def compare(size: tuple[int, int], *pressed: str, **arguments: str) -> bool:
        engine = RecordedEngine(recording)
        app = MlxterpApp(AppArguments(**arguments), connect=engine.connect)  # type: ignore[arg-type]

        async def prepare(pilot: Pilot[None]) -> None:
            for _ in range(300):
                lens = app.screen.query(LensPane)
                if lens and lens.first().contracts and app.main.prompt.tokens.token_count:
                    break
                await pilot.pause(0.02)
            await pilot.press("escape", *pressed)
            await pilot.pause(0.4)

        return snap_compare(app, terminal_size=size, run_before=prepare)

    return compare


def test_the_trajectory_of_a_rank(looks_the_same):
    assert looks_the_same(SMALL, "C", "h", "h")


def test_trajectories_of_several_positions_on_a_light_screen(looks_the_same):
    assert looks_the_same(MEDIUM, "C", "a", "m", "m", "m", theme="light")


def test_the_tokens_on_top(looks_the_same):
    assert looks_the_same(MEDIUM, "C", "m", "m", "h")


def test_four_measures_at_once(looks_the_same):
    assert looks_the_same(LARGE, "C", "o")


def test_trajectories_without_colours(looks_the_same):
    assert looks_the_same(SMALL, "C", "a", color="none")


def test_figures_by_layer(looks_the_same):
    assert looks_the_same(SMALL, "F")


def test_figures_with_their_chart_below(looks_the_same):
    assert looks_the_same(MEDIUM, "F", "m", "m", theme="light")


def test_figures_with_their_chart_beside(looks_the_same):
    assert looks_the_same(LARGE, "F", "j", "j")


def test_figures_by_position(looks_the_same):
    assert looks_the_same(MEDIUM, "F", "p", "k")
