"""What the pages of the lens look like, on true numbers; `--snapshot-update` after looking."""

from __future__ import annotations

from mlxterp_tui.app import MlxterpApp
from mlxterp_tui.arguments import AppArguments
from mlxterp_tui.panes.lens.pane import LensPane

import pytest
from recorded_engine import RecordedEngine
from scripted_patchscope import WithPatchscopes
from textual.pilot import Pilot

SMALL, MEDIUM, LARGE = (80, 24), (120, 40), (200, 50)


async def seen(pilot: Pilot[None], words: str) -> None:
    """The words are on the screen, and it shows the same twice."""
    before = ""
    for _ in range(300):
        strips = pilot.app.screen._compositor.render_strips()
        text = "\n".join("".join(segment.text for segment in strip) for strip in strips)
        if words in text and text == before:
            return
        before = text
        await pilot.pause(0.1)
    raise AssertionError(f"{words!r} never came:\n{before}")


@pytest.fixture
def looks_the_same(snap_compare):
    recording = WithPatchscopes.load("smollm2")

    def compare(size: tuple[int, int], *steps: tuple[str, str], **arguments: str) -> bool:
        """steps: keys with spaces between, and what is to be seen after them."""
        engine = RecordedEngine(recording)
        app = MlxterpApp(AppArguments(**arguments), connect=engine.connect)  # type: ignore[arg-type]

        async def prepare(pilot: Pilot[None]) -> None:
            for _ in range(300):
                lens = app.screen.query(LensPane)
                if lens and lens.first().contracts and app.main.prompt.tokens.token_count:
                    break
                await pilot.pause(0.02)
            await pilot.press("escape")
            for keys, words in steps:
                await pilot.press(*keys.split())
                await seen(pilot, words)

        return snap_compare(app, terminal_size=size, run_before=prepare)

    return compare


def test_the_trajectory_of_a_rank(looks_the_same):
    assert looks_the_same(SMALL, ("C h h", "blocks.27.resid_post"))


def test_trajectories_of_several_positions_on_a_light_screen(looks_the_same):
    assert looks_the_same(MEDIUM, ("C a m m m", "KL(final ‖ row), nats · log"), theme="light")


def test_the_tokens_on_top(looks_the_same):
    assert looks_the_same(MEDIUM, ("C m m h", "probability of the tokens on top"))


def test_four_measures_at_once(looks_the_same):
    assert looks_the_same(LARGE, ("C o", "entropy of the row, nats"))


def test_trajectories_without_colours(looks_the_same):
    assert looks_the_same(SMALL, ("C a", "5 ' France'@3"), color="none")


def test_figures_by_layer(looks_the_same):
    assert looks_the_same(SMALL, ("F", "block 29 · KL"))


def test_figures_with_their_chart_below(looks_the_same):
    assert looks_the_same(MEDIUM, ("F m m", "(of 4 cells)"), theme="light")


def test_figures_with_their_chart_beside(looks_the_same):
    assert looks_the_same(LARGE, ("F j j", "block 27 · KL"))


def test_figures_by_position(looks_the_same):
    assert looks_the_same(MEDIUM, ("F p k", "position 3 ' France' · KL"))


@pytest.mark.parametrize("size", [SMALL, MEDIUM], ids=["80x24", "120x40"])
def test_a_patchscope(looks_the_same, size):
    one = ("j v", "blocks.28.resid_post@4 in None")
    assert looks_the_same(size, one, ("j", "27.resid_post@4  blocks.27"))
