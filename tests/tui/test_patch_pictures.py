"""What patching looks like, on true numbers: `pytest --snapshot-update` after looking at them."""

from __future__ import annotations

from collections.abc import Callable

from mlxterp_tui.app import MlxterpApp
from mlxterp_tui.arguments import AppArguments

import pytest
from recorded_engine import RecordedEngine, Recording
from textual.pilot import Pilot

SMALL, MEDIUM, LARGE = (80, 24), (120, 40), (200, 50)
SIZES = pytest.mark.parametrize("size", [SMALL, MEDIUM, LARGE], ids=["80x24", "120x40", "200x50"])
Condition = Callable[[MlxterpApp], object]


@pytest.fixture(scope="module")
def patching() -> Recording:
    return Recording.load("patching")


async def until(pilot: Pilot[None], condition: Condition) -> None:
    app = pilot.app
    assert isinstance(app, MlxterpApp)
    for _ in range(500):
        if condition(app):
            break
        await pilot.pause(0.02)
    await pilot.pause(0.3)


def is_ready(app: MlxterpApp) -> bool:
    return bool(app.screen.query("LensPane") and app.main.pane.contracts)


def is_done(app: MlxterpApp) -> bool:
    return app.main.pane.run.state == "done"  # type: ignore[attr-defined]


def has_cells(app: MlxterpApp) -> bool:
    return app.main.pane.run.known > 0  # type: ignore[attr-defined]


@pytest.fixture
def looks_the_same(snap_compare, patching: Recording):
    def compare(
        size: tuple[int, int],
        *keys: str,
        example: bool = True,
        known: int | None = None,
        **arguments: str,
    ) -> bool:
        """known: how many of the run's events come; None for all."""
        engine = RecordedEngine(patching)
        app = MlxterpApp(AppArguments(**arguments), connect=engine.connect)  # type: ignore[arg-type]

        async def prepare(pilot: Pilot[None]) -> None:
            await until(pilot, is_ready)
            await pilot.press("escape", "2")
            await until(pilot, lambda app: app.main.pane.alignment.clean)  # type: ignore[attr-defined]
            if example:
                engine._free = known
                await pilot.press("enter")
                await until(
                    pilot, is_done if known is None else lambda app: app.main.pane.run.known
                )  # type: ignore[attr-defined]
            for key in keys:
                await pilot.press(key)
                await pilot.pause(0.05)
            await pilot.pause(0.4)

        return snap_compare(app, terminal_size=size, run_before=prepare)

    return compare


@SIZES
def test_the_first_visit(looks_the_same, size):
    assert looks_the_same(size, example=False)


@pytest.mark.parametrize("theme", ["dark", "light"])
@SIZES
def test_the_residual_map_on_its_largest_cell(looks_the_same, size, theme):
    assert looks_the_same(size, "n", theme=theme)


@SIZES
def test_the_heads(looks_the_same, size):
    assert looks_the_same(size, "S", "n")


def test_without_colours(looks_the_same):
    assert looks_the_same(SMALL, "S", "n", color="none")


def test_256_colours(looks_the_same):
    assert looks_the_same(MEDIUM, "S", "n", color="256")


@pytest.mark.parametrize("size", [SMALL, MEDIUM], ids=["80x24", "120x40"])
def test_a_map_that_fills_in(looks_the_same, size):
    assert looks_the_same(size, known=30)


@pytest.mark.parametrize("size", [SMALL, MEDIUM], ids=["80x24", "120x40"])
def test_estimates_beside_exact_values(looks_the_same, size):
    assert looks_the_same(size, "M", "S", "n")


def test_help(looks_the_same):
    assert looks_the_same(MEDIUM, "question_mark")


def test_an_attention_pattern(looks_the_same):
    assert looks_the_same(MEDIUM, "S", "n", "A")
