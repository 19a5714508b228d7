"""What the cards pane looks like, with true cards: `pytest --snapshot-update` after looking."""

from __future__ import annotations

import time

from mlxterp_engine.reproductions import shelf
from mlxterp_tui.app import MlxterpApp
from mlxterp_tui.arguments import AppArguments
from mlxterp_tui.panes.lens.pane import LensPane

import pytest
from recorded_engine import RECORDINGS, RecordedEngine
from textual.pilot import Pilot

SMALL, MEDIUM = (80, 24), (120, 40)


RECORDED = {
    "logit-lens/20261121-084322": "logit_lens_card.json",
    "tuned-lens/20261121-124605": "tuned_lens_card.json",
    "causal-tracing/20261121-154313": "causal_tracing_card.json",
}


@pytest.fixture(autouse=True)
def cards_on_the_shelf(home, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    for place, recorded in RECORDED.items():
        folder = shelf.cards_folder() / place
        folder.mkdir(parents=True)
        (folder / shelf.JSON).write_bytes((RECORDINGS / recorded).read_bytes())
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def looks_the_same(snap_compare, recording):
    def compare(size: tuple[int, int], *keys: str, theme: str = "dark", color="auto") -> bool:
        engine = RecordedEngine(recording)
        app = MlxterpApp(AppArguments(theme=theme, color=color), connect=engine.connect)  # type: ignore[arg-type]

        async def prepare(pilot: Pilot[None]) -> None:
            await until(
                pilot, lambda: (lens := app.screen.query(LensPane)) and lens.first().contracts
            )
            for key in ("escape", "5", *keys):
                await pilot.press(key)
                await pilot.pause(0.3)

        return snap_compare(app, terminal_size=size, run_before=prepare)

    return compare


async def until(pilot: Pilot[None], condition) -> None:
    for _ in range(300):
        if condition():
            return
        await pilot.pause(0.02)


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", [SMALL, MEDIUM], ids=["80x24", "120x40"])
def test_the_cards(looks_the_same, size, theme):
    assert looks_the_same(size, theme=theme)


def test_the_cards_without_colours(looks_the_same):
    assert looks_the_same(SMALL, color="none")


def test_a_card_in_full(looks_the_same):
    assert looks_the_same(MEDIUM, "enter")


def test_the_charts_at_the_end_of_a_card(looks_the_same):
    assert looks_the_same(MEDIUM, "enter", "G")


def test_another_card_under_the_cursor(looks_the_same):
    assert looks_the_same(MEDIUM, "j")


def test_charts_of_several_curves(looks_the_same):
    assert looks_the_same(MEDIUM, "j", "enter", "G", "pageup", "pageup")


def test_a_card_of_many_claims(looks_the_same):
    assert looks_the_same(SMALL, "j", "j")


def test_charts_of_counts(looks_the_same):
    assert looks_the_same(MEDIUM, "j", "j", "enter", "G", "pageup")
